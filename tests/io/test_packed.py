"""Densities in JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.packed import pack_density, unpack_density

CELL = np.array([[4.0, 0.0, 0.0], [1.0, 3.6, 0.0], [0.3, -0.4, 4.4]])


def _density() -> Density:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.uniform(-0.4, 6.0, 1000), np.full(1, 250.0), np.zeros(259)]).reshape(1, 10, 14, 9)
    geometry = Geometry(np.array([1, 8]), rng.uniform(0, 4, (2, 3)), CELL, np.array([True, True, False]))
    return Density(geometry, Grid(CELL, (10, 14, 9), np.array([0.1, 0.2, -0.3])), values)


@pytest.mark.parametrize("step", [1e-3, 0.02])
def test_packed_densities_come_back_within_half_a_step(step: float) -> None:
    density = _density()
    back = unpack_density(json.loads(json.dumps(pack_density(density, step))))
    error = np.abs(back.total - density.total).max()
    assert 0.0 < error <= step / 2 + 1e-12
    assert back.grid.same_as(density.grid)
    np.testing.assert_array_equal(back.geometry.numbers, density.geometry.numbers)
    np.testing.assert_allclose(back.geometry.positions, density.geometry.positions, atol=1e-6)
    np.testing.assert_array_equal(back.geometry.pbc, density.geometry.pbc)


def test_constant_densities_take_little_room() -> None:
    density = _density()
    flat = Density(density.geometry, density.grid, np.full((1, 10, 14, 9), 0.25))
    assert len(pack_density(flat)["values"]) < 300


def test_a_step_must_be_positive() -> None:
    with pytest.raises(InputError, match="positive step"):
        pack_density(_density(), 0.0)
