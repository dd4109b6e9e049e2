"""Make the bundled set of new formulas, one ideal crystal or one molecule each, from the generator's npz files.

    python -m data_prep.new_formulas_set.build DIR [-o data_prep/new_formulas_set/bundle]

DIR holds what ``python data_prep/open_dft/generate.py`` leaves for the sets ``new_formulas``, ``magnetic_formulas`` and
``new_molecules``, in folders of their own; those in a folder of the last name are molecules. A formula's part follows
from its hash alone. Many formulas validate, most of the molecules': they calibrate the expected error of the shipped
model, which needs many formulas. The bundle's files: data_prep/bundles/bundle.py.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.geometry import Geometry
from data_prep.bundles.bundle import Source, bundle_report, read_facts, shared_settings, write_bundle
from data_prep.command import make_command
from data_prep.new_compositions_set.build import SETTINGS, kind_of, npz_files, part_by_hash

BUNDLE = Path(__file__).resolve().parent / "bundle"
HEADER = {"format": "charge3net-new-formulas-set", "version": 2}
META = ("energy_eV", "scf_iterations", "nk_ibz", "kpts_density", "nmae_sad", "source", "spin")
#: The folder of molecules, and how many of them are kept: those of fewest voxels that nothing is trained on.
MOLECULES, KEPT = "new_molecules", 2
#: Of a hundred formulas: how many are tested, and how many validate.
TESTED, VALIDATING, VALIDATING_MOLECULES = 10, 25, 60


def part_of(formula: str, kind: str = "crystals") -> str:
    """The part of a formula; follows from the formula and whether it is a molecule's."""
    return part_by_hash("new formulas", formula, TESTED, VALIDATING_MOLECULES if kind == "molecules" else VALIDATING)


def formula_of(geometry: Geometry, kind: str) -> str:
    """The formula of a crystal, reduced, or of a molecule with every atom, in Hill's order."""
    if kind != "molecules":
        return geometry.formula
    return replace(geometry, pbc=np.zeros(3, dtype=bool)).formula


def build(folder: Path, bundle: Path) -> list[dict[str, Any]]:
    """Write the bundle whole or not at all; returns its records.

    The header has the settings of the crystals; where molecules have others, these stand in ``meta``.

    Raises:
        ValueError: when a part is empty, a name stands twice, crystals or molecules differ in their settings, or both
            differ in more than their smearing.
    """
    sources, every = [], dict[str, list[Mapping[str, Any]]]()
    for path, geometry, facts in _kept([(path, *read_facts(path)) for path in npz_files(folder)]):
        molecule = path.parent.name == MOLECULES
        kind = "molecules" if molecule else kind_of(facts)
        every.setdefault("molecules" if molecule else "crystals", []).append(facts)
        formula = formula_of(geometry, kind)
        part = part_of(formula, kind)
        fields = {"key": path.stem, "part": part, "kind": kind, "formula": formula}
        meta = (*META, "smearing") if molecule else META
        sources.append(Source(path, fields, part == "test", meta, compact=True))
    if {source.fields["part"] for source in sources} != {"train", "validation", "test"}:
        raise ValueError(f"{folder} holds too few formulas for three parts; run generate.py with a larger --count")
    found = {kind: shared_settings(folder, facts, SETTINGS) for kind, facts in every.items()}
    shared_settings(folder, found.values(), [key for key in SETTINGS if key != "smearing"])
    return write_bundle(bundle, {**HEADER, "settings": found["crystals"]}, sources)


def _kept(found: list[tuple[Path, Geometry, dict[str, Any]]]) -> list[tuple[Path, Geometry, dict[str, Any]]]:
    """All crystals, and of the molecules that nothing is trained on those of fewest voxels."""
    sizes = {
        path: math.prod(facts["grid"])
        for path, geometry, facts in found
        if path.parent.name == MOLECULES and part_of(formula_of(geometry, "molecules"), "molecules") != "train"
    }
    molecules = sorted(sizes, key=lambda path: (sizes[path], path.stem))[:KEPT]
    return [one for one in found if one[0].parent.name != MOLECULES or one[0] in molecules]


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(lambda folder, bundle: bundle_report(build(folder, bundle), bundle), __doc__, BUNDLE, arguments)


if __name__ == "__main__":
    sys.exit(main())
