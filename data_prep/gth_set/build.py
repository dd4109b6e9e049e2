"""Make the bundled set of densities with GTH pseudopotentials from the generator's npz files.

    python -m data_prep.gth_set.build DIR [-o data_prep/gth_set/bundle]

DIR is what ``python -m data_prep.quantum_espresso.generate -o DIR`` leaves. Compositions are divided, by the hash of
their formula: all copies of a composition are in one part, except that copy 1 of every second trained sp compound (by
hash, of those with two copies or more) is in the part ``distortions``. Cells with a defect are in the part ``defects``.
Every record also has its ``kind``, so that unpacking makes a split of each.
The bundle's files: data_prep/bundles/bundle.py.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from data_prep.bundles.bundle import Source, bundle_report, read_facts, shared_settings, write_bundle
from data_prep.command import make_command

BUNDLE = Path(__file__).resolve().parent / "bundle"
HEADER = {"format": "charge3net-gth-set", "version": 1}
META = (
    "energy_eV", "ecutwfc_Ry", "k_mesh", "occupations", "potentials", "steps_1e-06", "steps_1e-08", "transforms",
    "nmae_sad",
)  # fmt: skip
SETTINGS = ("code", "density", "xc", "mode", "spin")
#: Kinds that are one in the set: few compositions each; more compositions of the sp family, which only train.
_KINDS = {"halides": "halides_oxides", "oxides": "halides_oxides", "rare": "sp"}
#: Of a hundred compositions: how many are tested, and how many validate.
TESTED, VALIDATING = 14, 8


def place_of(composition: str) -> str:
    """The part of a composition; follows from its reduced formula alone."""
    place = _hash(composition) % 100
    return "test" if place < TESTED else "validation" if place < TESTED + VALIDATING else "train"


def part_of(kind: str, composition: str, copy: int, copies: int) -> str:
    """The part of one file, of ``copies`` of its structure."""
    if kind == "defects":
        return "defects"
    place = place_of(composition)
    tested = kind == "sp" and place == "train" and copy == 1 and copies > 1 and _hash(f"{composition} copy 1") % 2
    return "distortions" if tested else place


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"gth {text}".encode()).digest()[:8], "big")


def build(folder: Path, bundle: Path) -> list[dict[str, Any]]:
    """Write the bundle whole or not at all; returns its records.

    Raises:
        ValueError: when a part is empty, or files differ in their settings.
    """
    paths = sorted(folder.glob("*.npz"))
    counts = Counter(path.stem.rpartition("-")[0] for path in paths)
    sources, every = [], []
    for path in paths:
        geometry, facts = read_facts(path)
        every.append(facts)
        name, _, copy = path.stem.rpartition("-")
        part = part_of(facts["kind"], geometry.formula, int(copy), counts[name])
        kind = _KINDS.get(facts["kind"], facts["kind"])
        fields = {"key": path.stem, "part": part, "kind": kind, "formula": geometry.formula}
        sources.append(Source(path, fields, part == "test", META))
    missing = {"train", "validation", "test", "distortions"} - {source.fields["part"] for source in sources}
    if missing:
        raise ValueError(f"{folder} holds nothing for {', '.join(sorted(missing))}; let the generator run longer")
    return write_bundle(bundle, {**HEADER, "settings": shared_settings(folder, every, SETTINGS)}, sources)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(lambda folder, bundle: bundle_report(build(folder, bundle), bundle), __doc__, BUNDLE, arguments)


if __name__ == "__main__":
    sys.exit(main())
