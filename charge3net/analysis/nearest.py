"""The nearest atom of every point, periodic images included.

Not a neighbour list (that is :mod:`charge3net.graph.neighbors`): there is no radius, and every point gets exactly one
atom.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.spatial import cKDTree

from charge3net.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest atom of each point.

    Attributes:
        atoms: [points] index of the atom.
        vectors: [points, 3] point − (atom's nearest image) in Å.
        distances: [points] their length in Å.
    """

    atoms: Int[ndarray, "points"]
    vectors: Float[ndarray, "points 3"]
    distances: Float[ndarray, "points"]


def nearest_atoms(points: Float[ndarray, "points 3"], geometry: Geometry) -> Nearest:
    """The nearest atom of each point under the periodic boundaries of the geometry; exact for any cell.

    A point equally far from several atoms gets one of them.

    Args:
        points: [points, 3] Å; anywhere, inside the cell or not.
        geometry: atoms, cell and periodicity.
    """
    pbc = geometry.pbc
    if not pbc.any():
        return _query(points, geometry.positions, np.arange(len(geometry)))
    cell = geometry.complete_cell
    points = _wrapped(points, cell, pbc)
    atoms = _wrapped(geometry.positions, cell, pbc)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)  # between the faces a period apart
    # The images next door bound the distance; then every image that could be nearer still is included.
    images, owners = _images(atoms, cell, pbc, np.zeros(3))
    bound = _query(points, images, owners).distances.max(initial=0.0)
    images, owners = _images(atoms, cell, pbc, bound / heights)
    return _query(points, images, owners)


def _query(points: Float[ndarray, "points 3"], images: ndarray, owners: ndarray) -> Nearest:
    distances, index = cKDTree(images).query(points, k=1)
    return Nearest(owners[index], points - images[index], distances)


def _wrapped(positions: ndarray, cell: ndarray, pbc: ndarray) -> ndarray:
    fractions = positions @ np.linalg.inv(cell)
    return positions - (np.floor(fractions) * pbc) @ cell


def _images(atoms: ndarray, cell: ndarray, pbc: ndarray, margin: Float[ndarray, "3"]) -> tuple[ndarray, ndarray]:
    """Images of wrapped atoms whose fractional coordinates lie within ``margin`` of the unit cell, and their owners."""
    reach = np.where(pbc, np.ceil(margin).astype(int) + 1, 0)
    shifts = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))), dtype=np.float64)
    images = (atoms[None, :, :] + (shifts @ cell)[:, None, :]).reshape(-1, 3)
    owners = np.tile(np.arange(len(atoms)), len(shifts))
    if not margin.any():
        return images, owners
    fractions = images @ np.linalg.inv(cell)
    near = ((fractions >= -margin - 1e-9) & (fractions <= 1.0 + margin + 1e-9) | ~pbc).all(axis=1)
    return images[near], owners[near]
