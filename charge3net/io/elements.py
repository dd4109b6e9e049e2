"""Chemical symbols as they occur in structure files."""

from __future__ import annotations

import re
from functools import cache

from charge3net.errors import InputError

#: Names of sites without a nucleus: dummy atoms, centres, ghost basis functions, vacancies.
_DUMMIES = {"x", "xx", "xo", "q", "du", "dum", "dummy", "gh", "bq", "va", "vac", "cg", "cnt", "lp"}
_LABEL = re.compile(r"([A-Za-z]{1,3})[0-9+\-_.(/' ].*")


def atomic_number(symbol: str) -> int:
    """Atomic number of a chemical symbol; ``D`` and ``T`` are hydrogen, the case does not matter.

    Raises:
        InputError: for a dummy or ghost atom, and for anything else; the message names the symbol but no file.
    """
    found = _numbers().get(symbol.capitalize())
    if found is not None:
        return found
    if is_dummy(symbol):
        raise InputError(f"the site {symbol!r} is a dummy or ghost atom without an element; remove it from the file")
    raise InputError(f"{symbol!r} is not a chemical element")


def number_of_label(label: str) -> int:
    """Atomic number from a symbol with a number, charge or name behind it: ``O2-``, ``Fe1``, ``C_alpha``.

    Raises:
        InputError: as :func:`atomic_number`.
    """
    match = _LABEL.fullmatch(label)
    return atomic_number(match[1] if match else label)


def is_dummy(symbol: str) -> bool:
    """Whether a symbol is a usual name of a site without a nucleus."""
    match = _LABEL.fullmatch(symbol)
    plain = (match[1] if match else symbol).lower()
    return plain in _DUMMIES or symbol.lower().startswith(("x-", "gh(", "gh-", "@")) or symbol.lower().endswith("-bq")


@cache
def _numbers() -> dict[str, int]:
    from ase.data import chemical_symbols

    return {symbol: z for z, symbol in enumerate(chemical_symbols) if z > 0} | {"D": 1, "T": 1}
