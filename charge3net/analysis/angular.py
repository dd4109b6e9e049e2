"""ζ: how much of a density's variation is angular about the nearest atom.

ζ is one minus the average of |cos| of the angle between the density's gradient and the direction to the nearest atom,
weighted by the length of the gradient:

    ζ = 1 − Σ_k |∇ρ(g_k) · r̂_k| / Σ_k |∇ρ(g_k)|

with r̂_k the unit vector from the nearest atom (periodic images included) to voxel g_k. A density that depends only on
the distance to the nearest atom has ζ = 0; gradients at right angles to r̂ everywhere give ζ = 1; random directions ½.

Source: Koker, Quigley, Taw, Tibbetts, Li, npj Comput. Mater. 10, 161 (2024), the analysis of what higher orders gain,
and the definition in its published code (github.com/AIforGreatGood/charge3net). There the gradient is a finite
difference, one-sided at the faces of the cell (method ``"published"``); here it is periodic (spectral, or central
differences). A voxel that sits on an atom has no direction and is left out. Where several atoms are nearest to a voxel
(within 0.001 Å), the mean of |∇ρ · r̂| over them is taken; the published code takes the one that its search finds first.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.nearest import equally_near_atoms
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.grid import Grid

GradientMethod = Literal["spectral", "central", "published"]

#: Voxels closer than this to a nucleus (Å) have no direction.
ON_ATOM = 1e-6

#: Voxels per chunk.
CHUNK = 1 << 18


def gradient_spectral(values: Float[ndarray, "nx ny nz"], grid: Grid) -> Float[ndarray, "3 nx ny nz"]:
    """∇ρ of a periodic field, exact for every wave the grid resolves.

    Multiplies by iG in reciprocal space. The Nyquist wave of an even axis stands for +N/2 and −N/2 at once, so its
    derivative along that axis is zero at the voxels and is set to zero.

    Returns:
        [3, nx, ny, nz] Cartesian derivative, units of ``values`` per Å.
    """
    transformed = np.fft.rfftn(np.asarray(values, dtype=np.float64))
    waves = [np.fft.fftfreq(n, d=1.0 / n) for n in grid.shape[:2]]
    waves.append(np.arange(grid.shape[2] // 2 + 1, dtype=np.float64))
    for n, wave in zip(grid.shape, waves, strict=True):
        if n % 2 == 0:
            wave[n // 2] = 0.0
    fractional = []
    for axis, wave in enumerate(waves):
        shape = [1, 1, 1]
        shape[axis] = len(wave)
        fractional.append(np.fft.irfftn(2j * np.pi * wave.reshape(shape) * transformed, s=grid.shape, axes=(0, 1, 2)))
    return _to_cartesian(np.stack(fractional), grid)


def gradient_central(values: Float[ndarray, "nx ny nz"], grid: Grid) -> Float[ndarray, "3 nx ny nz"]:
    """∇ρ of a periodic field by central differences, second order in the spacing.

    Returns:
        [3, nx, ny, nz] Cartesian derivative, units of ``values`` per Å.
    """
    values = np.asarray(values, dtype=np.float64)
    differences = [
        (np.roll(values, -1, axis) - np.roll(values, 1, axis)) * (grid.shape[axis] / 2.0) for axis in range(3)
    ]
    return _to_cartesian(np.stack(differences), grid)


def gradient_published(values: Float[ndarray, "nx ny nz"], grid: Grid) -> Float[ndarray, "3 nx ny nz"]:
    """∇ρ by finite differences that do not go round the cell, as the published ζ takes them.

    Central differences inside; at the first and last voxel of an axis the one-sided difference to its only neighbour in
    the cell, first order in the spacing.

    Returns:
        [3, nx, ny, nz] Cartesian derivative, units of ``values`` per Å.

    Raises:
        InputError: for an axis with a single voxel.
    """
    if min(grid.shape) < 2:
        raise InputError(f"one-sided differences need two voxels along every axis, found the grid {grid.shape}")
    values = np.asarray(values, dtype=np.float64)
    differences = [np.gradient(values, 1.0 / n, axis=axis) for axis, n in enumerate(grid.shape)]
    return _to_cartesian(np.stack(differences), grid)


def _to_cartesian(fractional: Float[ndarray, "3 nx ny nz"], grid: Grid) -> Float[ndarray, "3 nx ny nz"]:
    """∂ρ/∂f_i = Σ_j cell_ij ∂ρ/∂x_j, solved for the Cartesian derivative."""
    return np.einsum("ji,ixyz->jxyz", np.linalg.inv(grid.cell), fractional)


_GRADIENTS = {"spectral": gradient_spectral, "central": gradient_central, "published": gradient_published}


def angular_variation(density: Density, cutoff: float | None = None, method: GradientMethod = "spectral") -> float:
    """ζ of the total density (see the module's text for the definition).

    Args:
        density: periodic density with its atoms.
        cutoff: leave out voxels farther than this from every atom, in Å; None takes all.
        method: ``"spectral"`` (for densities on their own plane-wave grid), ``"central"`` differences, or
            ``"published"``: central differences that are one-sided at the faces of the cell.

    Returns:
        ζ between 0 and 1; 0 for a constant density, which varies in no direction.

    Raises:
        InputError: for a cutoff that leaves no voxel, or a grid that the method cannot differentiate.
    """
    grid = density.grid
    gradient = _GRADIENTS[method](density.total, grid).reshape(3, -1)
    along = total = 0.0
    voxels = 0
    for start in range(0, len(grid), CHUNK):
        index = np.arange(start, min(start + CHUNK, len(grid)))
        point, vectors = equally_near_atoms(grid.points(index), density.geometry)
        distances = np.linalg.norm(vectors, axis=1)
        first = np.append(True, np.diff(point) > 0)
        keep = ((distances[first] > ON_ATOM) & (distances[first] < (np.inf if cutoff is None else cutoff)))[point]
        slope = gradient[:, index[point[keep]]].T
        direction = vectors[keep] / distances[keep, None]
        share = 1.0 / np.bincount(point)[point[keep]]  # the mean over atoms that are equally near
        along += float(share @ np.abs(np.einsum("pi,pi->p", slope, direction)))
        total += float(share @ np.linalg.norm(slope, axis=1))
        voxels += int((first & keep).sum())
    if voxels == 0:
        raise InputError(f"no voxel lies within {cutoff} Å of an atom; take a larger cutoff")
    if total < 1e-12 * max(1.0, float(np.abs(density.total).max())):
        return 0.0
    return 1.0 - along / total
