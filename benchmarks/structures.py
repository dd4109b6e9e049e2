"""The structures of the benchmarks: ideal crystals, as ASE builds them, and a molecule in a box."""

from __future__ import annotations

from ase import Atoms
from ase.build import bulk, molecule
from ase.spacegroup import crystal

from charge3net.geometry import Geometry

_HEXAGONAL = (90, 90, 120)


def structures() -> dict[str, Geometry]:
    """BaVS3, NaCl (conventional), LiCoO2, TiO2 (rutile), SrTiO3, and benzene in a box of 12 Å."""
    ba, v, s = (1 / 3, 2 / 3, 0.75), (0, 0, 0), (0.1655, 0.331, 0.25)
    atoms = {
        "BaVS3": crystal(["Ba", "V", "S"], [ba, v, s], spacegroup=194, cellpar=[6.75, 6.75, 5.63, *_HEXAGONAL]),
        "NaCl": bulk("NaCl", "rocksalt", 5.64, cubic=True),
        "LiCoO2": crystal(
            ["Li", "Co", "O"], [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.2605)], spacegroup=166,
            cellpar=[2.816, 2.816, 14.05, *_HEXAGONAL],
        ),
        "TiO2": crystal(
            ["Ti", "O"], [(0, 0, 0), (0.3053, 0.3053, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
        ),
        "SrTiO3": crystal(
            ["Sr", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221,
            cellpar=[3.905, 3.905, 3.905, 90, 90, 90],
        ),
        "benzene": _boxed("C6H6", 12.0),
    }  # fmt: skip
    return {name: Geometry.of(one) for name, one in atoms.items()}


def _boxed(name: str, length: float) -> Atoms:
    atoms = molecule(name, cell=[length] * 3, pbc=True)
    atoms.center()
    return atoms
