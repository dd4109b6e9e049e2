"""The array for the values of a prediction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.grid import Grid
from charge3net.predict.backends.base import Backend

#: Makes an array of a shape and dtype.
Allocate = Callable[[tuple[int, ...], np.dtype], ndarray]


def output_array(backend: Backend, grid: Grid, allocate: Allocate | None) -> Float[ndarray, "channels nx ny nz"]:
    try:
        return (allocate or np.empty)((backend.rows, *grid.shape), backend.dtype)
    except (MemoryError, ValueError) as error:
        raise InputError(
            f"a grid of {'×'.join(map(str, grid.shape))} voxels does not fit in memory; take a coarser one"
        ) from error
