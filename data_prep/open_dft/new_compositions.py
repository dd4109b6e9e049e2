"""Crystals of formulas that no bundled set holds: what candidates.py offers, in an order fit to be broken off.

Every formula comes as it is and in two strained and rattled copies, one after the other. The order of the formulas
prefers elements that few compositions hold (the training part of the benchmark set and what came before counted),
structure types that were seldom taken, and low cost, so that a run which is broken off is a balanced sample.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import candidates
import crystals
import numpy as np
from ase import Atoms
from candidates import Candidate
from crystals import MOMENTS

COPIES = 3
DEAREST = 2.5e6  # crystals.cost of a strained copy; dearer formulas are left out
BUNDLES = ("benchmark_set", "demo_set", "distorted_set", "magnetic_set", "nmc_set")


def new_compositions(count: int, seed: int) -> list[Atoms]:
    """``count`` crystals without spin, COPIES of each formula. ``info`` as in :func:`crystals.crystals`."""
    unmagnetic = [entry for entry in candidates.unmagnetic(seed) if not _symbols(entry) & set(MOMENTS)]
    formulas, counts = taken()
    return _in_order(unmagnetic, formulas, counts, seed)[:count]


def magnetic_new(count: int, seed: int) -> list[Atoms]:
    """``count`` crystals of V, Cr, Mn, Fe, Co and Ni, COPIES of each formula, spin-polarised, ferromagnetic start."""
    return _in_order(candidates.magnetic(seed), taken()[0], Counter(), seed)[:count]


def _symbols(entry: Candidate) -> set[str]:
    return {str(site.specie) for site in entry[1]}


def taken() -> tuple[set[str], Counter[str]]:
    """Reduced formulas of all bundled sets, and element → training formulas of benchmark_set that hold it."""
    formulas, seen = set(), {}
    for bundle in BUNDLES:
        lines = (Path(__file__).resolve().parents[1] / bundle / "bundle" / "index.jsonl").read_text().splitlines()
        for record in map(json.loads, lines[1:]):
            if "numbers" in record:
                formula = _formula(Atoms(record["numbers"]))
                formulas.add(formula)
                if bundle == "benchmark_set" and record["part"] == "train" and record["kind"] == "crystals":
                    seen[formula] = set(Atoms(record["numbers"]).symbols)
    return formulas, Counter(symbol for symbols in seen.values() for symbol in symbols)


def _formula(atoms: Atoms) -> str:
    return str(atoms.symbols.formula.reduce()[0].convert("hill"))


def _in_order(pool: Iterable[Candidate], formulas: set[str], counts: Counter[str], seed: int) -> list[Atoms]:
    """The copies of ``pool``'s formulas that are not among ``formulas``, affordable and have room for their atoms.

    Elements of which ``counts`` says that they are rare come first.
    """
    formulas, counts = set(formulas), Counter(counts)
    rows: list[tuple[list[str], str, float, list[Atoms]]] = []
    for tag, structure, source in pool:
        made = [crystals._copy(tag, structure, source, copy, seed) for copy in range(COPIES)]
        if not all(crystals._spacious(copied) for _, copied, _ in made):
            continue
        atoms = [_polarised(crystals._atoms(*entry)) for entry in made]
        formula = _formula(atoms[0])
        price = crystals.cost(atoms[1])
        if formula in formulas or price > DEAREST:
            continue
        formulas.add(formula)
        rows.append((sorted(set(atoms[0].symbols)), _kind(tag), price, atoms))
    order: list[Atoms] = []
    used: Counter[str] = Counter()
    while rows:
        worth = [_worth(symbols, counts, used[kind], price) for symbols, kind, price, _ in rows]
        symbols, kind, _, atoms = rows.pop(int(np.argmax(worth)))
        counts.update(symbols)
        used[kind] += 1
        order += atoms
    return order


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
