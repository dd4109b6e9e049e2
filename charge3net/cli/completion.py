"""Shell completion of ``charge3net train``: Hydra's, which does not expect a command between program and settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO

#: Hydra's options for it.
OPTIONS = ("-sc", "--shell-completion")

_PROGRAM = "charge3net"


def complete(arguments: Sequence[str], commands: Sequence[str], hydra: Callable[[], object]) -> None:
    """Print the script that a shell evaluates (``install=bash``), or the words that fit (``query=bash``).

    Args:
        arguments: of ``charge3net train``.
        commands: of ``charge3net``, completed as the first word.
        hydra: runs Hydra on these arguments; it reads the line to complete from the environment.
    """
    query = any(argument.startswith("query=") for argument in arguments)
    if query and not _is_training(os.environ.get("COMP_LINE", "")):
        if len(os.environ.get("COMP_LINE", "").split(" ")) < 3:
            print(" ".join(commands))
        return
    if query:  # Hydra removes one word, the program
        line = os.environ["COMP_LINE"].split(None, 2)
        os.environ["COMP_LINE"] = f"{line[0]} {line[2] if len(line) > 2 else ''}"
        hydra()
        return
    text = StringIO()
    with redirect_stdout(text):
        hydra()
    print(text.getvalue().replace(" -sc query=", " train -sc query="), end="")


def _is_training(line: str) -> bool:
    """Whether the line is ``charge3net train`` and at least a blank after it."""
    words = line.split(None, 2)
    return words[1:2] == ["train"] and (len(words) > 2 or line.endswith(" "))
