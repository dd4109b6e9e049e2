"""Single numbers as Fortran and C print them."""

from __future__ import annotations

import re
from contextlib import suppress

_NO_LETTER = re.compile(rb"([0-9.])([+-][0-9]+)$")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,18}")
_LONG = re.compile(rb"[+-]?(?:[0-9]{2,}[EeDd+-]|[0-9]{5,})")


def parse_number(token: bytes) -> float:
    """The value of one printed number.

    Besides what Python reads, Fortran's ``0.5D+01`` and, where the exponent has three digits, ``0.5-101``.

    Raises:
        ValueError: when it is no number.
    """
    token = token.strip()
    if b"_" in token:
        raise ValueError(repr(token.decode("ascii", "replace")))
    try:
        return float(token)
    except ValueError:
        pass
    if token and not token.strip(b"*"):
        raise ValueError(f"{token.decode()!r} (a number too wide for its column)")
    fortran = _NO_LETTER.sub(rb"\1E\2", token.replace(b"D", b"E").replace(b"d", b"e"))
    try:
        return float(fortran)
    except ValueError:
        raise ValueError(repr(token.decode("ascii", "replace"))) from None


def parse_numbers(text: bytes) -> list[float]:
    """All numbers in a text, separated by blanks.

    Raises:
        ValueError: when one of them is no number; its text is in the message.
    """
    tokens = text.split()
    if b"_" not in text:
        with suppress(ValueError):
            return list(map(float, tokens))
    return [parse_number(token) for token in tokens]


def lost_point(text: bytes) -> bytes | None:
    """The first number of a text that looks as if it had lost its decimal point: ``015445277607E+03``, ``208637``.

    Written on purpose without a point are small integers, and one digit with an exponent (``1e-05``, as Python does).
    """
    tokens = text.split()
    if text.count(b".") == len(tokens):
        return None
    return next((token for token in tokens if b"." not in token and _LONG.match(token)), None)


def parse_integers(text: bytes) -> list[int]:
    """All integers in a text, separated by blanks; an empty list when one of them is none."""
    tokens = text.split()
    return [int(token) for token in tokens] if all(map(_INTEGER.fullmatch, tokens)) else []
