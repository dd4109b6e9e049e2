"""Derivatives of a periodic field on a grid by Fourier transform, exact for every wave that the grid resolves.

The gradient is :func:`charge3net.analysis.angular.gradient_spectral`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.interpolation import resampled
from charge3net.errors import InputError
from charge3net.grid import Grid


def hessian_spectral(values: Float[ndarray, "nx ny nz"], grid: Grid) -> Float[ndarray, "3 3 nx ny nz"]:
    """∇∇ρ of a periodic field.

    Multiplies by −G_i·G_j in reciprocal space. The Nyquist wave of an even axis stands for +N/2 and −N/2 at once: its
    second derivative along that axis is kept, its mixed ones are zero at the voxels.

    Returns:
        [3, 3, nx, ny, nz] Cartesian second derivatives, units of ``values`` per Å².
    """
    transformed = np.fft.rfftn(np.asarray(values, dtype=np.float64))
    waves = [np.fft.fftfreq(n, d=1.0 / n) for n in grid.shape[:2]]
    waves.append(np.arange(grid.shape[2] // 2 + 1, dtype=np.float64))
    fractional = np.empty((3, 3, *grid.shape))
    for i in range(3):
        for j in range(i, 3):
            factor = -4.0 * np.pi**2 * _along(waves, i, grid, i != j) * _along(waves, j, grid, i != j)
            fractional[i, j] = np.fft.irfftn(factor * transformed, s=grid.shape, axes=(0, 1, 2))
            fractional[j, i] = fractional[i, j]
    inverse = np.linalg.inv(grid.cell)  # ∂/∂x_a = Σ_i inverse[a, i] ∂/∂f_i
    return np.einsum("ai,bj,ijxyz->abxyz", inverse, inverse, fractional, optimize=True)


def refined(values: Float[ndarray, "nx ny nz"], grid: Grid, factor: int) -> tuple[Float[ndarray, "mx my mz"], Grid]:
    """The same periodic field on a grid with ``factor`` times as many voxels along each axis: same waves, zeros added.

    Raises:
        InputError: for a factor that is not a positive integer.
    """
    if factor < 1 or int(factor) != factor:
        raise InputError(f"a grid is refined by a positive integer, found {factor}")
    nx, ny, nz = (n * factor for n in grid.shape)
    fine = Grid(grid.cell, (nx, ny, nz), grid.origin)
    return resampled(values, grid, fine), fine


def _along(waves: list[ndarray], axis: int, grid: Grid, mixed: bool) -> Float[ndarray, "*wide"]:
    """Wave numbers along an axis, shaped to multiply the transform; ``mixed``: without Nyquist's."""
    wave, n = waves[axis].copy(), grid.shape[axis]
    if mixed and n % 2 == 0:
        wave[n // 2] = 0.0
    shape = [1, 1, 1]
    shape[axis] = len(wave)
    return wave.reshape(shape)


def low_pass(values: Float[ndarray, "nx ny nz"], share: float) -> Float[ndarray, "nx ny nz"]:
    """The field without the waves beyond ``share`` of the Nyquist wave number along any axis."""
    values = np.asarray(values, dtype=np.float64)
    transformed = np.fft.fftn(values)
    for axis, n in enumerate(values.shape):
        beyond = np.abs(np.fft.fftfreq(n)) > 0.5 * share
        np.moveaxis(transformed, axis, 0)[beyond] = 0.0
    return np.fft.ifftn(transformed).real
