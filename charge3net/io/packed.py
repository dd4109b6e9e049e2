"""Densities in few bytes: multiples of a step, differences between voxels, bytes of equal weight side by side, xz.

Three layouts, all in files of this repository. Bundles of data sets hold bytes of :func:`encode`: differences along the
three axes, and a step chosen such that Σ|error| / Σ|ρ| stays below ``TOLERANCE`` (for an error spread evenly over
± step/2 the mean of |error| is step/4); or bytes of :func:`encode_orbits`: of the same differences one for each set of
voxels that are images of each other. Results of studies hold JSON values of :func:`pack_density`: differences from one
voxel to the next in storage order, and a given step. Rounding to the step, and with orbits to their mean, is the only
loss; differences of integers are exact, so decoding gives the same numbers on every machine.
"""

from __future__ import annotations

import base64
import lzma
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: Largest Σ|error| / Σ|ρ| that :func:`encode` and :func:`encode_orbits` may cause.
TOLERANCE = 1e-4

#: Step of :func:`pack_density`, e/Å³.
STEP = 1e-3

_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
_BARE = [{"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 20}]
#: The voxels from which the triple difference predicts a voxel: steps back along the axes, and the sign.
_BACK = [(np.array(back), (-1) ** (sum(back) + 1)) for back in product((0, 1), repeat=3) if any(back)]


def encode(values: Float[ndarray, "nx ny nz"], norm: float | None = None) -> tuple[bytes, float, float]:
    """Bytes, step in e/Å³, and the error Σ|error| / Σ|ρ| of a density in e/Å³.

    ``norm`` is the Σ|ρ| that the error is measured by, for a magnetisation that of the total density; by default the
    values' own.

    Raises:
        ValueError: for values that are not finite, or all zero.
    """
    exact, norm = _exact(values, norm)
    steps, step, error = _rounded(exact, exact, norm, lambda rounded: rounded)
    return _compress(_zigzag(_differences(steps))), step, error


def decode(blob: bytes, shape: tuple[int, int, int], step: float) -> Float[ndarray, "nx ny nz"]:
    """The density in e/Å³, float32.

    Raises:
        ValueError: when the bytes do not hold a density of this shape.
    """
    steps = _unzigzag(_decompress(blob, shape))
    for axis in range(3):
        steps = np.cumsum(steps, axis=axis, dtype=np.int32)
    return _scaled(steps, step)


def encode_orbits(
    values: Float[ndarray, "nx ny nz"], orbit: Int[ndarray, "voxels"], norm: float | None = None
) -> tuple[bytes, float, float]:
    """:func:`encode` for values that are equal on the voxels of an orbit: their mean is kept.

    Args:
        values: a density or magnetisation in e/Å³.
        orbit: the orbit of each voxel in C order; orbits are numbered by their first voxels.
        norm: as in :func:`encode`.

    Returns:
        Bytes, step in e/Å³, and Σ|error| / Σ|ρ| over all voxels; what the means change is in it.

    Raises:
        ValueError: as :func:`encode`, and when the means alone change the values by more than half the tolerance.
    """
    exact, norm = _exact(values, norm)
    mean = np.bincount(orbit, exact.ravel()) / np.bincount(orbit)
    if np.abs(mean[orbit] - exact.ravel()).sum() > TOLERANCE / 2 * norm:
        raise ValueError("the values are not equal on the voxels of an orbit")
    steps, step, error = _rounded(mean, exact, norm, lambda rounded: rounded[orbit].reshape(exact.shape), digits=4)
    differences = _differences(steps[orbit].reshape(exact.shape)).ravel()
    zigzag = _zigzag(differences[np.unique(orbit, return_index=True)[1]])
    width = max((int(zigzag.max()).bit_length() + 7) // 8, 1)  # bytes that are not zero throughout
    return lzma.compress(_planes(zigzag)[:width].tobytes(), lzma.FORMAT_RAW, filters=_BARE), step, error


def decode_orbits(
    blob: bytes, orbit: Int[ndarray, "voxels"], shape: tuple[int, int, int], step: float
) -> Float[ndarray, "nx ny nz"]:
    """The density in e/Å³, float32, from bytes of :func:`encode_orbits`.

    The first voxel of an orbit is found from its difference and from voxels before it, which lie in orbits before it.

    Raises:
        ValueError: when the bytes do not hold values for these orbits.
    """
    first = np.unique(orbit, return_index=True)[1]
    try:
        planes = np.frombuffer(lzma.decompress(blob, lzma.FORMAT_RAW, filters=_BARE), dtype=np.uint8)
    except lzma.LZMAError as error:
        raise ValueError(f"packed density is damaged: {error}") from None
    if planes.size % len(first) or not 1 <= planes.size // len(first) <= 4:
        raise ValueError(f"packed density holds {planes.size} bytes, expected one to four for each of {len(first)}")
    padded = np.zeros((4, len(first)), dtype=np.uint8)
    padded[: planes.size // len(first)] = planes.reshape(-1, len(first))
    differences = _unzigzag(np.ascontiguousarray(padded.T).view("<i4").ravel())
    ijk = np.stack(np.unravel_index(first, shape), axis=-1)
    sources = []
    for back, _ in _BACK:
        place = ijk - back
        source = orbit[np.ravel_multi_index(tuple(place.T), shape, mode="wrap")]
        sources.append(np.where((place < 0).any(axis=1), len(first), source))  # outside the grid: a zero at the end
    steps, signs = [0] * (len(first) + 1), [sign for _, sign in _BACK]
    rows = np.stack(sources, axis=-1).tolist()
    for number, (difference, row) in enumerate(zip(differences.tolist(), rows, strict=True)):
        steps[number] = difference + sum(sign * steps[source] for sign, source in zip(signs, row, strict=True))
    return _scaled(np.array(steps, dtype=np.int32)[orbit].reshape(shape), step)


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


def _exact(values: Float[ndarray, "nx ny nz"], norm: float | None) -> tuple[Float[ndarray, "nx ny nz"], float]:
    exact = np.asarray(values, dtype=np.float64)
    norm = float(np.abs(exact).sum()) if norm is None else norm
    if not np.isfinite(exact).all() or norm == 0.0:
        raise ValueError("a density to pack must be finite and not all zero")
    return exact, norm


def _rounded(
    values: Float[ndarray, "..."],
    exact: Float[ndarray, "nx ny nz"],
    norm: float,
    spread: Callable[[ndarray], ndarray],
    digits: int | None = None,
) -> tuple[Int[ndarray, "..."], float, float]:
    """Values as multiples of a step, the step (of so many ``digits``), and the error of the values that ``spread`` puts
    on the grid."""
    step = 4.0 * TOLERANCE * norm / exact.size
    while True:
        step = step if digits is None else float(f"{step:.{digits}g}")
        steps = np.rint(values / step).astype(np.int32)
        error = float(np.abs(spread(_scaled(steps, step)) - exact).sum() / norm)
        if error <= TOLERANCE:
            return steps, step, error
        step *= 0.98


def _differences(steps: Int[ndarray, "nx ny nz"]) -> Int[ndarray, "nx ny nz"]:
    for axis in range(3):
        steps = np.diff(steps, axis=axis, prepend=np.int32(0))
    return steps


def _zigzag(steps: Int[ndarray, "..."]) -> Int[ndarray, "..."]:
    """Small magnitudes, either sign, to small numbers."""
    return (steps << 1) ^ (steps >> 31)


def _unzigzag(zigzag: Int[ndarray, "..."]) -> Int[ndarray, "..."]:
    unsigned = zigzag.view("<u4")
    return (unsigned >> 1).astype(np.int32) ^ -(unsigned & 1).astype(np.int32)


def _planes(integers: Int[ndarray, "..."]) -> ndarray:
    return integers.astype("<i4").reshape(-1, 1).view(np.uint8).T


def _compress(integers: Int[ndarray, "..."]) -> bytes:
    """32-bit integers as byte planes: bytes of equal weight lie side by side, and xz finds the zeros."""
    return lzma.compress(_planes(integers).tobytes(), format=lzma.FORMAT_XZ, filters=_FILTERS)


def _decompress(blob: bytes, shape: tuple[int, ...]) -> Int[ndarray, "nx ny nz"]:
    try:
        planes = np.frombuffer(lzma.decompress(blob), dtype=np.uint8)
    except lzma.LZMAError as error:
        raise ValueError(f"packed density is damaged: {error}") from None
    if planes.size != 4 * np.prod(shape):
        raise ValueError(f"packed density holds {planes.size // 4} values, expected a grid of {shape}")
    return np.ascontiguousarray(planes.reshape(4, -1).T).view("<i4").reshape(shape)


def _scaled(steps: Int[ndarray, "..."], step: float) -> Float[ndarray, "..."]:
    return (steps * np.float64(step)).astype(np.float32)
