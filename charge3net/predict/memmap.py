"""Arrays that are too large for memory, in temporary files."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from charge3net.errors import InputError

#: Arrays of this number of bytes or more are stored in a file.
LARGE = 1 << 30


@dataclass(frozen=True)
class MemmapAllocator:
    """Makes arrays: small ones in memory, large ones in a file without a name, which is removed with the array.

    The system caches as much of the file in memory as is free.

    Attributes:
        folder: where the file is; the space is needed there.
        first_axis_fastest: lay large arrays [channels, nx, ny, nz] out as a CHGCAR lists them, so that they are written
            front to back; else in C order, as cube and npz files do.
        large: arrays of this number of bytes or more are stored in a file.
    """

    folder: Path
    first_axis_fastest: bool
    large: int = LARGE

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[ndarray, "channels nx ny nz"]:
        """An array of this shape.

        Raises:
            InputError: when the folder has no space for it.
        """
        size = math.prod(shape) * dtype.itemsize
        if size < self.large:
            return np.empty(shape, dtype)
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                _reserve(file.fileno(), size)
                if not self.first_axis_fastest:
                    return np.memmap(file, dtype=dtype, mode="r+", shape=shape)
                channels, nx, ny, nz = shape
                return np.memmap(file, dtype=dtype, mode="r+", shape=(channels, nz, ny, nx)).transpose(0, 3, 2, 1)
        except OSError as error:
            raise InputError(
                f"{self.folder}: no space for {size / 2**30:.1f} GB of densities ({error.strerror or error}); "
                "take a coarser grid or another folder"
            ) from None


def front_to_back(values: Shaped[ndarray, "*channels nx ny nz"]) -> Shaped[ndarray, "*channels outer ny inner"]:
    """A view whose planes ``[..., i, :, :]`` follow each other in memory or in the file, in either layout."""
    in_c_order = values.strides[-3] >= values.strides[-1]
    return values if in_c_order else values.swapaxes(-3, -1)


def _reserve(file: int, size: int) -> None:
    """Make a file this long, with space on the disk: writing to a mapped file that finds none ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
