"""Orbits: sets of voxels that symmetry operations of the crystal map onto each other.

Operations act on voxels as integers: voxel g goes to ``rotation @ g + shift``, modulo the grid's shape. A bundle keeps
a few operations that generate the orbits, so unpacking needs no search for symmetry.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: Twelve integers, as JSON has them: the rotation's rows one after the other, and the shift in voxels.
Operation = Sequence[int]


def generating_operations(geometry: Geometry, shape: tuple[int, int, int]) -> list[Operation]:
    """Operations of the crystal that map the grid onto itself and generate the orbits of all of them.

    An operation is kept where it merges orbits further; no operation where the crystal has none.
    """
    from charge3net.predict.symmetrise import NoSymmetryError, symmetrise
    from charge3net.predict.symmetry import irreducible_voxels

    try:
        found = symmetrise(geometry, Grid(geometry.cell, shape))
        fewest = len(irreducible_voxels(found).representatives)
    except NoSymmetryError:
        return []
    kept: list[Operation] = []
    orbit = orbits(kept, shape)
    for matrix, shift in zip(found.matrices.tolist(), found.shifts.tolist(), strict=True):
        operation = [*matrix[0], *matrix[1], *matrix[2], *shift]
        merged = _merged(orbit, operation, shape)
        if merged.max() < orbit.max():
            orbit = merged
            kept.append(operation)
        if orbit.max() + 1 == fewest:
            break
    return kept


def orbits(operations: Sequence[Operation], shape: tuple[int, int, int]) -> Int[ndarray, "voxels"]:
    """The orbit of each voxel in C order; orbits are numbered by their first voxels.

    Raises:
        ValueError: for an operation that does not map the grid onto itself.
    """
    orbit = np.arange(np.prod(shape))
    for operation in operations:
        orbit = _merged(orbit, operation, shape)
    return orbit


def _merged(orbit: Int[ndarray, "voxels"], operation: Operation, shape: tuple[int, int, int]) -> Int[ndarray, "voxels"]:
    """Orbits with those joined that the operation maps onto each other."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ijk = np.indices(shape).reshape(3, -1)
    image = np.array(operation[:9]).reshape(3, 3) @ ijk + np.array(operation[9:])[:, None]
    flat = np.ravel_multi_index(tuple(image), shape, mode="wrap")
    if len(np.unique(flat)) != len(flat):
        raise ValueError(f"an operation does not map the grid of {shape} onto itself; check the bundle out again")
    count = int(orbit.max()) + 1
    joined = coo_array((np.ones(len(flat)), (orbit, orbit[flat])), shape=(count, count))
    merged = connected_components(joined, directed=False)[1][orbit]
    _, first, number = np.unique(merged, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]
