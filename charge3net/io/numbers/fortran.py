"""Single numbers as Fortran and C print them."""

from __future__ import annotations

import re

_NO_LETTER = re.compile(rb"([0-9.])([+-][0-9]+)$")


def parse_number(token: bytes) -> float:
    """The value of one printed number.

    Besides what Python reads, Fortran's ``0.5D+01`` and, where the exponent has three digits, ``0.5-101``.

    Raises:
        ValueError: when it is no number.
    """
    token = token.strip()
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
    try:
        return list(map(float, tokens))
    except ValueError:
        return [parse_number(token) for token in tokens]


def parse_integers(text: bytes) -> list[int]:
    """All integers in a text, separated by blanks; an empty list when one of them is none."""
    tokens = text.split()
    return [int(token) for token in tokens] if all(_is_integer(token) for token in tokens) else []


def _is_integer(token: bytes) -> bool:
    return token.lstrip(b"+-").isdigit()
