"""The structures and settings of the bundled sets, to compute their densities once more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from crystals import moments


def bundled(folder: Path, count: int) -> list[Atoms]:
    """The first ``count`` structures of benchmark_set under ``folder``; those of demo_set are looked up there."""
    records = _records(folder / "benchmark_set")
    demo = {record["key"]: record for record in _records(folder / "demo_set")}
    return [_atoms(demo[record["key"]] if "from" in record else record) for record in records[:count]]


def _records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "bundle" / "index.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def _atoms(record: dict[str, Any]) -> Atoms:
    settings = record.get("settings", {"kpts_density": 0.0, "smearing": 0.01})
    info = {"tag": record["key"], "source": record["meta"].get("source", record["key"]), "settings": settings}
    atoms = Atoms(record["numbers"], np.array(record["positions"]), cell=record["cell"], pbc=record["pbc"], info=info)
    if "magnetisation" in record:
        atoms.info["moments"] = moments(atoms.get_chemical_symbols())
    return atoms
