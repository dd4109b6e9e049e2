"""What the commands of this folder share: exit statuses and one-line errors."""

from __future__ import annotations

import sys
from collections.abc import Callable

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
