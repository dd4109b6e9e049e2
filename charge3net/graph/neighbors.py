"""The only neighbour search: which atoms, periodic images included, lie within the cutoff of which points."""

from __future__ import annotations

import ctypes
from ctypes import c_double, c_int, c_int64, c_void_p
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.kernels import enabled
from charge3net.kernels.library import library
from charge3net.kernels.threads import threads

_POINTS_FOR_THREADS = 2048


def reach(cutoff: float) -> float:
    """Atoms count within this distance in Å: the cutoff, shorter by 1e-10 of itself.

    Positions that are equal by symmetry differ by rounding, up to 1e-14 of themselves. So atoms exactly at the cutoff,
    which ideal crystals on regular grids have, are left out everywhere, instead of at some of the equivalent points.
    """
    return cutoff * (1.0 - 1e-10)


class Neighbors(NamedTuple):
    """Edges from atoms to points, sorted by receiver, then by sender, then by image.

    Attributes:
        receivers: [edges] index of the point.
        senders: [edges] index of the atom.
        shifts: [edges, 3] Cartesian lattice translation of the atom's image, Å.
    """

    receivers: Int[ndarray, "edges"]
    senders: Int[ndarray, "edges"]
    shifts: Float[ndarray, "edges 3"]


def find_neighbors(points: Float[ndarray, "points 3"], geometry: Geometry, cutoff: float) -> Neighbors:
    """All (point, atom image) pairs closer than ``cutoff`` Å (:func:`reach`), an atom on the point included.

    The compiled library searches a cell list; without it pymatgen does, several times slower, for the same edges in the
    same order. Both test in float64, by the expression for the graph's edge vectors, whether a pair is within the
    cutoff.
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    if len(points) == 0:
        return Neighbors(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)))
    cell = geometry.complete_cell
    handle = library().handle if enabled() else None
    found = None if handle is None else _search_compiled(handle, points, geometry, cell, cutoff)
    return _search_pymatgen(points, geometry, cell, cutoff) if found is None else found


def find_atom_neighbors(geometry: Geometry, cutoff: float) -> Neighbors:
    """All pairs of an atom and another, or one of its own images, closer than ``cutoff`` Å (:func:`reach`)."""
    found = find_neighbors(geometry.positions, geometry, cutoff)
    itself = (found.receivers == found.senders) & (np.abs(found.shifts).max(axis=1, initial=0.0) < 1e-8)
    return Neighbors(*(array[~itself] for array in found))


def _search_compiled(
    handle: ctypes.CDLL, points: ndarray, geometry: Geometry, cell: ndarray, cutoff: float
) -> Neighbors | None:
    """None where memory is short or images are numbered beyond ±1023 (extremely thin cells)."""
    inverse = np.linalg.inv(cell)
    positions = np.ascontiguousarray(geometry.positions)
    periodic = geometry.pbc.astype(np.uint8)
    count = c_int64()
    handle.c3n_find_neighbors.restype = c_void_p
    search = handle.c3n_find_neighbors(
        *(c_int64(len(points)), c_void_p(points.ctypes.data)),
        *(c_int64(len(positions)), c_void_p(positions.ctypes.data)),
        *(c_void_p(array.ctypes.data) for array in (cell, inverse, periodic)),
        c_double(reach(cutoff)),
        c_int(threads() if len(points) >= _POINTS_FOR_THREADS else 1),
        ctypes.byref(count),
    )
    if search is None:
        return None
    n = count.value
    edges = Neighbors(np.empty(n, np.int64), np.empty(n, np.int64), np.empty((n, 3)))
    handle.c3n_take_neighbors(c_void_p(search), *(c_void_p(array.ctypes.data) for array in edges))
    return edges


def _search_pymatgen(points: ndarray, geometry: Geometry, cell: ndarray, cutoff: float) -> Neighbors:
    from pymatgen.optimization.neighbors import find_points_in_spheres

    pbc = np.ascontiguousarray(geometry.pbc, dtype=np.int64)
    receivers, senders, images, _ = find_points_in_spheres(
        np.array(geometry.positions), points, r=cutoff + 1e-6, pbc=pbc, lattice=cell.copy(), tol=1e-8
    )
    shifts = images @ cell
    vectors = points[receivers] - (geometry.positions[senders] + shifts)
    limit = reach(cutoff)
    inside = np.einsum("ei,ei->e", vectors, vectors) < limit * limit
    receivers, senders, shifts, images = receivers[inside], senders[inside], shifts[inside], images[inside]
    order = np.lexsort((images[:, 2], images[:, 1], images[:, 0], senders, receivers))
    return Neighbors(receivers[order].astype(np.int64), senders[order].astype(np.int64), shifts[order])
