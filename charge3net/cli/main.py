"""The command line: ``charge3net COMMAND …``. A command's module is imported when it is asked for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from charge3net.errors import InputError
from charge3net.version import __version__


@dataclass(frozen=True)
class Command:
    """A command and where it lives.

    Attributes:
        module: in ``charge3net.cli``; offers ``add_arguments(parser)`` and ``run(args) -> int``.
        help: one line for ``charge3net --help``.
        own_parser: the module reads its arguments itself: it gets them as ``args.arguments``.
        mixed: key=value may stand behind options, too.
    """

    module: str
    help: str
    own_parser: bool = False
    mixed: bool = False


COMMANDS = {
    "train": Command("train", "train a model, or many (Hydra: experiment=…, --multirun)", own_parser=True),
    "evaluate": Command("evaluate", "errors on every voxel of held-out materials"),
    "predict": Command("predict", "the density of a structure, as CHGCAR, cube or npz"),
    "data": Command("data", "build, check and split stores of densities"),
    "models": Command("models", "list architectures, show what a checkpoint is"),
    "import": Command("import_", "convert released weights to a checkpoint of this package"),
    "plot": Command("plot", "learning curves, slices, isosurfaces"),
    "report": Command("report", "one self-contained HTML page about a set of runs"),
    "study": Command(
        "study", "the experiments: learning curves, rotation order, ζ, errors, fields, charges, spin", mixed=True
    ),
    "doctor": Command("doctor", "versions, devices, optional packages: what works here"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status.

    0 is success, 2 a mistake in what the user gave (one line on standard error), 130 an interruption.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        return _no_command(arguments)
    name, rest = arguments[0], arguments[1:]
    command = COMMANDS[name]
    try:
        module = import_module(f"charge3net.cli.{command.module}")
        if command.own_parser:
            return module.run(argparse.Namespace(arguments=rest))
        parser = argparse.ArgumentParser(
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
    except BrokenPipeError:  # the reader of standard output has gone (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _no_command(arguments: list[str]) -> int:
    """Help, version, or what is wrong."""
    width = max(map(len, COMMANDS)) + 2
    listing = "\n".join(f"  {name:<{width}}{command.help}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="charge3net",
        usage="charge3net COMMAND …",
        description="Electron densities from equivariant neural networks.",
        epilog=f"commands:\n{listing}\n\n`charge3net COMMAND --help` explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"charge3net {__version__}")
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    _, unknown = parser.parse_known_args(arguments)
    print(f"charge3net: error: unknown command {unknown[0]!r}; choose one of {', '.join(COMMANDS)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
