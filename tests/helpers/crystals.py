"""Crystals with many operations, as ASE builds them from their space groups, and one without any."""

from __future__ import annotations

from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from pymatgen.core import Lattice, Structure


def sodium_chloride() -> Atoms:
    """The cubic cell of eight atoms."""
    return bulk("NaCl", "rocksalt", 5.64, cubic=True)


def silicon() -> Atoms:
    """The primitive cell of two atoms."""
    return bulk("Si", "diamond", 5.43)


def strontium_titanate() -> Atoms:
    return crystal(
        ["Sr", "Ti", "O"],
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
        spacegroup=221,
        cellpar=[3.905, 3.905, 3.905, 90, 90, 90],
    )


def lithium_cobalt_oxide() -> Atoms:
    """Layered LiCoO2, R-3m in the hexagonal cell of twelve atoms."""
    return crystal(
        ["Li", "Co", "O"],
        [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.2605)],
        spacegroup=166,
        cellpar=[2.816, 2.816, 14.05, 90, 90, 120],
    )


def barium_vanadium_sulfide() -> Atoms:
    """Hexagonal BaVS3, P6_3/mmc."""
    return crystal(
        ["Ba", "V", "S"],
        [(1 / 3, 2 / 3, 0.75), (0, 0, 0), (0.1655, 0.331, 0.25)],
        spacegroup=194,
        cellpar=[6.75, 6.75, 5.63, 90, 90, 120],
    )


def rutile() -> Atoms:
    """TiO2, P4_2/mnm."""
    return crystal(
        ["Ti", "O"], [(0, 0, 0), (0.3053, 0.3053, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
    )


def quartz() -> Atoms:
    """SiO2, P3_221: a crystal without mirrors or inversion."""
    return crystal(
        ["Si", "O"],
        [(0.4697, 0, 0), (0.4133, 0.2672, 0.1188)],
        spacegroup=154,
        cellpar=[4.913, 4.913, 5.405, 90, 90, 120],
    )


def triclinic() -> Structure:
    """Two atoms in a cell without any right angle, one of them outside of it."""
    lattice = Lattice.from_parameters(4.1, 5.0, 4.6, 75, 82, 66)
    return Structure(lattice, ["O", "C"], [[0.1, 0.2, 0.3], [1.7, -0.45, 0.6]])
