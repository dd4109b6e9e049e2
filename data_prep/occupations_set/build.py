"""Collect the atomic density matrices of the generator's crystals in one small file.

    python -m data_prep.occupations_set.build DIR [-o data_prep/occupations_set/density_matrices.npz]

DIR holds what ``python data_prep/open_dft/generate.py`` leaves for the sets ``new_compositions`` and ``magnetic_new``,
and ``setups.json`` of ``data_prep/open_dft/setups.py``. Names of entries, and so structures and parts, are those of
``data_prep/new_compositions_set``. Spin-polarised entries have the sum of both spins. The file:
charge3net/paw/files.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy import ndarray

from charge3net.paw.files import DensityMatrices, read_density_matrices, write_density_matrices
from charge3net.paw.matrices import unpack
from charge3net.paw.setups import Setup
from data_prep.bundles.bundle import read_facts, shared_settings
from data_prep.command import make_command

FILE = Path(__file__).resolve().parent / "density_matrices.npz"
SETTINGS = ("code", "xc", "mode", "smearing")


def collect(folder: Path) -> DensityMatrices:
    """The density matrices of all npz files below a folder.

    Raises:
        ValueError: when files differ in their settings, two have one name, or one has another setup than the list.
    """
    table = json.loads((folder / "setups.json").read_text(encoding="utf-8"))
    known = {name: Setup.from_json(name, values) for name, values in table.items()}
    numbers: dict[str, ndarray] = {}
    values: dict[str, ndarray] = {}
    facts, used = [], dict[int, Setup]()
    for path in sorted(folder.rglob("*.npz"), key=lambda path: path.stem):
        if path.stem in numbers:
            raise ValueError(f"{folder} holds two files named {path.stem}")
        with np.load(path) as file:
            setups = [known[name] for name in _known(file["setups"].tolist(), known, path)]
            values[path.stem] = file["density_matrices"].sum(axis=0).astype(np.float32)
        unpack(values[path.stem], setups)  # as many numbers as the setups have
        numbers[path.stem] = np.array([setup.number for setup in setups])
        used |= {setup.number: setup for setup in setups}
        facts.append(read_facts(path)[1])
    settings = shared_settings(folder, facts, SETTINGS)
    return DensityMatrices(dict(sorted(used.items())), numbers, values, settings)


def _known(names: Iterable[str], known: dict[str, Setup], path: Path) -> list[str]:
    names = list(names)
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"{path} has the setup {missing[0]}, which setups.json lacks; make it again")
    return names


def build(folder: Path, out: Path) -> str:
    """Write the file; returns what is in it, in words."""
    write_density_matrices(out, collect(folder))
    found = read_density_matrices(out)
    atoms = sum(map(len, found.numbers.values()))
    return (
        f"{len(found)} crystals, {atoms} atoms of {len(found.setups)} elements, "
        f"{sum(map(len, found.packed.values()))} numbers, {out.stat().st_size / 1e6:.2f} MB"
    )


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(build, __doc__, FILE, arguments)


if __name__ == "__main__":
    sys.exit(main())
