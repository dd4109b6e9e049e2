"""Errors by distance and by density: parts by hand, in closed form, and their sum."""

from __future__ import annotations

import numpy as np
import pytest

from charge3net.analysis.metrics import ErrorSums
from charge3net.analysis.shells import DENSITY_EDGES, SHELL, by_density, by_distance, density_histogram
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid


def _density(values: np.ndarray, side: float, numbers: int = 1) -> Density:
    rng = np.random.default_rng(5)
    cell = np.eye(3) * side
    positions = np.array([[0.4931, 0.5171, 0.5077]]) * side if numbers == 1 else rng.random((numbers, 3)) * side
    geometry = Geometry(np.full(numbers, 6), positions, cell, np.ones(3, dtype=bool))
    return Density(geometry, Grid(cell, values.shape[-3:]), values)


def test_shells_of_one_atom_are_spheres() -> None:
    density = _density(np.full((1, 72, 72, 72), 0.5), 4.0)
    parts = by_distance(density, np.full((72, 72, 72), 0.4))
    middle = (parts.edges[1:] + parts.edges[:-1]) / 2
    inside = (middle > 0.6) & (middle < 1.85)  # beyond half the cell shells are cut
    np.testing.assert_allclose(parts.volume[inside], 4 * np.pi * middle[inside] ** 2 * SHELL, rtol=0.05)
    np.testing.assert_allclose(parts.relative[parts.volume > 0], 20.0)
    np.testing.assert_allclose(parts.share, parts.volume / 64.0, rtol=1e-9)


def test_parts_add_up() -> None:
    rng = np.random.default_rng(0)
    density = _density(rng.lognormal(-2.0, 3.0, (1, 11, 12, 13)), 5.0, 4)
    prediction = density.total * rng.normal(1.0, 0.1, density.grid.shape)
    sums = ErrorSums.of(prediction, density.total)
    for parts in (by_distance(density, prediction), by_density(density, prediction)):
        assert parts.volume.sum() == pytest.approx(125.0)
        assert parts.error.sum() == pytest.approx(sums.absolute * density.grid.voxel_volume)
        assert 100 * parts.error.sum() / parts.reference.sum() == pytest.approx(sums.nmae)
        assert parts.share.sum() == pytest.approx(1.0)


def test_bins_of_the_density_by_hand() -> None:
    values = np.array([-1.0, 0.0, 1.01e-5, 0.5, 0.5, 1.0, 2.0, 1e4]).reshape(1, 2, 2, 2)
    density = _density(values, 2.0)
    prediction = values[0] + np.array([1.0, 0.0, 0.0, 0.1, -0.2, 0.0, 0.0, 0.0]).reshape(2, 2, 2)
    volume = density_histogram(density)
    assert volume[0] == pytest.approx(3.0)  # what is not positive, and the first bin itself
    assert volume[-1] == pytest.approx(1.0)  # what is too large
    slot = int(np.searchsorted(DENSITY_EDGES, 0.5)) - 1
    assert volume[slot] == pytest.approx(2.0)
    parts = by_density(density, prediction)
    assert parts.error[slot] == pytest.approx(0.3)
    assert parts.relative[slot] == pytest.approx(30.0)
    assert np.isnan(parts.relative[slot - 1])
    np.testing.assert_allclose([volume.sum(), parts.volume.sum()], 8.0)


def test_no_error_has_no_shares() -> None:
    density = _density(np.ones((1, 4, 4, 4)), 2.0)
    assert by_distance(density, density.total).share.sum() == 0.0
