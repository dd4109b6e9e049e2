"""Make the demo's bundled set from the generator's npz files.

    python -m data_prep.demo_set.build DIR [-o data_prep/demo_set/bundle]

DIR is what ``python data_prep/open_dft/generate.py molecules_chno -o DIR --count 240`` leaves. The bundle is two
files, ``index.jsonl`` and ``densities.bin`` (see data_prep/bundles/bundle.py).
Whole formulas go to one part: a formula of the test part stands in no other. Test and validation entries carry their
superposition of atoms.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.data.splits import hash_order
from data_prep.bundles.bundle import Source, bundle_report, write_bundle
from data_prep.command import make_command

BUNDLE = Path(__file__).resolve().parent / "bundle"
HEADER = {"format": "charge3net-demo-set", "version": 1}
META = ("energy_eV", "source", "nmae_sad", "rho_max")
SEED = 0
HELD_OUT = {"test": 10, "validation": 4}  # formulas
ISOMERS = 2  # of a held-out formula, one rattled copy each
HEAVY_ATOMS = 3  # the least that a held-out formula has


def divide(formulas: dict[str, str]) -> dict[str, str]:
    """Part of each entry, name → part, from name → formula; entries left out are not named.

    Held-out formulas are the first in an order by hash among those with enough atoms heavier than hydrogen; of each of
    them the first copy of the first isomers is kept. Everything else trains.
    """
    heavy = {name: _heavy_atoms(formula) for name, formula in formulas.items()}
    candidates = [formula for name, formula in formulas.items() if heavy[name] >= HEAVY_ATOMS]
    order = iter(hash_order(candidates, SEED))
    part_of = {next(order): part for part, number in HELD_OUT.items() for _ in range(number)}
    parts = {}
    for name, formula in sorted(formulas.items()):
        isomer, copy = (int(field) for field in name.split("-")[-2:])
        part = part_of.get(formula, "train")
        if part == "train" or (isomer < ISOMERS and copy == 0):
            parts[name] = part
    return parts


def build(folder: Path, bundle: Path) -> list[dict[str, Any]]:
    """Write the bundle whole or not at all; returns its records.

    Raises:
        ValueError: when the folder holds too few formulas to divide.
    """
    formulas = {path.stem: path.stem.split("-")[1] for path in sorted(folder.glob("mol-*.npz"))}
    if len(set(formulas.values())) < 2 * sum(HELD_OUT.values()):
        raise ValueError(
            f"{folder} holds {len(set(formulas.values()))} formulas; generate at least 240 molecules first"
        )
    parts = divide(formulas)
    sources = [
        Source(folder / f"{name}.npz", {"key": name, "part": part, "formula": formulas[name]}, part != "train", META)
        for name, part in parts.items()
    ]
    with np.load(sources[-1].file) as file:
        meta = json.loads(str(file["meta"]))
    settings = {key: meta[key] for key in ("code", "density", "xc", "mode", "kpts_density", "smearing")}
    return write_bundle(bundle, {**HEADER, "settings": settings}, sources)


def _heavy_atoms(formula: str) -> int:
    from ase.formula import Formula

    return sum(number for symbol, number in Formula(formula).count().items() if symbol != "H")


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(lambda folder, bundle: bundle_report(build(folder, bundle), bundle), __doc__, BUNDLE, arguments)


if __name__ == "__main__":
    sys.exit(main())
