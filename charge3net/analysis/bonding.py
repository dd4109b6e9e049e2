"""What the covalent bonds of a structure form: a molecule alone, molecules side by side, or a connected solid."""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.graph.neighbors import Neighbors, find_atom_neighbors

#: "network" is everything that is not made of molecules alone: bonds in one to three dimensions, ions, single atoms.
Bonding = Literal["molecule", "molecules", "network"]

#: A bond is at most this many times as long as the sum of the covalent radii.
_STRETCH = 1.3

#: Smallest molecules of a liquid or molecular crystal: between smaller ones (halogens, O2) there are bonds, too.
_SMALLEST = 3

#: Å: molecules with atoms nearer than this to another molecule, or to their own image, are side by side.
_CONTACT = 4.0


def bonding(geometry: Geometry) -> Bonding:
    """``molecule`` for molecules with vacuum around them, ``molecules`` for liquids and molecular crystals.

    Atoms are bonded if they are closer than 1.3 times the sum of their covalent radii (Cordero et al., Dalton Trans.
    2008, 2832, as in ase.data). A molecule has two atoms or more, side by side with others three or more, and no bond
    to its own periodic images.
    """
    from ase.data import covalent_radii

    radii = covalent_radii[geometry.numbers]
    near = find_atom_neighbors(geometry, max(_CONTACT, 2.0 * _STRETCH * float(radii.max(initial=0.0))))
    bonded = _length(geometry, near) < _STRETCH * (radii[near.receivers] + radii[near.senders])
    found = _molecules(len(geometry), Neighbors(*(array[bonded] for array in near)))
    if found is None:
        return "network"
    molecule, images = found
    elsewhere = molecule[near.receivers] != molecule[near.senders]
    elsewhere |= np.abs(images[near.senders] - images[near.receivers] - near.shifts).max(axis=1, initial=0.0) > 1e-6
    if not (elsewhere & (_length(geometry, near) < _CONTACT)).any():
        return "molecule"
    return "molecules" if np.unique(molecule, return_counts=True)[1].min() >= _SMALLEST else "network"


def _length(geometry: Geometry, pairs: Neighbors) -> Float[ndarray, "pairs"]:
    ends = geometry.positions[pairs.senders] + pairs.shifts
    return np.linalg.norm(geometry.positions[pairs.receivers] - ends, axis=1)


def _molecules(n: int, bonds: Neighbors) -> tuple[Int[ndarray, "atoms"], Float[ndarray, "atoms 3"]] | None:
    """Which molecule each atom is in, and the translation (Å) that brings it to the others of its molecule.

    None if an atom has no bond, or a way along bonds leads from an atom to one of its own images.
    """
    first = np.searchsorted(bonds.receivers, np.arange(n + 1))
    if n == 0 or (np.diff(first) == 0).any():
        return None
    molecule, images = np.full(n, -1), np.zeros((n, 3))
    for start in range(n):
        if molecule[start] >= 0:
            continue
        molecule[start] = start
        waiting = deque([start])
        while waiting:
            atom = waiting.popleft()
            for bond in range(first[atom], first[atom + 1]):
                other, image = bonds.senders[bond], images[atom] + bonds.shifts[bond]
                if molecule[other] < 0:
                    molecule[other], images[other] = start, image
                    waiting.append(other)
                elif np.abs(images[other] - image).max() > 1e-6:
                    return None
    return molecule, images
