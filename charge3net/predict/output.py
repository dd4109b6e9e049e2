"""The array for the values of a prediction, and their scale."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.grid import Grid
from charge3net.predict.backends.base import Backend

logger = logging.getLogger(__name__)

#: Makes an array of a shape and dtype.
Allocate = Callable[[tuple[int, ...], np.dtype], ndarray]


def output_array(backend: Backend, grid: Grid, allocate: Allocate | None) -> Float[ndarray, "channels nx ny nz"]:
    try:
        return (allocate or np.empty)((backend.rows, *grid.shape), backend.dtype)
    except (MemoryError, ValueError) as error:
        raise InputError(
            f"a grid of {'×'.join(map(str, grid.shape))} voxels does not fit in memory; take a coarser one"
        ) from error


def scale_to(density: Density, electrons: float | None) -> float | None:
    """Scale the total density, in place, to a number of electrons; the factor, or None without such a number."""
    if electrons is None:
        return None
    found = density.electrons()
    if not (np.isfinite(electrons) and electrons > 0 and found > 0):
        raise InputError(f"cannot scale a density of {found:.6g} electrons to {electrons:g}; both must be positive")
    factor = electrons / found
    density.total[...] *= factor
    logger.info("total density scaled by %.6f, from %.4f to %.4f electrons", factor, found, electrons)
    return factor
