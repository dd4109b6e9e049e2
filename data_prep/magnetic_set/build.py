"""Make the magnetic set from the generator's npz files.

    python -m data_prep.magnetic_set.build DIR [-o data_prep/magnetic_set/bundle]

DIR is what ``python data_prep/open_dft/generate.py magnetic -o DIR --count 73`` leaves. Where a crystal was started
from several magnetic orders, the lowest in energy is kept. Compositions are held out for the test part, and some
distorted copies of the others; crystals with two sublattices that only the moments tell apart stand in a part of
their own, ``alike``, which no split but ``alike/split.json`` names. The bundle's files: data_prep/bundles/bundle.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.formula import Formula

from charge3net.data.splits import hash_order
from data_prep.bundles.bundle import Source, bundle_report, write_bundle
from data_prep.command import make_command

BUNDLE = Path(__file__).resolve().parent / "bundle"
HEADER = {"format": "charge3net-magnetic-set", "version": 1}
META = ("energy_eV", "source", "nmae_sad", "rho_min", "rho_max", "magnetisation", "absolute_magnetisation")
SEED = 0
ALIKE = "alike"
HELD_OUT = {"metal": 1, "b2": 1, "rocksalt": 1, "heusler": 2}  # compositions of each family
DISTORTED = {"metal": 2, "b2": 1, "rocksalt": 3}  # copies of other compositions
VALIDATION = 1  # more of those


@dataclass(frozen=True, order=True)
class Name:
    """The parts of a file's name, ``KIND-FORMULA-COPY-ORDER``."""

    kind: str
    formula: str
    copy: int
    order: str

    @classmethod
    def of(cls, stem: str) -> Name:
        """Of the name without its suffix."""
        kind, formula, copy, order = stem.split("-")
        return cls(kind, formula, int(copy), order)

    def __str__(self) -> str:
        return f"{self.kind}-{self.formula}-{self.copy}-{self.order}"

    @property
    def family(self) -> str:
        """Whose compositions are held out together."""
        families = {"tetragonal": "metal", "hcp": "metal", "inverse": "heusler", "half": "heusler"}
        return families.get(self.kind, self.kind)


def lowest(energies: Mapping[Name, float]) -> list[Name]:
    """Of each crystal and copy the magnetic order of lowest energy, sorted."""
    best: dict[tuple[str, str, int], Name] = {}
    for name in sorted(energies, key=lambda name: (energies[name], name)):
        best.setdefault((name.kind, name.formula, name.copy), name)
    return sorted(best.values())


def divide(names: Iterable[Name]) -> dict[Name, str]:
    """Part of each entry.

    Held-out compositions are the first of their family in an order by hash, among those whose elements stand in other
    compositions too; all their copies are test entries. Of the other compositions DISTORTED and VALIDATION count the
    distorted copies held out, again by hash; the rest trains.
    """
    names = list(names)
    held_out = set()
    for family, number in HELD_OUT.items():
        formulas = [name.formula for name in names if name.family == family and _elsewhere(name.formula, names)]
        held_out |= {(family, formula) for formula in hash_order(formulas, SEED)[:number]}
    parts = {}
    for name in names:
        apart = (name.family, name.formula) in held_out
        parts[name] = ALIKE if name.kind == ALIKE else "test" if apart else "train"
    distorted = {str(name): name for name, part in parts.items() if part == "train" and name.copy}
    order = [distorted[key] for key in hash_order(list(distorted), SEED)]
    for family, number in DISTORTED.items():
        parts |= dict.fromkeys([name for name in order if name.family == family][:number], "test")
    return parts | dict.fromkeys([name for name in order if parts[name] == "train"][:VALIDATION], "validation")


def build(folder: Path, bundle: Path) -> tuple[list[dict[str, Any]], dict[Name, float]]:
    """Write the bundle whole or not at all; returns its records, and the energies of all files in eV.

    Raises:
        ValueError: when the folder holds no entries.
    """
    metas = {Name.of(path.stem): _meta(path) for path in sorted(folder.glob("*.npz"))}
    if not metas:
        raise ValueError(f"{folder} holds no densities; run generate.py magnetic first")
    energies = {name: float(meta["energy_eV"]) for name, meta in metas.items()}
    parts = divide(lowest(energies))
    sources = [
        Source(folder / f"{name}.npz", {"key": str(name), "part": part, "formula": name.formula}, part != "train", META)
        for name, part in parts.items()
    ]
    meta = next(iter(metas.values()))
    settings = {key: meta[key] for key in ("code", "density", "xc", "mode", "kpts_density", "smearing")}
    return write_bundle(bundle, {**HEADER, "settings": settings}, sources), energies


def order_report(energies: Mapping[Name, float], atoms: Mapping[str, int]) -> str:
    """A row for each crystal that was started from several orders: energies above the lowest, meV per atom."""
    lines = ["| crystal | order kept | energy of the other, meV/atom |", "|---|---|---|"]
    for kept in lowest(energies):
        others = [n for n in energies if (n.kind, n.formula, n.copy) == (kept.kind, kept.formula, kept.copy)]
        for other in sorted(set(others) - {kept}):
            above = 1000.0 * (energies[other] - energies[kept]) / atoms[str(kept)]
            lines.append(f"| {kept.kind} {kept.formula} | {kept.order} | {other.order}: +{above:.1f} |")
    return "\n".join(lines)


def _elsewhere(formula: str, names: Iterable[Name]) -> bool:
    """Whether every element of a formula stands in at least two others."""
    others = [set(Formula(other).count()) for other in {name.formula for name in names} - {formula}]
    return all(sum(element in other for other in others) >= 2 for element in Formula(formula).count())


def _meta(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        meta: dict[str, Any] = json.loads(str(file["meta"]))
    return meta


def _report(folder: Path, bundle: Path) -> str:
    """Build; what is printed then."""
    records, energies = build(folder, bundle)
    orders = order_report(energies, {record["key"]: len(record["numbers"]) for record in records})
    return f"{bundle_report(records, bundle)}\n{orders}"


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(_report, __doc__, BUNDLE, arguments)


if __name__ == "__main__":
    sys.exit(main())
