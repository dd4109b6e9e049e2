"""A grid read slab by slab: by several processes in turn, or into an array that is laid out for a file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from charge3net.predict.distributed import Processes
from charge3net.predict.progress import Progress

#: Points that a process reads at once: the one that collects holds a megabyte of numbers for each process.
CHUNK = 1 << 18

#: ``points(start, stop)`` gives the flat indices of a range of the voxels to be read.
Voxels = Callable[[int, int], Int[ndarray, "voxels"]]

#: ``read(voxels, out)`` writes the density at these voxels into the columns of ``out``.
Read = Callable[[Int[ndarray, "voxels"], Shaped[ndarray, "channels voxels"]], None]


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
    out: Shaped[ndarray, "channels points"] | None,
    channels: int,
    dtype: np.dtype,
    n: int,
    voxels: Voxels,
    read: Read,
    processes: Processes,
    report: Progress,
) -> None:
    """Read ``n`` voxels in slabs that the processes take in turn.

    Neighbouring slabs are read at the same time, so that the processes have about the same work.

    Args:
        out: gets the numbers; needed in the process that collects.
        channels, dtype: of the numbers.
        n, voxels: which voxels.
        read: reads some of them.
        processes: those who read.
        report: called with the voxels read and to be read.

    Raises:
        InputError: in all processes, when reading fails in one.
    """
    slab = min(CHUNK, -(-n // processes.size))
    part = np.zeros((channels, slab), dtype=dtype)
    for start in range(0, n, slab * processes.size):
        first, last = (min(start + turn * slab, n) for turn in (processes.rank, processes.rank + 1))
        with processes.together():
            if first < last:
                read(voxels(first, last), part[:, : last - first])
        for turn, numbers in enumerate(processes.gather(part)):
            assert out is not None
            first, last = (min(start + t * slab, n) for t in (turn, turn + 1))
            out[:, first:last] = numbers[:, : last - first]
        report(min(start + slab * processes.size, n), n)
