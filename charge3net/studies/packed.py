"""Densities in a result of a study, small enough for JSON: for isosurfaces drawn from the result alone.

Values are rounded to multiples of a step, differences from voxel to voxel are taken, and their bytes are compressed
(xz) and written as base64. Rounding is the only loss: no voxel is wrong by more than half a step.
"""

from __future__ import annotations

import base64
import lzma
from typing import Any

import numpy as np

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: e/Å³.
STEP = 1e-3


def pack_density(density: Density, step: float = STEP) -> dict[str, Any]:
    """Atoms, grid and total density as plain JSON values.

    Args:
        density: its total density is kept, a magnetisation and augmentation are not.
        step: e/Å³; no voxel changes by more than half of it.

    Raises:
        InputError: for a step that is not positive.
    """
    if not step > 0.0:
        raise InputError(f"a density is rounded to a positive step, found {step}")
    whole = np.rint(np.asarray(density.total, dtype=np.float64) / step).astype(np.int64).reshape(-1)
    differences = np.diff(whole, prepend=0).astype("<i4")
    planes = differences.view(np.uint8).reshape(-1, 4).T  # like bytes beside each other: xz finds the zeros
    geometry = density.geometry
    return {
        "numbers": geometry.numbers.tolist(),
        "positions": np.round(geometry.positions, 6).tolist(),
        "cell": density.grid.cell.tolist(),
        "pbc": geometry.pbc.tolist(),
        "origin": density.grid.origin.tolist(),
        "shape": list(density.grid.shape),
        "step": step,
        "values": base64.b64encode(lzma.compress(planes.tobytes(), preset=9)).decode(),
    }


def unpack_density(packed: dict[str, Any]) -> Density:
    """The density of :func:`pack_density`."""
    shape, cell = tuple(packed["shape"]), np.array(packed["cell"])
    planes = np.frombuffer(lzma.decompress(base64.b64decode(packed["values"])), dtype=np.uint8).reshape(4, -1)
    whole = np.cumsum(np.ascontiguousarray(planes.T).view("<i4").reshape(-1), dtype=np.int64)
    geometry = Geometry(np.array(packed["numbers"]), np.array(packed["positions"]), cell, np.array(packed["pbc"]))
    return Density(geometry, Grid(cell, shape, np.array(packed["origin"])), (whole * packed["step"]).reshape(1, *shape))
