"""Spectral Hessian, refined and filtered grids against plane waves."""

from __future__ import annotations

import numpy as np
import pytest

from charge3net.analysis.spectral import hessian_spectral, low_pass, refined
from charge3net.errors import InputError
from charge3net.grid import Grid

CELL = np.array([[4.0, 0.0, 0.0], [1.5, 3.5, 0.0], [-0.7, 0.9, 4.5]])


def wave_vector(hkl: tuple[int, int, int]) -> np.ndarray:
    return 2 * np.pi * np.linalg.inv(CELL) @ np.array(hkl)


def wave(grid: Grid, hkl: tuple[int, int, int], phase: float = 0.4) -> np.ndarray:
    return np.cos(grid.points() @ wave_vector(hkl) + phase).reshape(grid.shape)


@pytest.mark.parametrize("hkl", [(1, 0, 0), (2, -3, 1), (0, 4, -4), (-3, 2, 4)])
@pytest.mark.parametrize("shape", [(9, 11, 13), (10, 12, 10)])
def test_hessian_of_a_plane_wave(hkl, shape):
    grid, g = Grid(CELL, shape, np.array([0.3, -0.2, 0.1])), wave_vector(hkl)
    expected = -np.einsum("i,j,xyz->ijxyz", g, g, wave(grid, hkl))
    np.testing.assert_allclose(hessian_spectral(wave(grid, hkl), grid), expected, atol=1e-9)


def test_the_nyquist_wave_has_a_second_derivative_along_its_axis_only():
    grid, g = Grid(CELL, (8, 8, 8)), wave_vector((4, 0, 0))
    values = wave(grid, (4, 0, 0), phase=0.0)
    found = np.einsum("ai,bj,abxyz->ijxyz", CELL.T, CELL.T, hessian_spectral(values, grid))  # fractional
    np.testing.assert_allclose(found[0, 0], -((2 * np.pi * 4) ** 2) * values, rtol=1e-10)
    np.testing.assert_allclose(found[1:], 0.0, atol=1e-8)
    assert np.abs(g).max() > 0


@pytest.mark.parametrize("shape", [(9, 11, 10), (8, 12, 7)])
def test_a_refined_grid_holds_the_same_wave(shape):
    coarse, hkl = Grid(CELL, shape, np.array([0.5, 0.0, 0.0])), (3, -2, 1)
    values, fine = refined(wave(coarse, hkl), coarse, 3)
    assert fine.shape == tuple(3 * n for n in shape)
    np.testing.assert_allclose(values, wave(fine, hkl), atol=1e-10)
    noise = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(refined(noise, coarse, 2)[0][::2, ::2, ::2], noise, atol=1e-12)
    with pytest.raises(InputError, match="positive integer"):
        refined(values, fine, 0)


def test_low_pass_removes_the_waves_beyond():
    grid = Grid(CELL, (20, 20, 20))  # Nyquist: 10
    keep, remove = wave(grid, (8, -3, 2)), wave(grid, (1, 9, 0))
    np.testing.assert_allclose(low_pass(keep + remove, 0.8), keep, atol=1e-12)
