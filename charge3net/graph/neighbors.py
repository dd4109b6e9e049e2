"""The only neighbour search: which atoms, periodic images included, lie within the cutoff of which points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from charge3net.geometry import Geometry


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
    if len(points) == 0:
        return Neighbors(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)))
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


def complete_cell(cell: Float[ndarray, "3 3"], pbc: Bool[ndarray, "3"]) -> Float[ndarray, "3 3"]:
    """The cell with non-periodic vectors replaced by unit vectors normal to the periodic ones.

    Only lattice translations along periodic vectors occur, so what stands for the others does not matter as long as the
    three span space; molecules often come with none.
    """
    cell = np.array(cell, dtype=np.float64)
    if pbc.all():
        return cell
    _, _, basis = np.linalg.svd(cell[pbc].reshape(-1, 3))
    cell[~pbc] = basis[int(pbc.sum()) :]
    return cell
