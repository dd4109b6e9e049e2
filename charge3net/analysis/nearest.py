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

#: Å; room for atoms that are nearest up to a tolerance.
_MARGIN = 0.1


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
    return _query(*_candidates(points, geometry))


def equally_near_atoms(
    points: Float[ndarray, "points 3"], geometry: Geometry, tolerance: float = 1e-3
) -> tuple[Int[ndarray, "pairs"], Float[ndarray, "pairs 3"]]:
    """All atoms that are nearest to each point, up to a tolerance: in a symmetric structure there are often several.

    Args:
        points, geometry: as for :func:`nearest_atoms`.
        tolerance: Å; an atom counts if it is not farther than the nearest one plus this.

    Returns:
        The point of each pair, in ascending order, and point − (atom's image) in Å; one pair or more for each point.
    """
    points, images, _ = _candidates(points, geometry)
    tree = cKDTree(images)
    found = min(2, len(images))
    distances, index = (part.reshape(len(points), -1) for part in tree.query(points, k=found))
    near = distances <= distances[:, :1] + tolerance
    rows, pairs = np.flatnonzero(~near[:, -1]), []
    if found == 1:
        rows = np.arange(len(points))
    pairs.append((rows, index[rows, 0]))
    tied = np.setdiff1d(np.arange(len(points)), rows)
    for row, members in zip(tied, tree.query_ball_point(points[tied], distances[tied, 0] + tolerance), strict=True):
        pairs.append((np.full(len(members), row), np.array(members, dtype=np.int64)))
    owners_of = np.concatenate([rows for rows, _ in pairs])
    order = np.argsort(owners_of, kind="stable")
    owners_of, chosen = owners_of[order], np.concatenate([members for _, members in pairs])[order]
    return owners_of, points[owners_of] - images[chosen]


def _candidates(
    points: Float[ndarray, "points 3"], geometry: Geometry
) -> tuple[Float[ndarray, "points 3"], Float[ndarray, "images 3"], Int[ndarray, "images"]]:
    """The points, wrapped into the cell, every image of an atom that can be nearest to one of them, and their atoms."""
    pbc = geometry.pbc
    if not pbc.any():
        return points, geometry.positions, np.arange(len(geometry))
    cell = geometry.complete_cell
    points = _wrapped(points, cell, pbc)
    atoms = _wrapped(geometry.positions, cell, pbc)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)  # between the faces a period apart
    # The images next door bound the distance; then every image that could be nearer still is included.
    images, owners = _images(atoms, cell, pbc, np.zeros(3))
    bound = _query(points, images, owners).distances.max(initial=0.0)
    return points, *_images(atoms, cell, pbc, (bound + _MARGIN) / heights)


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
