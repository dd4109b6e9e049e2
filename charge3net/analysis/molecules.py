"""Bonds by covalent radii, and molecules put together across the walls of the cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase.data import covalent_radii
from jaxtyping import Float, Int
from numpy import ndarray
from pymatgen.core import Element

from charge3net.geometry import Geometry
from charge3net.graph.neighbors import find_neighbors

#: Two atoms are bonded up to this times the sum of their covalent radii (Cordero et al., Dalton Trans. 2832 (2008)).
STRETCH = 1.25

#: Å; nearer than this are the same place.
_SAME = 0.5


@dataclass(frozen=True, eq=False)
class Bonds:
    """Pairs of bonded atoms; every bond twice, once from each end.

    Attributes:
        first, second: [bonds] indices of atoms.
        shifts: [bonds, 3] Cartesian lattice translation of the second atom's image, Å.
    """

    first: Int[ndarray, "bonds"]
    second: Int[ndarray, "bonds"]
    shifts: Float[ndarray, "bonds 3"]


@dataclass(frozen=True, eq=False)
class Molecule:
    """Atoms that bonds connect.

    Attributes:
        atoms: [n] indices.
        positions: [n, 3] Å, of images that lie together.
        endless: whether bonds lead to periodic images of the same atoms: a chain, a layer, a network.
    """

    atoms: Int[ndarray, "n"]
    positions: Float[ndarray, "n 3"]
    endless: bool


def find_bonds(geometry: Geometry, stretch: float = STRETCH) -> Bonds:
    """Pairs nearer than ``stretch`` times the sum of their covalent radii, periodic images included.

    Two metals are bonded only in a structure of metals alone: the radii of cations are much smaller.
    """
    radii = np.where(geometry.numbers > 0, covalent_radii[geometry.numbers], 0.0)
    pairs = find_neighbors(geometry.positions, geometry, float(2.0 * stretch * radii.max(initial=0.0)) + 1e-6)
    first, second = np.asarray(pairs.receivers), np.asarray(pairs.senders)
    shifts = np.asarray(pairs.shifts, dtype=np.float64)
    vectors = geometry.positions[second] + shifts - geometry.positions[first]
    lengths = np.linalg.norm(vectors, axis=1)
    bonded = (lengths > _SAME) & (lengths < stretch * (radii[first] + radii[second]))
    metal = np.array([_is_metal(int(z)) for z in geometry.numbers])
    if not metal.all():
        bonded &= ~(metal[first] & metal[second])
    return Bonds(first[bonded], second[bonded], shifts[bonded])


@lru_cache(maxsize=128)
def _is_metal(number: int) -> bool:
    return number > 0 and bool(Element.from_Z(number).is_metal)


def find_molecules(geometry: Geometry, bonds: Bonds | None = None) -> list[Molecule]:
    """The connected parts of a structure, each with its atoms beside each other; in the order of their first atoms.

    The first atom of each stays where it is. Of an endless part the positions are those of one connected choice of
    images.
    """
    bonds = find_bonds(geometry) if bonds is None else bonds
    order = np.argsort(bonds.first, kind="stable")
    starts = np.searchsorted(bonds.first[order], np.arange(len(geometry) + 1))
    offsets = np.full((len(geometry), 3), np.nan)
    found = []
    for seed in range(len(geometry)):
        if not np.isnan(offsets[seed, 0]):
            continue
        offsets[seed] = 0.0
        atoms, endless = [seed], False
        for atom in atoms:  # grows while it is walked through
            for bond in order[starts[atom] : starts[atom + 1]]:
                other, offset = int(bonds.second[bond]), offsets[atom] + bonds.shifts[bond]
                if np.isnan(offsets[other, 0]):
                    offsets[other] = offset
                    atoms.append(other)
                elif np.abs(offsets[other] - offset).max() > _SAME:
                    endless = True
        index = np.array(atoms)
        found.append(Molecule(index, geometry.positions[index] + offsets[index], endless))
    return found


def is_molecular(geometry: Geometry, molecules: list[Molecule]) -> bool:
    """Whether the structure consists of molecules: nothing endless, and at least half of the atoms have a bond."""
    if not geometry.pbc.any():
        return True
    bonded = sum(len(molecule.atoms) for molecule in molecules if len(molecule.atoms) > 1)
    return not any(molecule.endless for molecule in molecules) and 2 * bonded >= len(geometry)


def placed_in_cell(molecule: Molecule, geometry: Geometry) -> Float[ndarray, "n 3"]:
    """[n, 3] positions of a molecule moved as a whole so that its centre lies in the cell, along periodic vectors."""
    inverse = np.linalg.inv(geometry.complete_cell)
    centre = molecule.positions.mean(axis=0) @ inverse
    return molecule.positions - (np.floor(centre + 1e-9) * geometry.pbc) @ geometry.complete_cell
