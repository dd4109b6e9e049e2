"""The generator's npz files into a charge3net store.

    python data_prep/open_dft/to_store.py DIR... -o STORE

Every ``*.npz`` of the folders becomes an entry under its own name; what is in the store already is left alone. Files
that cannot be used are listed with the reason and do not stop the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from charge3net.data.store import StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid


def read_entry(path: Path) -> tuple[Density, ndarray | None, float, dict[str, Any]]:
    """Density, superposition of atoms (e/Å³, or None), number of valence electrons, and meta of one npz.

    Raises:
        InputError: for a file that is not an entry of the generator.
    """
    try:
        with np.load(path) as file:
            geometry = Geometry(file["numbers"], file["positions"], file["cell"], file["pbc"])
            values = file["density"]
            baseline = file["density_sad"] if "density_sad" in file.files else None
            electrons, meta = float(file["n_electrons"]), json.loads(str(file["meta"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not an entry of the generator ({error}); generate it again") from None
    grid = Grid(geometry.cell, values.shape)
    return Density(geometry, grid, values, provenance=meta), baseline, electrons, meta


def write_store(folders: list[Path], store: Path) -> dict[str, str]:
    """Add every npz of the folders; returns name → reason of what was refused.

    Raises:
        InputError: when a folder holds no npz.
    """
    files = []
    for folder in folders:
        found = sorted(folder.glob("*.npz"))
        if not found:
            raise InputError(f"{folder} holds no npz files; make them with data_prep/open_dft/generate.py")
        files += found
    with StoreWriter(store) as writer:
        for path in files:
            if writer.done(path.stem):
                continue
            try:
                density, baseline, electrons, meta = read_entry(path)
            except InputError as error:
                writer.reject(path.stem, str(error))
                continue
            writer.add(path.stem, density, electrons=electrons, baseline=baseline, meta=meta)
        return writer.rejected


def main(arguments: list[str] | None = None) -> int:
    """Command line; exit status 1 when some files were refused, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="STORE")
    options = parser.parse_args(arguments)
    try:
        rejected = write_store(options.folders, options.out)
    except InputError as error:
        parser.error(str(error))
    for key, reason in rejected.items():
        print(f"{key}: {reason}", file=sys.stderr)
    return 1 if rejected else 0


if __name__ == "__main__":
    sys.exit(main())
