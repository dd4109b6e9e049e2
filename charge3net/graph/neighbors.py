"""The only neighbour search: which atoms, periodic images included, lie within the cutoff of which points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.geometry import Geometry

#: An atom nearer to a point than this (Å) is on it.
SAME_PLACE = 1e-8


class Neighbors(NamedTuple):
    """Edges from atoms to points, sorted by receiver, then by sender.

    Attributes:
        receivers: [edges] index of the point.
        senders: [edges] index of the atom.
        shifts: [edges, 3] Cartesian lattice translation of the atom's image, Å.
    """

    receivers: Int[ndarray, "edges"]
    senders: Int[ndarray, "edges"]
    shifts: Float[ndarray, "edges 3"]


def find_neighbors(points: Float[ndarray, "points 3"], geometry: Geometry, cutoff: float) -> Neighbors:
    """All (point, atom image) pairs closer than ``cutoff`` Å (strictly), an atom on the point included.

    The compiled search of pymatgen (``find_points_in_spheres``) does the work; distances are then formed again in
    float64 from the same expression as the graph's edge vectors, so that what counts as inside does not depend on
    which of two equivalent positions was given by more than rounding.
    """
    from pymatgen.optimization.neighbors import find_points_in_spheres

    points = np.ascontiguousarray(points, dtype=np.float64)
    pbc = np.ascontiguousarray(geometry.pbc, dtype=np.int64)
    cell = complete_cell(geometry.cell, geometry.pbc)
    receivers, senders, images, _ = find_points_in_spheres(
        np.array(geometry.positions), points, r=cutoff + 1e-6, pbc=pbc, lattice=cell, tol=1e-8
    )
    shifts = images @ cell
    vectors = points[receivers] - (geometry.positions[senders] + shifts)
    inside = np.einsum("ei,ei->e", vectors, vectors) < cutoff * cutoff
    receivers, senders, shifts, images = receivers[inside], senders[inside], shifts[inside], images[inside]
    order = np.lexsort((images[:, 2], images[:, 1], images[:, 0], senders, receivers))
    return Neighbors(receivers[order].astype(np.int64), senders[order].astype(np.int64), shifts[order])


def complete_cell(cell: Float[ndarray, "3 3"], pbc: ndarray) -> Float[ndarray, "3 3"]:
    """The cell with missing non-periodic vectors replaced by unit vectors normal to the others."""
    cell = np.array(cell, dtype=np.float64)
    for axis in range(3):
        if not pbc[axis] and np.linalg.norm(cell[axis]) < 1e-10:
            others = cell[(axis + 1) % 3], cell[(axis + 2) % 3]
            normal = np.cross(*others)
            if np.linalg.norm(normal) < 1e-10:
                candidates = [np.cross(vector, unit) for vector in others for unit in np.eye(3)]
                candidates.extend(np.eye(3)[[axis]])
                normal = max(candidates, key=lambda v: (np.linalg.norm(v) > 1e-10, -abs(v[(axis + 1) % 3])))
            cell[axis] = normal / np.linalg.norm(normal)
    return cell
