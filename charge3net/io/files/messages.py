"""Errors of readers: one sentence with the file's name, whatever a parser raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from charge3net.errors import InputError


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Turn whatever a parser raises into an InputError of one sentence with the file's name."""
    try:
        yield
    except InputError as error:
        raise error if str(error).startswith(name) else InputError(f"{name}: {error}") from None
    except MemoryError:
        raise InputError(f"{name}: does not fit into memory") from None
    except RecursionError:
        raise InputError(f"{name}: is nested too deeply to be read") from None
    except Exception as error:
        raise InputError(f"{name}: cannot be read ({reason(error)})") from error


def printable(text: str) -> str:
    """A text from a file for a message of one line: control characters become question marks."""
    return "".join(c if c.isprintable() else "?" for c in text)


def reason(error: BaseException) -> str:
    """What an exception says, in one short line."""
    text = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
