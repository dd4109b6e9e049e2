"""The structures and settings of the bundled sets, to compute their densities once more, or with other functionals."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from crystals import MOMENTS, moments

FUNCTIONALS = ("PBE", "LDA", "revPBE", "RPBE")  # what GPAW has without libxc
MOST_ATOMS = {"crystals": 6, "molecules": 9, "liquids": 40}
LIQUID_EVERY = 6  # crystals and molecules before each configuration of the liquid


def bundled(folder: Path, count: int) -> list[Atoms]:
    """The first ``count`` structures of benchmark_set under ``folder``; those of demo_set are looked up there."""
    records = _records(folder / "benchmark_set")
    demo = {record["key"]: record for record in _records(folder / "demo_set")}
    return [_atoms(demo[record["key"]] if "from" in record else record) for record in records[:count]]


def held_out(folder: Path, count: int) -> list[Atoms]:
    """Test structures of benchmark_set with few atoms, not magnetic, to solve with all FUNCTIONALS.

    Crystal and molecule in turn, a configuration of the liquid after every LIQUID_EVERY of them; of each kind one
    structure of each formula first, then the second ones, few atoms before many. The first structures do not change
    when ``count`` grows.
    """
    demo = {record["key"]: record for record in _records(folder / "demo_set")}
    pools: dict[str, list[Atoms]] = {kind: [] for kind in MOST_ATOMS}
    for record in sorted(_records(folder / "benchmark_set"), key=_hash):
        if record["part"] == "test":
            atoms = _atoms(demo[record["key"]] if "from" in record else record)
            if len(atoms) <= MOST_ATOMS[record["kind"]] and not set(atoms.symbols) & set(MOMENTS):
                atoms.info["settings"]["functionals"] = FUNCTIONALS
                pools[record["kind"]].append(atoms)
    crystals, molecules, liquids = (_one_of_each_first(pool) for pool in pools.values())
    order: list[Atoms] = []
    for turn in range(max(len(crystals), len(molecules))):
        order += [*crystals[turn : turn + 1], *molecules[turn : turn + 1]]
        if (turn + 1) % (LIQUID_EVERY // 2) == 0:
            order += liquids[:1]
            liquids = liquids[1:]
    return order[:count]


def by_hash(folder: Path) -> Iterator[tuple[dict[str, Any], Atoms]]:
    """Records of a bundled set and their structures, in the order of the hashes of their names."""
    yield from ((record, _atoms(record)) for record in sorted(_records(folder), key=_hash))


def _one_of_each_first(pool: list[Atoms]) -> list[Atoms]:
    seen: Counter[str] = Counter()
    ranked = []
    for atoms in sorted(pool, key=len):
        formula = str(atoms.symbols.formula.reduce()[0])
        ranked.append((seen[formula], atoms))
        seen[formula] += 1
    return [atoms for _, atoms in sorted(ranked, key=lambda pair: pair[0])]


def _hash(record: dict[str, Any]) -> str:
    return hashlib.sha256(record["key"].encode()).hexdigest()


def _records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "bundle" / "index.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def _atoms(record: dict[str, Any]) -> Atoms:
    settings = dict(record.get("settings", {"kpts_density": 0.0, "smearing": 0.01}))
    info = {"tag": record["key"], "source": record["meta"].get("source", record["key"]), "settings": settings}
    atoms = Atoms(record["numbers"], np.array(record["positions"]), cell=record["cell"], pbc=record["pbc"], info=info)
    if "magnetisation" in record:
        atoms.info["moments"] = moments(atoms.get_chemical_symbols())
    return atoms
