"""The store and the split that the shipped models are trained on: benchmark set v4.

    python data_prep/open_dft/generate.py new_molecules -o MOLECULES --count 24
    python -m data_prep.shipped_models.store -o DIR --molecules MOLECULES

The same as ``python -m data_prep.bundles.unpack benchmark_set_v4 -o DIR``, but that 20 of the 100 training
configurations of the liquid are validation entries, since ten are too few to calibrate an expected error; and below
``DIR/others`` the distorted, magnetic and cathode sets and the boxes of ``new_molecules``, of which git has room for
two: nothing is trained on them; their entries calibrate the expected error, and test it
(:mod:`data_prep.shipped_models.release`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charge3net.data.splits import PARTS, Split, hash_order
from charge3net.errors import InputError
from data_prep.bundles.bundle import Source, read_facts, shared_settings, write_bundle
from data_prep.bundles.unpack import JOINED, unpack, unpack_set
from data_prep.new_compositions_set.build import SETTINGS
from data_prep.new_formulas_set.build import META, MOLECULES, formula_of

SET = "benchmark_set_v4"
SETS = JOINED[SET]

#: Sets that nothing is trained on, and how errors on them are named.
BUNDLED = {"distorted_set": "distorted", "magnetic_set": "magnetic elements", "nmc_set": "cathodes"}
OTHERS = {**BUNDLED, MOLECULES: "molecules"}

#: Atoms of a molecule of ``new_molecules`` that are not hydrogen.
HEAVY_ATOMS = 5

#: Of the training part, moved to the validation part: so many entries of the kind, first in the order by hash.
MORE_VALIDATION = {"liquids": 20}


def with_more_validation(parts: dict[str, Split]) -> dict[str, Split]:
    """The splits of all entries (``all``) and of each kind, with :data:`MORE_VALIDATION`."""
    moved = {key for kind, number in MORE_VALIDATION.items() for key in hash_order(parts[kind].train, 0)[:number]}

    def change(split: Split) -> Split:
        left, more = ([key for key in split.train if (key in moved) == out] for out in (False, True))
        return Split(tuple(left), (*split.validation, *more), split.test)

    return {kind: change(split) for kind, split in parts.items()}


def molecule_boxes(folder: Path) -> tuple[list[Source], dict[str, Any]]:
    """The npz files of ``new_molecules`` as sources of a bundle, and the settings that they share.

    Raises:
        InputError: for no files, files of different settings, or one that holds another structure.
    """
    sources, every = [], []
    for path in sorted(folder.glob("*.npz")):
        geometry, facts = read_facts(path)
        heavy = geometry.numbers[geometry.numbers != 1].tolist()
        if len(heavy) != HEAVY_ATOMS or not {6, 7, 8}.issuperset(heavy):
            raise InputError(f"{path} is not of {MOLECULES}: {HEAVY_ATOMS} atoms of C, N and O, and H")
        every.append(facts)
        fields = {"key": path.stem, "part": "train", "formula": formula_of(geometry, "molecules")}
        sources.append(Source(path, fields, True, META))
    return sources, shared_settings(folder, every, SETTINGS)


def unpack_molecules(sources: Sequence[Source], settings: Mapping[str, Any], folder: Path) -> None:
    """The store of these boxes, rounded as bundles are, and a split, in whose training part all are."""
    header = {"format": "charge3net-new-molecules", "version": 1, "settings": settings}
    write_bundle(folder / "bundle", header, sources)
    unpack(folder / "bundle", folder)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--molecules", type=Path, required=True, metavar="DIR", help="npz files of new_molecules")
    options = parser.parse_args(arguments)
    folder = options.out
    try:
        boxes, settings = molecule_boxes(options.molecules)
        parts = with_more_validation(unpack_set(SET, folder))
        for kind, split in parts.items():
            split.save(folder / ("" if kind == "all" else kind) / "split.json")
        joined = parts["all"]
        for name in BUNDLED:
            unpack_set(name, folder / "others" / name)
        unpack_molecules(boxes, settings, folder / "others" / MOLECULES)
    except InputError as error:
        parser.error(str(error))
    print(", ".join(f"{part} {len(getattr(joined, part))}" for part in PARTS), "entries in", folder / "store")
    return 0


if __name__ == "__main__":
    sys.exit(main())
