"""The command line: ``charge3net COMMAND …``. Only the module of the given command is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from charge3net.errors import InputError
from charge3net.version import __version__


@dataclass(frozen=True)
class Command:
    """A command and where it lives.

    Attributes:
        module: in ``charge3net.cli``; offers ``add_arguments(parser)`` and ``run(args) -> int``.
        help: one line for ``charge3net --help``.
        own_parser: the module parses its own arguments, which it gets as ``args.arguments``.
        mixed: key=value may also follow options.
    """

    module: str
    help: str
    own_parser: bool = False
    mixed: bool = False


COMMANDS = {
    "train": Command("train", "train one model, or many with --multirun", own_parser=True),
    "evaluate": Command("evaluate", "compute the errors of models on held-out materials"),
    "calibrate": Command("calibrate", "make an ensemble of models that says how large its error will be"),
    "predict": Command("predict", "predict the density of structures: CHGCAR, cube, npz, or the start of a DFT run"),
    "density": Command("density", "convert, add, subtract, split, resample density files; errors, Bader charges"),
    "data": Command("data", "build, check and split stores of training data"),
    "models": Command("models", "list models, describe a checkpoint"),
    "import": Command("import_", "convert published weights to a checkpoint of this package"),
    "plot": Command("plot", "draw slices, isosurfaces, learning curves, errors"),
    "view": Command("view", "write a page with isosurfaces, atoms and cell that can be turned"),
    "report": Command("report", "write an HTML page about a set of training runs"),
    "study": Command("study", "run an experiment: learning curves, rotation order, charges, spin, …", mixed=True),
    "doctor": Command("doctor", "show versions, devices and optional packages"),
}

FIRST_STEPS = """\
  charge3net predict POSCAR -o CHGCAR            a density from the shipped model
  charge3net view CHGCAR -o density.html         a page to turn it
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage of a command with many options would push it off the screen."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message} (`{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status.

    0 is success, 2 a mistake of the user (one line on standard error), 130 an interruption.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] not in COMMANDS:
        return _no_command(arguments)
    name, rest = arguments[0], arguments[1:]
    command = COMMANDS[name]
    try:
        module = import_module(f"charge3net.cli.{command.module}")
        if command.own_parser:
            return module.run(argparse.Namespace(arguments=rest))
        parser = _Parser(
            prog=f"charge3net {name}",
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(parser)
        parse = parser.parse_intermixed_args if command.mixed else parser.parse_args
        return module.run(parse(rest))
    except InputError as error:
        print(f"charge3net {name}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"charge3net {name}: interrupted {error}".rstrip(), file=sys.stderr)
        return 130
    except BrokenPipeError:  # standard output was closed (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _no_command(arguments: list[str]) -> int:
    """Print help, the version, or an error."""
    width = max(map(len, COMMANDS)) + 2
    listing = "\n".join(f"  {name:<{width}}{command.help}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="charge3net",
        usage="charge3net COMMAND …",
        description="Electron densities from equivariant neural networks.",
        epilog=f"commands:\n{listing}\n\nfirst steps:\n{FIRST_STEPS}\n`charge3net COMMAND --help` describes a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"charge3net {__version__}")
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    _, unknown = parser.parse_known_args(arguments)
    alike = get_close_matches(unknown[0], COMMANDS, 1)
    hint = f"did you mean {alike[0]}?" if alike else f"choose one of {', '.join(COMMANDS)}"
    print(f"charge3net: error: unknown command {unknown[0]!r}; {hint}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
