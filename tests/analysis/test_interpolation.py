"""Interpolation, resampling and integrals against the waves themselves and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from charge3net.analysis.interpolation import (
    fourier_series,
    integral_in_sphere,
    interpolate,
    resampled,
    squared_wave_vectors,
)
from charge3net.grid import Grid

CELL = np.array([[3.0, 0.0, 0.0], [0.7, 3.3, 0.0], [-0.5, 0.4, 3.9]])
WAVES = (((0, 0, 0), 1.3, 0.0), ((1, 0, 0), 0.4, 0.3), ((1, -2, 1), 0.2, 1.1), ((0, 2, 3), 0.1, -0.6))


def field(points: np.ndarray) -> np.ndarray:
    fractions = points @ np.linalg.inv(CELL)
    return sum(a * np.cos(2 * np.pi * fractions @ np.array(k) + p) for k, a, p in WAVES)


def on(grid: Grid) -> np.ndarray:
    return field(grid.points()).reshape(grid.shape)


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (0.2, -1.0, 5.0)])
def test_the_fourier_series_is_exact_and_splines_converge(origin: tuple[float, ...]) -> None:
    points = np.random.default_rng(1).uniform(-5, 5, (60, 3))
    errors = []
    for n in (10, 20, 40):
        grid = Grid(CELL, (n, n + 1, n + 2), np.array(origin))
        np.testing.assert_allclose(fourier_series(on(grid), grid, points), field(points), atol=1e-12)
        errors.append(np.abs(interpolate(on(grid), grid, points) - field(points)).max())
    assert errors[0] / errors[1] > 12  # fourth order: 16
    assert errors[1] / errors[2] > 12


def test_resampling_gives_the_field_on_the_other_grid() -> None:
    grid = Grid(CELL, (7, 9, 11), np.array([0.1, 0.2, 0.3]))
    for shape, origin in (
        ((10, 12, 9), (0.1, 0.2, 0.3)),
        ((7, 9, 11), (1.0, -2.0, 0.5)),
        ((8, 6, 20), (0.0, 0.0, 0.0)),
    ):
        other = Grid(CELL, shape, np.array(origin))
        np.testing.assert_allclose(resampled(on(grid), grid, other), on(other), atol=1e-12)


@pytest.mark.parametrize(("old", "new"), [(6, 9), (6, 10), (7, 4), (8, 6), (9, 6), (8, 5), (6, 6)])
def test_nyquist_waves_as_scipy_treats_them(old: int, new: int) -> None:
    values = np.random.default_rng(old).normal(size=(old, 3, 4))
    found = resampled(values, Grid(CELL, (old, 3, 4)), Grid(CELL, (new, 3, 4)))
    np.testing.assert_allclose(found, scipy.signal.resample(values, new, axis=0), atol=1e-12)
    assert found.mean() == pytest.approx(values.mean(), abs=1e-12)


def test_spheres_of_single_waves() -> None:
    """Against a sum over many voxels of a fine mesh."""
    grid = Grid(CELL, (8, 8, 8))
    centre, radius = np.array([0.4, 1.0, -0.3]), 1.1
    n = 120
    steps = (np.arange(n) + 0.5) / n * 2 * radius - radius
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = offsets[(offsets**2).sum(axis=1) < radius**2]
    brute = field(centre + inside).mean() * 4 / 3 * np.pi * radius**3
    assert integral_in_sphere(on(grid), grid, centre, radius) == pytest.approx(brute, rel=1e-4)


def test_wave_vectors_of_a_skewed_cell() -> None:
    grid = Grid(CELL, (4, 5, 6))
    g = 2 * np.pi * np.linalg.inv(CELL) @ np.array([1, -2, 2])
    assert squared_wave_vectors(grid)[1, 3, 2] == pytest.approx(g @ g)
