"""Who trains, validates and tests: whole compositions, in an order by hash, whatever the order of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from charge3net.data.splits import hash_order

SEED = 0
#: Fractions of the crystals in held-out parts; configurations of a liquid held out.
CRYSTALS = {"test": 0.2, "validation": 0.1}
LIQUIDS = {"test": 20, "validation": 10}
#: Compositions in the training part that hold an element, at least, for every element that is held out.
SEEN = 2


def divide_crystals(
    formulas: Mapping[str, str], elements: Mapping[str, frozenset[int]], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Part of each crystal, key → part.

    Args:
        formulas: key → reduced formula; a formula is never divided.
        elements: formula → its elements; each element of a held-out formula stands in SEEN training formulas.
        known: formula → its part, where that is settled; the fractions are those of the other crystals.
    """
    known = known or {}
    members: dict[str, list[str]] = {}
    for key, formula in sorted(formulas.items()):
        members.setdefault(formula, []).append(key)
    part_of = {**dict.fromkeys(members, "train"), **known}
    seen = Counter(element for formula, part in part_of.items() if part == "train" for element in elements[formula])
    order = iter(hash_order([formula for formula in members if formula not in known], SEED))
    size = sum(formula not in known for formula in formulas.values())
    for part, fraction in CRYSTALS.items():
        room = round(fraction * size)
        for formula in order:
            if room < 1:
                break
            if len(members[formula]) <= room and all(seen[element] > SEEN for element in elements[formula]):
                part_of[formula] = part
                seen.subtract(elements[formula])
                room -= len(members[formula])
    return {key: part_of[formula] for key, formula in formulas.items()}


def divide_molecules(formulas: Mapping[str, str], demo: Mapping[str, str], testable: Iterable[str]) -> dict[str, str]:
    """Part of each molecule: that of its formula in the demo set, training for new formulas.

    Args:
        formulas: key → formula.
        demo: formula → part in the demo set.
        testable: keys with a superposition of atoms; others are left out where their formula is held out.
    """
    able = set(testable)
    parts = {key: demo.get(formula, "train") for key, formula in formulas.items()}
    return {key: part for key, part in parts.items() if part == "train" or key in able}


def divide_liquids(keys: Iterable[str], testable: Iterable[str]) -> dict[str, str]:
    """Part of each configuration, by hash; only those with a superposition of atoms are tested.

    Raises:
        ValueError: when there are too few of them.
    """
    keys = list(keys)
    test = hash_order(list(testable), SEED)[: LIQUIDS["test"]]
    rest = [key for key in hash_order(keys, SEED) if key not in test]
    if len(test) < LIQUIDS["test"] or len(rest) <= LIQUIDS["validation"]:
        raise ValueError(f"{len(keys)} configurations of a liquid, {len(test)} with superposition, are too few")
    validation = rest[: LIQUIDS["validation"]]
    return {key: "test" if key in test else "validation" if key in validation else "train" for key in keys}
