"""Densities in few bytes: multiples of a step, differences between voxels, bytes of equal weight side by side, xz.

Two layouts, both in files of this repository. Bundles of data sets hold bytes of :func:`encode`: differences along the
three axes, and a step chosen such that Σ|error| / Σ|ρ| stays below ``TOLERANCE`` (for an error spread evenly over
± step/2 the mean of |error| is step/4). Results of studies hold JSON values of :func:`pack_density`: differences from
one voxel to the next in storage order, and a given step. Rounding to the step is the only loss in both; differences of
integers are exact, so decoding gives the same numbers on every machine.
"""

from __future__ import annotations

import base64
import lzma
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: Largest Σ|error| / Σ|ρ| that rounding may cause in :func:`encode`.
TOLERANCE = 1e-4

#: Step of :func:`pack_density`, e/Å³.
STEP = 1e-3

_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]


def encode(values: Float[ndarray, "nx ny nz"], norm: float | None = None) -> tuple[bytes, float, float]:
    """Bytes, step in e/Å³, and the error Σ|error| / Σ|ρ| of a density in e/Å³.

    ``norm`` is the Σ|ρ| that the error is measured by, for a magnetisation that of the total density; by default the
    values' own.

    Raises:
        ValueError: for values that are not finite, or all zero.
    """
    exact = np.asarray(values, dtype=np.float64)
    norm = float(np.abs(exact).sum()) if norm is None else norm
    if not np.isfinite(exact).all() or norm == 0.0:
        raise ValueError("a density to pack must be finite and not all zero")
    step = 4.0 * TOLERANCE * norm / exact.size
    while True:
        steps = np.rint(exact / step).astype(np.int32)
        error = float(np.abs(_scaled(steps, step) - exact).sum() / norm)
        if error <= TOLERANCE:
            break
        step *= 0.98
    for axis in range(3):
        steps = np.diff(steps, axis=axis, prepend=np.int32(0))
    zigzag = (steps << 1) ^ (steps >> 31)  # small magnitudes, either sign, to small numbers
    return _compress(zigzag), step, error


def decode(blob: bytes, shape: tuple[int, int, int], step: float) -> Float[ndarray, "nx ny nz"]:
    """The density in e/Å³, float32.

    Raises:
        ValueError: when the bytes do not hold a density of this shape.
    """
    zigzag = _decompress(blob, shape).view("<u4")
    steps = (zigzag >> 1).astype(np.int32) ^ -(zigzag & 1).astype(np.int32)
    for axis in range(3):
        steps = np.cumsum(steps, axis=axis, dtype=np.int32)
    return _scaled(steps, step)


def pack_density(density: Density, step: float = STEP) -> dict[str, Any]:
    """Atoms, grid and total density as plain JSON values.

    Args:
        density: its total density is stored, a magnetisation and augmentation are not.
        step: e/Å³; no voxel changes by more than half of it.

    Raises:
        InputError: for a step that is not positive.
    """
    if not step > 0.0:
        raise InputError(f"a density is rounded to a positive step, found {step}")
    whole = np.rint(np.asarray(density.total, dtype=np.float64) / step).astype(np.int64).reshape(-1)
    geometry = density.geometry
    return {
        "numbers": geometry.numbers.tolist(),
        "positions": np.round(geometry.positions, 6).tolist(),
        "cell": density.grid.cell.tolist(),
        "pbc": geometry.pbc.tolist(),
        "origin": density.grid.origin.tolist(),
        "shape": list(density.grid.shape),
        "step": step,
        "values": base64.b64encode(_compress(np.diff(whole, prepend=0).astype(np.int32))).decode(),
    }


def unpack_density(packed: dict[str, Any]) -> Density:
    """The density of :func:`pack_density`.

    Raises:
        ValueError: when the values do not hold a density of this shape.
    """
    shape, cell = tuple(packed["shape"]), np.array(packed["cell"])
    differences = _decompress(base64.b64decode(packed["values"]), shape)
    whole = np.cumsum(differences, dtype=np.int64)
    geometry = Geometry(np.array(packed["numbers"]), np.array(packed["positions"]), cell, np.array(packed["pbc"]))
    return Density(geometry, Grid(cell, shape, np.array(packed["origin"])), (whole * packed["step"]).reshape(1, *shape))


def _compress(integers: Int[ndarray, "..."]) -> bytes:
    """32-bit integers as byte planes: bytes of equal weight lie side by side, and xz finds the zeros."""
    planes = integers.astype("<i4").reshape(-1, 1).view(np.uint8).T
    return lzma.compress(planes.tobytes(), format=lzma.FORMAT_XZ, filters=_FILTERS)


def _decompress(blob: bytes, shape: tuple[int, ...]) -> Int[ndarray, "nx ny nz"]:
    try:
        planes = np.frombuffer(lzma.decompress(blob), dtype=np.uint8)
    except lzma.LZMAError as error:
        raise ValueError(f"packed density is damaged: {error}") from None
    if planes.size != 4 * np.prod(shape):
        raise ValueError(f"packed density holds {planes.size // 4} values, expected a grid of {shape}")
    return np.ascontiguousarray(planes.reshape(4, -1).T).view("<i4").reshape(shape)


def _scaled(steps: Int[ndarray, "nx ny nz"], step: float) -> Float[ndarray, "nx ny nz"]:
    return (steps * np.float64(step)).astype(np.float32)
