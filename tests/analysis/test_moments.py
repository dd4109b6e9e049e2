"""Moments of Gaussians, which hold what their formula says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from charge3net.analysis.moments import alignment, cell_moments, sphere_moments
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from tests.helpers.gaussians import gaussian_density

CELL = np.array([[5.0, 0.0, 0.0], [0.8, 4.6, 0.0], [0.0, 0.5, 5.5]])
WIDTH = 0.3  # Å


def two_atoms() -> tuple[Grid, Geometry, np.ndarray]:
    """Gaussian moments of +3 and −2 μ_B on two atoms of a skewed cell, one of them at its corner."""
    positions = np.array([[0.0, 0.0, 0.0], 0.5 * CELL.sum(axis=0)])
    grid = Grid(CELL, (40, 40, 44))
    geometry = Geometry(np.array([25, 26]), positions, CELL, np.array([True] * 3))
    return grid, geometry, gaussian_density(geometry, grid, WIDTH, charges=(3.0, -2.0), images=1).total


def test_moments_of_gaussians() -> None:
    grid, geometry, values = two_atoms()
    total, absolute = cell_moments(values, grid)
    assert total == pytest.approx(1.0, abs=1e-6)
    assert absolute == pytest.approx(5.0, abs=1e-3)
    assert sphere_moments(values, grid, geometry, 1.8) == pytest.approx([3.0, -2.0], abs=1e-3)
    # within r: erf(x) − 2x exp(−x²)/√π, x = r/(√2 σ)
    x = 0.6 / (math.sqrt(2) * WIDTH)
    held = math.erf(x) - 2 * x * math.exp(-(x**2)) / math.sqrt(math.pi)
    assert sphere_moments(values, grid, geometry, 0.6) == pytest.approx([3 * held, -2 * held], rel=0.02)


def test_moments_follow_a_change_of_sign_and_of_the_atoms_order() -> None:
    grid, geometry, values = two_atoms()
    swapped = Geometry(geometry.numbers[::-1], geometry.positions[::-1], geometry.cell, geometry.pbc)
    assert sphere_moments(-values, grid, swapped) == pytest.approx(-sphere_moments(values, grid, geometry)[::-1])


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([4.0, 0.1, -0.1], "parallel"),
        ([-4.0, -2.0], "parallel"),
        ([2.5, -1.5, 0.0], "antiparallel"),
        ([0.1, -0.1], "none"),
    ],
)
def test_alignment(moments: list[float], expected: str) -> None:
    assert alignment(np.array(moments)) == expected


def test_another_shape_is_refused() -> None:
    grid, geometry, values = two_atoms()
    with pytest.raises(InputError, match=r"the magnetisation has shape \(20, 40, 44\)"):
        sphere_moments(values[:20], grid, geometry)
