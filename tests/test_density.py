"""Density: sums, channels, differences."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

CELL = np.diag([2.0, 3.0, 4.0])
GEOMETRY = Geometry(np.array([1, 8]), np.zeros((2, 3)), CELL, np.ones(3, bool))


def test_electrons_are_the_integral_whatever_the_grid() -> None:
    """ρ = 0.5·(1 + cos 2πx/a) over a cell of 24 Å³ holds 12 e on every grid."""
    for shape in ((4, 1, 1), (5, 3, 2), (16, 4, 7)):
        wave = 0.5 * (1 + np.cos(2 * np.pi * np.arange(shape[0]) / shape[0]))
        values = np.broadcast_to(wave[:, None, None], shape)
        density = Density(GEOMETRY, Grid(CELL, shape), np.stack([values, values / 4]).astype(np.float32))
        assert density.electrons() == pytest.approx(12.0, rel=1e-6)
        assert density.magnetisation() == pytest.approx(3.0, rel=1e-6)


def test_channels() -> None:
    grid = Grid(CELL, (2, 3, 4))
    plain = Density(GEOMETRY, grid, np.ones((2, 3, 4)))
    assert plain.values.shape == (1, 2, 3, 4)
    assert plain.spin is None
    assert plain.magnetisation() is None
    assert plain.structure.formula == "H1 O1"
    for bad in (np.ones((2, 3, 5)), np.ones((3, 2, 3, 4)), np.ones(24)):
        with pytest.raises((InputError, TypeError)):
            Density(GEOMETRY, grid, bad)


def test_difference_needs_the_same_grid() -> None:
    grid = Grid(CELL, (2, 3, 4))
    three = Density(GEOMETRY, grid, np.full((2, 2, 3, 4), 3.0), ("kept",))
    one = Density(GEOMETRY, grid, np.ones((1, 2, 3, 4)))
    difference = three.difference(one)
    assert difference.electrons() == pytest.approx(2.0 * 24.0)
    assert difference.values.shape == (1, 2, 3, 4)
    assert difference.augmentation == ()
    with pytest.raises(InputError, match="the grids differ"):
        three.difference(Density(GEOMETRY, Grid(CELL * 1.1, (2, 3, 4)), np.ones((1, 2, 3, 4))))


def test_formulas_of_noble_gases_are_silent():
    """Pymatgen sorts by electronegativity, which these have none of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for numbers, formula in (([86], "Rn"), ([54, 9, 9], "XeF2"), ([2, 2], "He")):
            positions = np.arange(3.0 * len(numbers)).reshape(-1, 3)
            assert Geometry(np.array(numbers), positions, 9.0 * np.eye(3), np.ones(3, dtype=bool)).formula == formula
