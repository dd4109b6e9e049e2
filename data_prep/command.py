"""What the commands of this folder share: exit statuses, one-line errors, the command line of what makes one output."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from charge3net.errors import InputError


def guarded(name: str, command: Callable[[], int]) -> int:
    """Run a command; returns its exit status, 2 for what the user gave wrongly (one line), 130 for an interruption."""
    try:
        return command()
    except InputError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command with --resume goes on", file=sys.stderr)
        return 130


def make_command(
    make: Callable[[Path, Path], str], description: str | None, default: Path, arguments: list[str] | None
) -> int:
    """Command line ``DIR [-o OUT]``: ``make`` turns a folder of npz files into OUT and returns what is printed.

    A ValueError of it is what the user gave wrongly. Returns the exit status.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("-o", "--out", type=Path, default=default, help=f"default: {default.name} beside this script")
    options = parser.parse_args(arguments)
    try:
        report = make(options.folder, options.out)
    except ValueError as error:
        parser.error(str(error))
    print(report)
    return 0
