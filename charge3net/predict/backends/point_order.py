"""Points in blocks, ordered such that points next to each other in a block are close in space.

The compiled kernels sum a few consecutive points together when they have the same neighbours. Every generator here
yields (targets, points): the columns of the result, and the positions [block, 3] in Å.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.grid import Grid

#: (targets, points)
Blocks = Iterator[tuple[Int[ndarray, "block"], Float[ndarray, "block 3"]]]

#: Points of a block, about: 24 bytes each for the position and as much on the way there.
BLOCK = 1 << 17

#: Edge of the cubes, in Å, by which scattered points are sorted.
_CUBE = 1.0


def grid_blocks(grid: Grid) -> Blocks:
    """All voxels, box after box; inside a box the axis with the smallest spacing runs fastest."""
    order = _axes(grid)
    steps = _box(grid.shape)
    for corner in np.ndindex(*(-(-n // step) for n, step in zip(grid.shape, steps, strict=True))):
        ranges = [
            np.arange(c * step, min((c + 1) * step, n)) for c, step, n in zip(corner, steps, grid.shape, strict=True)
        ]
        index = np.ravel_multi_index(np.ix_(*ranges), grid.shape).transpose(order).ravel()
        yield index, grid.points(index)


def grid_subset_blocks(grid: Grid, index: Int[ndarray, "points"]) -> Blocks:
    """The voxels with these flat indices, BLOCK at a time in the order given; sorted inside a block."""
    a, b, c = _axes(grid)
    for start in range(0, len(index), BLOCK):
        block = np.asarray(index[start : start + BLOCK])
        ijk = np.unravel_index(block, grid.shape)
        order = np.argsort((ijk[a] * grid.shape[b] + ijk[b]) * grid.shape[c] + ijk[c], kind="stable")
        yield start + order, grid.points(block[order])


def point_blocks(
    points: Float[ndarray, "points 3"],
) -> Blocks:
    """Any points, BLOCK at a time in the order given; inside a block those of one cube are adjacent."""
    points = np.asarray(points, dtype=np.float64)
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK]
        order = np.lexsort(np.floor(block / _CUBE).T)
        yield start + order, block[order]


def _axes(grid: Grid) -> tuple[int, ...]:
    """The axes by falling spacing; as they are where the last one is not much coarser than another."""
    spacing = grid.spacing
    if spacing[2] <= 1.25 * spacing.min():
        return 0, 1, 2
    return tuple(int(axis) for axis in np.argsort(-spacing, kind="stable"))


def _box(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Voxels along each axis of boxes with about BLOCK of them: whole planes, or bars of eight rows' thickness."""
    nx, ny, nz = shape
    if ny * nz <= BLOCK:
        return min(nx, BLOCK // (ny * nz)), ny, nz
    x = min(nx, 8)
    if x * nz <= BLOCK:
        return x, max(1, BLOCK // (x * nz)), nz
    return x, 1, max(1, BLOCK // x)
