"""The demo's bundled set of DFT densities as a charge3net store with its split.

    python data_prep/demo_set/unpack.py -o DIR

makes ``DIR/store`` and ``DIR/split.json`` (names in the parts train, validation and test). Entries that are in the
store already are kept, so the command can be repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from codec import decode
from numpy import ndarray

from charge3net.data.splits import PARTS, Split
from charge3net.data.store import StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

BUNDLE = Path(__file__).resolve().parent / "bundle"


def read_index(bundle: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and records of a bundle, after its bytes were compared with the header's SHA-256.

    Raises:
        InputError: when a file is missing or not what was committed.
    """
    try:
        header, *records = map(json.loads, (bundle / "index.jsonl").read_text(encoding="utf-8").splitlines())
        with open(bundle / "densities.bin", "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(f"the bundle {bundle} cannot be read ({error}); check it out again") from None
    if found != header["sha256"]:
        raise InputError(f"{bundle / 'densities.bin'} is not the file that was committed; check it out again")
    return header, records


def unpack(bundle: Path, folder: Path) -> Split:
    """Write ``folder/store`` and ``folder/split.json``; returns the split.

    Raises:
        InputError: for a damaged bundle, or an entry that the store refuses.
    """
    header, records = read_index(bundle)
    binary = np.memmap(bundle / "densities.bin", dtype=np.uint8, mode="r")

    def values(where: dict[str, Any], shape: tuple[int, int, int]) -> ndarray:
        blob = binary[where["offset"] : where["offset"] + where["bytes"]].tobytes()
        return decode(blob, shape, where["step"])

    with StoreWriter(folder / "store") as writer:
        for record in records:
            if writer.done(record["key"]):
                continue
            geometry = Geometry(*(np.array(record[name]) for name in ("numbers", "positions", "cell", "pbc")))
            (nx, ny, nz), baseline = record["shape"], record["baseline"]
            shape = (nx, ny, nz)
            writer.add(
                record["key"],
                Density(geometry, Grid(geometry.cell, shape), values(record["density"], shape)),
                electrons=record["electrons"],
                baseline=None if baseline is None else values(baseline, shape),
                meta={**header["settings"], **record["meta"]},
            )
        if writer.rejected:
            key, reason = next(iter(writer.rejected.items()))
            raise InputError(f"the store {writer.path} refused {key}: {reason}; remove it and unpack again")
    split = Split(*(tuple(r["key"] for r in records if r["part"] == part) for part in PARTS))
    split.save(folder / "split.json")
    return split


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        split = unpack(BUNDLE, options.out)
    except InputError as error:
        parser.error(str(error))
    print(", ".join(f"{part} {len(getattr(split, part))}" for part in PARTS), "entries in", options.out / "store")
    return 0


if __name__ == "__main__":
    sys.exit(main())
