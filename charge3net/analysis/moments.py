"""Magnetic moments: of a cell, and of its atoms in spheres.

A magnetisation density m = ρ↑ − ρ↓ in e/Å³ integrates to a moment in Bohr magnetons (g = 2, one electron one μ_B).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.nearest import nearest_atoms
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: Radius of the spheres in Å: it holds the d shell; neighbouring 3d metals are 2.5 Å apart.
RADIUS = 1.2

#: A smaller moment in its sphere (μ_B) does not make an atom magnetic; small ones sit on the neighbours of large ones.
SMALLEST = 0.3

Alignment = Literal["none", "parallel", "antiparallel"]


def cell_moments(magnetisation: Float[ndarray, "nx ny nz"], grid: Grid) -> tuple[float, float]:
    """∫m and ∫|m| over the cell in μ_B, of m in e/Å³."""
    values = np.asarray(magnetisation, dtype=np.float64)
    return float(values.sum() * grid.voxel_volume), float(np.abs(values).sum() * grid.voxel_volume)


def sphere_moments(
    magnetisation: Float[ndarray, "nx ny nz"], grid: Grid, geometry: Geometry, radius: float = RADIUS
) -> Float[ndarray, "atoms"]:
    """Moment of each atom in μ_B: the sum over the voxels that are nearest to it and no farther than ``radius``.

    Where spheres would overlap, a voxel counts once, for the nearer atom.

    Args:
        magnetisation: m in e/Å³.
        grid, geometry: where the values live, and the atoms.
        radius: of the spheres in Å.

    Raises:
        InputError: for values of another shape than the grid's.
    """
    if magnetisation.shape != grid.shape:
        raise InputError(f"the magnetisation has shape {magnetisation.shape}, the grid {grid.shape}")
    nearest = nearest_atoms(grid.points(np.arange(len(grid))), geometry)
    values = np.asarray(magnetisation, dtype=np.float64).reshape(-1) * (nearest.distances <= radius)
    return np.bincount(nearest.atoms, weights=values, minlength=len(geometry)) * grid.voxel_volume


def alignment(moments: Float[ndarray, "atoms"], smallest: float = SMALLEST) -> Alignment:
    """Whether the atoms' moments (μ_B) of at least ``smallest`` point one way, both ways, or there is none."""
    signs = set(np.sign(moments[np.abs(moments) >= smallest]).tolist())
    if not signs:
        return "none"
    return "parallel" if len(signs) == 1 else "antiparallel"
