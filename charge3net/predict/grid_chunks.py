"""A grid evaluated in chunks: by several processes in turn, or into an array that is laid out for a file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from charge3net.grid import Grid
from charge3net.predict.backends.base import Backend
from charge3net.predict.distributed import Processes
from charge3net.progress import Progress

#: Points that a process evaluates at once: the one that collects holds a megabyte of numbers for each process.
CHUNK = 1 << 18

#: ``points(start, stop)`` gives the flat indices of a range of the voxels.
Voxels = Callable[[int, int], Int[ndarray, "voxels"]]


def is_first_axis_fastest(values: Shaped[ndarray, "channels nx ny nz"]) -> bool:
    """Whether values are laid out as in a CHGCAR rather than in C order.

    Raises:
        ValueError: for an array that is neither.
    """
    if values[0].flags.c_contiguous:
        return False
    if values[0].flags.f_contiguous:
        return True
    raise ValueError("values must be contiguous in memory, in C order or with the first axis fastest")


def in_memory_order(values: Shaped[ndarray, "channels nx ny nz"]) -> Shaped[ndarray, "channels voxels"]:
    """The same memory as one row per channel."""
    ordered = values.transpose(0, 3, 2, 1) if is_first_axis_fastest(values) else values
    return ordered.reshape(len(values), -1)


def first_axis_fastest(shape: tuple[int, int, int]) -> Voxels:
    """All voxels of a grid with the first axis fastest."""
    nx, ny, nz = shape

    def voxels(start: int, stop: int) -> Int[ndarray, "voxels"]:
        k, j, i = np.unravel_index(np.arange(start, stop), (nz, ny, nx))
        return (i * ny + j) * nz + k

    return voxels


def evaluate_chunks(
    backend: Backend,
    grid: Grid,
    out: Shaped[ndarray, "channels points"] | None,
    n: int,
    voxels: Voxels | None,
    processes: Processes,
    report: Progress,
) -> None:
    """Evaluate ``n`` voxels of a grid in chunks that the processes take in turn.

    Neighbouring chunks are evaluated at the same time, so that the processes have about the same work. One process
    alone evaluates the whole grid, or up to :data:`CHUNK` voxels, at once.

    Args:
        backend: evaluates the density.
        grid: in the coordinates of the structure.
        out: the result; needed in the collecting process.
        n, voxels: which voxels; None for all of them in C order.
        processes: the processes that share the work.
        report: called with the number of voxels done and of all.

    Raises:
        InputError: in all processes, when the evaluation fails in one.
    """
    if processes.size == 1 and out is not None and (voxels is None or n <= CHUNK):
        backend.grid(grid, out, None if voxels is None else voxels(0, n), report)
        return
    voxels = voxels or np.arange
    size = min(CHUNK, -(-n // processes.size))
    part = np.zeros((backend.rows, size), dtype=backend.dtype)
    for start in range(0, n, size * processes.size):
        first, last = (min(start + turn * size, n) for turn in (processes.rank, processes.rank + 1))
        with processes.together():
            if first < last:
                backend.grid(grid, part[:, : last - first], voxels(first, last))
        for turn, numbers in enumerate(processes.gather(part)):
            assert out is not None
            first, last = (min(start + t * size, n) for t in (turn, turn + 1))
            out[:, first:last] = numbers[:, : last - first]
        report(min(start + size * processes.size, n), n)
