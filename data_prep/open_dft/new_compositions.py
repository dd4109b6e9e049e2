"""Crystals of formulas that no bundled set holds: what candidates.py offers, in an order fit to be broken off.

Every formula comes as it is and in two strained and rattled copies, one after the other. The order of the formulas
prefers elements that few compositions hold (the training part of the benchmark set and what came before counted),
structure types that were seldom taken, and low cost, so that a run which is broken off is a balanced sample.

``new_formulas`` and ``magnetic_formulas`` go on from there with still other formulas, one ideal crystal of each: a new
formula teaches more than copies of an old one, and an ideal crystal costs a third of a distorted one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import candidates
import crystals
import molecular
import numpy as np
from ase import Atoms
from candidates import Candidate
from crystals import MOMENTS

COPIES = 3
DEAREST = 2.5e6  # crystals.cost of a strained copy; dearer formulas are left out
DEAREST_IDEAL = 5e4  # the same of an ideal crystal, where only that is computed
OTHERS = 3  # other formulas for each molecular or layered one
BUNDLES = ("benchmark_set", "demo_set", "distorted_set", "magnetic_set", "nmc_set")
EARLIER = (*BUNDLES, "new_compositions_set")


def new_compositions(count: int, seed: int) -> list[Atoms]:
    """``count`` crystals without spin, COPIES of each formula. ``info`` as in :func:`crystals.crystals`."""
    unmagnetic = [entry for entry in candidates.unmagnetic(seed) if not _symbols(entry) & set(MOMENTS)]
    formulas, counts = taken()
    return _in_order(unmagnetic, formulas, counts, seed, count)


def magnetic_new(count: int, seed: int) -> list[Atoms]:
    """``count`` crystals of V, Cr, Mn, Fe, Co and Ni, COPIES of each formula, spin-polarised, ferromagnetic start."""
    return _in_order(candidates.magnetic(seed), taken()[0], Counter(), seed, count)


def new_formulas(count: int, seed: int) -> list[Atoms]:
    """``count`` ideal crystals without spin, each of another formula; every fourth is molecular or layered."""
    formulas, counts = taken(EARLIER)
    light = _in_order(molecular.light(seed), formulas, counts, seed, ideal=True)
    formulas |= {_formula(atoms) for atoms in light}
    unmagnetic = (entry for entry in candidates.unmagnetic(seed) if not _symbols(entry) & set(MOMENTS))
    order = _in_order(unmagnetic, formulas, counts, seed, count, ideal=True)
    for place, atoms in enumerate(light):
        order.insert(place * (OTHERS + 1), atoms)
    return order[:count]


def magnetic_formulas(count: int, seed: int) -> list[Atoms]:
    """``count`` ideal crystals of V, Cr, Mn, Fe, Co and Ni, each of another formula, spin-polarised."""
    return _in_order(candidates.magnetic(seed), taken(EARLIER)[0], Counter(), seed, count, ideal=True)


def _symbols(entry: Candidate) -> set[str]:
    return {str(site.specie) for site in entry[1]}


def taken(bundles: Iterable[str] = BUNDLES) -> tuple[set[str], Counter[str]]:
    """Reduced formulas of these sets, and element → formulas of the crystals of benchmark_set and new_compositions_set
    in their training parts that hold it."""
    formulas, seen = set(), {}
    for bundle in bundles:
        lines = (Path(__file__).resolve().parents[1] / bundle / "bundle" / "index.jsonl").read_text().splitlines()
        for record in map(json.loads, lines[1:]):
            if "numbers" in record:
                formula = _formula(Atoms(record["numbers"]))
                formulas.add(formula)
                if record["part"] == "train" and record.get("kind") in ("crystals", "magnetic"):
                    seen[formula] = set(Atoms(record["numbers"]).symbols)
    return formulas, Counter(symbol for symbols in seen.values() for symbol in symbols)


def _formula(atoms: Atoms) -> str:
    return str(atoms.symbols.formula.reduce()[0].convert("hill"))


def _in_order(
    pool: Iterable[Candidate],
    formulas: set[str],
    counts: Counter[str],
    seed: int,
    count: int | None = None,
    ideal: bool = False,
) -> list[Atoms]:
    """The copies of ``pool``'s formulas that are not among ``formulas``, affordable and have room for their atoms; the
    first ``count`` of them, or all.

    Elements of which ``counts`` says that they are rare come first. ``ideal``: only the crystal as it is.
    """
    copies, dearest = (1, DEAREST_IDEAL) if ideal else (COPIES, DEAREST)
    formulas, counts = set(formulas), Counter(counts)
    rows: list[tuple[list[str], str, float, list[Atoms]]] = []
    for tag, structure, source in pool:
        made = [crystals._copy(tag, structure, source, copy, seed) for copy in range(copies)]
        if not all(crystals._spacious(copied) for _, copied, _ in made):
            continue
        atoms = [_polarised(crystals._atoms(*entry)) for entry in made]
        formula = _formula(atoms[0])
        price = crystals.cost(atoms[0 if ideal else 1])
        if formula in formulas or price > dearest:
            continue
        formulas.add(formula)
        rows.append((sorted(set(atoms[0].symbols)), _kind(tag), price, atoms))
    order: list[Atoms] = []
    used: Counter[str] = Counter()
    worth = [_worth(symbols, counts, 0, price) for symbols, _, price, _ in rows]
    while rows and (count is None or len(order) < count):
        best = int(np.argmax(worth))
        worth.pop(best)
        taken_symbols, taken_kind, _, atoms = rows.pop(best)
        counts.update(taken_symbols)
        used[taken_kind] += 1
        order += atoms
        for row, (symbols, kind, price, _) in enumerate(rows):
            if kind == taken_kind or not set(symbols).isdisjoint(taken_symbols):
                worth[row] = _worth(symbols, counts, used[kind], price)
    return order[:count]


def _kind(tag: str) -> str:
    """Structure type that a tag names; of a prototype its AFLOW label."""
    name, _, rest = tag.partition("-")
    return rest.partition("-")[2] if name in ("swap", "aflow") else name


def _worth(symbols: list[str], counts: Counter[str], used: int, price: float) -> float:
    """Large for rare elements, rare structure types and cheap cells."""
    rarity = np.mean([1.0 / (1.0 + counts[symbol]) for symbol in symbols])
    return float(rarity / np.sqrt((1.0 + used) * price))


def _polarised(atoms: Atoms) -> Atoms:
    if set(atoms.symbols) & set(MOMENTS):
        atoms.info["moments"] = crystals.moments(atoms.get_chemical_symbols())
    return atoms
