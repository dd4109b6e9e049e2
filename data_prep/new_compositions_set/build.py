"""Make the bundled set of crystals of new compositions from the generator's npz files.

    python -m data_prep.new_compositions_set.build DIR [-o data_prep/new_compositions_set/bundle]

DIR holds what ``python data_prep/open_dft/generate.py`` leaves for the sets ``new_compositions`` and ``magnetic_new``,
in folders of its own. Formulas, not structures, are divided: all copies of a formula are in one part, and a formula's
part follows from its hash alone, so it stays when the set grows. The bundle's files: data_prep/bundles/bundle.py.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data_prep.bundles.bundle import Source, bundle_report, read_facts, shared_settings, write_bundle
from data_prep.command import make_command

BUNDLE = Path(__file__).resolve().parent / "bundle"
HEADER = {"format": "charge3net-new-compositions-set", "version": 1}
META = ("energy_eV", "scf_iterations", "nk_ibz", "kpts_density", "nmae_sad", "rho_min", "rho_max", "source", "spin")
SETTINGS = ("code", "density", "xc", "mode", "smearing")
#: Of a hundred formulas: how many are tested, and how many validate.
TESTED, VALIDATING = 10, 10


def part_of(formula: str) -> str:
    """The part of all crystals of a formula; follows from the formula alone."""
    return part_by_hash("new compositions", formula, TESTED, VALIDATING)


def part_by_hash(salt: str, formula: str, tested: int, validating: int) -> str:
    """The part of a formula where ``tested`` and ``validating`` of a hundred formulas are held out."""
    place = int.from_bytes(hashlib.sha256(f"{salt} {formula}".encode()).digest()[:8], "big") % 100
    return "test" if place < tested else "validation" if place < tested + validating else "train"


def build(
    folder: Path, bundle: Path, header: Mapping[str, Any] = HEADER, part_of: Callable[[str], str] = part_of
) -> list[dict[str, Any]]:
    """Write the bundle whole or not at all; returns its records.

    Args:
        folder: the generator's npz files, at any depth.
        bundle: folder of the bundle.
        header: format and version.
        part_of: the part of a formula.

    Raises:
        ValueError: when a part is empty, a name stands twice, or files differ in their settings.
    """
    sources, every, parts = [], [], set()
    for path in npz_files(folder):
        geometry, facts = read_facts(path)
        every.append(facts)
        formula = geometry.formula
        part = part_of(formula)
        parts.add(part)
        kind = kind_of(facts)
        sources.append(
            Source(path, {"key": path.stem, "part": part, "kind": kind, "formula": formula}, part != "train", META)
        )
    if parts != {"train", "validation", "test"}:
        raise ValueError(f"{folder} holds too few formulas for three parts; run generate.py with a larger --count")
    return write_bundle(bundle, {**header, "settings": shared_settings(folder, every, SETTINGS)}, sources)


def npz_files(folder: Path) -> list[Path]:
    """The npz files at any depth of a folder, by name.

    Raises:
        ValueError: when a name stands twice.
    """
    paths = sorted(folder.rglob("*.npz"), key=lambda path: path.stem)
    if len({path.stem for path in paths}) != len(paths):
        raise ValueError(f"{folder} holds two files of one name")
    return paths


def kind_of(facts: Mapping[str, Any]) -> str:
    """The kind of a crystal, from the ``meta`` of its file."""
    return "magnetic" if facts["spin"] == "collinear" else "crystals"


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(lambda folder, bundle: bundle_report(build(folder, bundle), bundle), __doc__, BUNDLE, arguments)


if __name__ == "__main__":
    sys.exit(main())
