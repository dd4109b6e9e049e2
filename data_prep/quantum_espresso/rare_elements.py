"""More compositions of the sp family, chosen by what the training part holds least: kind ``rare``.

The rule looks at the training compositions alone. Count in how many of them each element occurs. Of the candidates
(the structure types of the sp family, filled with all its elements), take the one whose elements have the smallest
counts, the rarest element first; count again, and go on. Candidates are compositions that ``structures.py`` does not
have, in any part, and whose formula belongs to the training part (``data_prep/gth_set/build.py``); ties are broken by
hash. Of each composition: the ideal crystal (copy 0), then strained and rattled copies.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.gth_set.build import place_of
from data_prep.quantum_espresso.prototypes import (
    TETRAHEDRAL,
    Prototype,
    Structure,
    antifluorite,
    copies_of,
    digest,
    half_heusler,
    layered,
    rock_salt_layered,
    zinc_blende,
)

#: How many compositions, and how many cells of each.
COMPOSITIONS, COPIES = 18, 2
_SECOND, _THIRD, _FOURTH = ("Be", "Mg"), ("B", "Al", "Ga", "In"), ("C", "Si", "Ge", "Sn")
_FIFTH, _SIXTH, _SALTS = ("N", "P", "As", "Sb"), ("S", "Se", "Te"), ("Mg", "Ge", "Sn", "Pb")


def rare_elements(sp: Sequence[Structure], known: Sequence[Structure], seed: int) -> list[Structure]:
    """``COPIES`` cells of ``COMPOSITIONS`` more compositions.

    Args:
        sp: the structures of the family, of all parts.
        known: these and others; their compositions are no candidates.
        seed: of strains and rattling.
    """
    trained = {formula: one for one in sp if place_of(formula := one.geometry().formula) == "train"}
    counts = Counter(symbol for one in trained.values() for symbol in set(one.symbols))
    used = {one.geometry().formula for one in known}
    left: dict[str, Prototype] = {}
    for prototype in _candidates():
        (ideal,) = copies_of("rare", *prototype, 1, seed, ideal=True)
        formula = ideal.geometry().formula
        if formula not in used and place_of(formula) == "train":
            left.setdefault(formula, prototype)

    def rarity(formula: str) -> tuple[list[int], str]:
        return sorted(counts[symbol] for symbol in set(left[formula][1])), digest(formula)

    made: list[Structure] = []
    for _ in range(COMPOSITIONS):
        prototype = left.pop(min(left, key=rarity))
        counts.update(set(prototype[1]))
        made += copies_of("rare", *prototype, COPIES, seed, ideal=True)
    return made


def _candidates() -> Iterator[Prototype]:
    """The structure types of the family with all its elements."""
    product, pairs = itertools.product, itertools.combinations
    for a, b in (*product(_THIRD, _FIFTH), *product(_SECOND, _SIXTH), *pairs(_FOURTH, 2)):
        yield zinc_blende(a, b)
    for a, b in product(_SECOND, _FOURTH):
        yield antifluorite(a, b, 4 / np.sqrt(3) * (TETRAHEDRAL[a] + TETRAHEDRAL[b]))
    for a, b, c in (*product(("Li",), _THIRD, _FOURTH), *product(("Li",), _SECOND, _FIFTH)):
        yield half_heusler(a, b, c)
    for make, cations, anions in (
        (layered, _THIRD, _FIFTH), (layered, _SECOND, _SIXTH), (rock_salt_layered, _SALTS, _SIXTH),
    ):  # fmt: skip
        for (a, b), c in product(pairs(cations, 2), anions):
            yield make(a, b, (c, c))
        for a, (c, d) in product(cations, pairs(anions, 2)):
            yield make(a, a, (c, d))
        for (a, b), (c, d) in product(pairs(cations, 2), pairs(anions, 2)):
            yield make(a, b, (c, d))
    for a, b, c in product(_SECOND, _FOURTH, _FIFTH):
        yield layered(a, b, (c, c))
