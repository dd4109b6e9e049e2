"""A periodic field between its voxels: splines, the exact Fourier series, other grids, integrals in spheres.

The Fourier series is that of the waves that the grid resolves. On an axis with an even number n of voxels, the wave
n/2 stands for +n/2 and −n/2 in equal parts.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float
from numpy import ndarray
from scipy.ndimage import map_coordinates

from charge3net.errors import InputError
from charge3net.grid import Grid

#: Degree of the splines.
ORDER = 3

#: Complex numbers in memory at once for the Fourier series at points.
_TERMS = 1 << 22


def interpolate(
    values: Float[ndarray, "nx ny nz"], grid: Grid, points: Float[ndarray, "*n 3"], order: int = ORDER
) -> Float[ndarray, "*n"]:
    """A periodic field at any points by splines through the voxels; the error falls as spacing^(order + 1).

    Args:
        values: any unit.
        grid: its cell is the period along all three vectors.
        points: Cartesian, Å; anywhere.
        order: degree of the splines, 0 … 5.

    Raises:
        InputError: for another order.
    """
    if order not in range(6):
        raise InputError(f"splines have a degree of 0 to 5, found {order}")
    fractions = (points - grid.origin) @ np.linalg.inv(grid.cell)
    index = np.moveaxis(fractions * np.array(grid.shape), -1, 0)
    return map_coordinates(np.asarray(values, dtype=np.float64), index, order=order, mode="grid-wrap")


def fourier_series(
    values: Float[ndarray, "nx ny nz"], grid: Grid, points: Float[ndarray, "n 3"]
) -> Float[ndarray, "n"]:
    """The same field at points by its Fourier series: exact for a field without waves that the grid does not resolve.

    The cost is points × voxels; for many points use :func:`interpolate` or :func:`resampled`.
    """
    transformed = scipy.fft.fftn(np.asarray(values, dtype=np.float64)) / len(grid)
    fractions = (np.asarray(points, dtype=np.float64) - grid.origin) @ np.linalg.inv(grid.cell)
    found = np.empty(len(fractions))
    step = max(_TERMS // (grid.shape[1] * grid.shape[2]), 1)
    for start in range(0, len(fractions), step):
        x, y, z = (_waves_at(fractions[start : start + step, i], n) for i, n in enumerate(grid.shape))
        rows = np.einsum("xyz,pz->pxy", transformed, z, optimize=True)
        found[start : start + step] = np.einsum("pxy,px,py->p", rows, x, y, optimize=True).real
    return found


def _waves_at(fractions: Float[ndarray, "points"], n: int) -> Complex[ndarray, "points n"]:
    """exp(2πi k f) for the waves k of an axis in the order of the transform; the cosine for the wave n/2."""
    waves = np.exp(2j * np.pi * fractions[:, None] * scipy.fft.fftfreq(n, 1.0 / n))
    if n % 2 == 0:
        waves[:, n // 2] = waves[:, n // 2].real
    return waves


def resampled(values: Float[ndarray, "nx ny nz"], grid: Grid, target: Grid) -> Float[ndarray, "mx my mz"]:
    """The field on another grid of the same cell through its Fourier series, waves that do not fit left out.

    The mean, and so the integral, stays. A coarser grid can make values negative where the field varies quickly.

    Raises:
        InputError: for a grid of another cell.
    """
    if not np.allclose(grid.cell, target.cell, rtol=0.0, atol=1e-5):
        raise InputError("a density is resampled to a grid of the same cell; this grid has another one")
    offset = (target.origin - grid.origin) @ np.linalg.inv(grid.cell)
    found = np.asarray(values, dtype=np.float64)
    for axis, n in enumerate(target.shape):
        if n != found.shape[axis] or abs(offset[axis]) > 1e-12:
            found = _resampled_axis(found, axis, n, float(offset[axis]))
    return found


def _resampled_axis(values: Float[ndarray, "a b c"], axis: int, new: int, offset: float) -> Float[ndarray, "d e f"]:
    old = values.shape[axis]
    waves = np.moveaxis(scipy.fft.rfft(values, axis=axis), axis, -1)
    kept = min(old, new) // 2 + 1
    waves = waves[..., :kept] * np.exp(2j * np.pi * offset * np.arange(kept))
    last = min(old, new)
    if last % 2 == 0:
        waves[..., -1] = waves[..., -1].real
        if new > old:
            waves[..., -1] *= 0.5  # +n/2 and −n/2 have a half each
        elif new < old:
            waves[..., -1] *= 2.0  # both fall on one wave
    return np.moveaxis(scipy.fft.irfft(waves, new, axis=-1), -1, axis) * (new / old)


def integral_in_sphere(
    values: Float[ndarray, "nx ny nz"], grid: Grid, centre: Float[ndarray, "3"], radius: float
) -> float:
    """∫ of the field over a sphere, exact for its Fourier series: no voxel is cut by the surface.

    A wave exp(iG·r) integrates over the sphere to exp(iG·centre) · 4π (sin x − x cos x)/G³ with x = G·radius.

    Args:
        values: e/Å³ for electrons.
        grid: its cell is the period.
        centre: [3] Å.
        radius: Å; a sphere larger than the cell counts periodic images.

    Raises:
        InputError: for a radius that is not positive.
    """
    if not (np.isfinite(radius) and radius > 0):
        raise InputError(f"the radius of a sphere is a positive length in Å, found {radius}")
    transformed = scipy.fft.fftn(np.asarray(values, dtype=np.float64)) / len(grid)
    fractions = (np.asarray(centre, dtype=np.float64) - grid.origin) @ np.linalg.inv(grid.cell)
    x, y, z = (_waves_at(fractions[i : i + 1], n)[0] for i, n in enumerate(grid.shape))
    reach = radius * np.sqrt(squared_wave_vectors(grid))
    small = reach < 1e-2
    safe = np.where(small, 1.0, reach)
    shape = np.where(small, 1.0 / 3.0 - reach**2 / 30.0, (np.sin(safe) - safe * np.cos(safe)) / safe**3)
    total = np.einsum("xyz,x,y,z->", transformed * shape, x, y, z, optimize=True)
    return float(4.0 * np.pi * radius**3 * total.real)


def squared_wave_vectors(grid: Grid) -> Float[ndarray, "nx ny nz"]:
    """[nx, ny, nz] G² in 1/Å² in the order of the discrete Fourier transform."""
    waves = np.meshgrid(*(scipy.fft.fftfreq(n, 1.0 / n) for n in grid.shape), indexing="ij", sparse=True)
    reciprocal = 2.0 * np.pi * np.linalg.inv(grid.cell).T
    metric = reciprocal @ reciprocal.T
    found = np.zeros(grid.shape)
    for i in range(3):
        for j in range(3):
            found += metric[i, j] * waves[i] * waves[j]
    return found
