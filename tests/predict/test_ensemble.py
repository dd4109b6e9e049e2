"""Ensembles: mean and spread of the members, and what a calibration makes of the spread."""

from __future__ import annotations

import statistics
import tracemalloc

import numpy as np
import pytest
import torch

from charge3net import Density, Geometry, Grid, InputError, Predictor
from charge3net.models.registry import build_model
from charge3net.predict.ensemble import EnsemblePredictor
from charge3net.predict.memmap import MemmapAllocator
from charge3net.predict.uncertainty import (
    mean_and_spread,
    mean_gradient,
    relative_spread,
    typical_density,
    within_limits,
)
from tests.helpers import crystals

SMALL = {"features": 8, "num_interactions": 2}


@pytest.fixture(scope="module")
def members() -> list[Predictor]:
    found = []
    for seed in range(3):
        torch.manual_seed(seed)
        found.append(Predictor(build_model("painn", SMALL)))
    return found


def test_mean_and_spread_are_those_of_the_members(members):
    atoms, spreads = crystals.triclinic(), []
    density = EnsemblePredictor(members).predict(atoms, shape=(5, 6, 7), spread=spreads.append)
    each = np.array([member.predict(atoms, shape=(5, 6, 7)).values for member in members], dtype=np.float64)
    scale = np.abs(each).max()
    mean, deviation = _winsorised(each)
    assert np.abs(mean - each.mean(axis=0)).max() > 1e-3 * scale  # networks without training are far apart somewhere
    np.testing.assert_allclose(density.values, mean, rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(spreads[0].values, deviation, rtol=0, atol=1e-6 * scale)
    expected = deviation.sum() / np.abs(mean).sum()
    assert density.provenance["uncertainty"]["relative_spread"] == pytest.approx(expected, rel=1e-4)
    assert len({one["weights_sha256"] for one in density.provenance["members"]}) == 3


def _winsorised(each):
    """docs/predict.md, value by value: of three numbers, none counts as farther than the limit from the middle one."""
    mean, spread = np.empty((2, *each.shape[1:]))
    for place in np.ndindex(mean.shape):
        low, middle, high = sorted(each[(slice(None), *place)])
        limit = 0.05 * (max(sorted(each[(slice(None), 0, *place[1:])])[1], 0.0) + 0.02) ** 0.5
        three = max(low, middle - limit), middle, min(high, middle + limit)
        mean[place], spread[place] = statistics.mean(three), statistics.stdev(three)
    return mean, spread


def test_one_member_that_is_far_off_does_not_count_and_close_ones_do():
    members = np.array([[[0.23, 0.20]], [[0.24, 0.21]], [[1.20, 0.22]]])
    kept = within_limits(members)
    assert kept[2, 0, 0] == pytest.approx(0.24 + 0.05 * np.sqrt(0.26))
    np.testing.assert_array_equal(kept[:2], members[:2])
    np.testing.assert_array_equal(kept[2, 0, 1], 0.22)
    np.testing.assert_array_equal(within_limits(members[1:]), members[1:])  # of two, either may be wrong


def test_points_are_winsorised_means_too(members):
    atoms, points = crystals.silicon(), np.array([[0.3, 0.2, 0.1], [1.0, 2.0, 0.5]])
    each = np.array([member.at(atoms, points) for member in members], dtype=np.float64)
    found = EnsemblePredictor(members).at(atoms, points)
    np.testing.assert_allclose(found, _winsorised(each[:, None])[0][0], rtol=0, atol=1e-6 * np.abs(each).max())
    two = EnsemblePredictor(members[:2])
    np.testing.assert_array_equal(two.at(atoms, points), np.mean([m.at(atoms, points) for m in members[:2]], axis=0))


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_gradient_is_that_of_the_mean(count, channels):
    """Sums of waves against central differences, at 400 points, where members are near, far, above and below."""
    rng = np.random.default_rng([count, channels])
    vectors, height = rng.normal(size=(count, channels, 6, 3)), 0.1 * rng.normal(size=(count, channels, 6))
    points = rng.uniform(0.0, 3.0, (400, 3))

    def values(at):
        return np.einsum("mck,mckn->mcn", height, np.sin(np.einsum("mckx,nx->mckn", vectors, at))) + 0.1

    cosines = np.cos(np.einsum("mckx,nx->mckn", vectors, points))
    gradients = np.einsum("mck,mckn,mckx->mcnx", height, cosines, vectors)
    found = mean_gradient(values(points), gradients)
    step, expected = 1e-6, np.empty_like(found)
    for axis in range(3):
        moved = step * np.eye(3)[axis]
        above, below = (within_limits(values(points + sign * moved)).mean(axis=0) for sign in (1.0, -1.0))
        expected[..., axis] = (above - below) / (2.0 * step)
    wrong = np.abs(found - expected).max(axis=-1) > 1e-6
    assert wrong.mean() < 0.005  # where the middle member changes within the step, there is no derivative
    if count > 2:
        assert (within_limits(values(points)) != values(points)).mean() > 0.1


def test_gradients_at_points_and_on_a_grid_are_those_of_the_mean(members):
    atoms, points = crystals.silicon(), np.array([[0.3, 0.2, 0.1], [1.0, 2.0, 0.5]])
    ensemble = EnsemblePredictor(members)
    found = [member.derivatives(atoms, points) for member in members]
    expected = mean_gradient(
        np.stack([one.values.T for one in found]), np.stack([one.gradient.transpose(1, 0, 2) for one in found])
    )
    np.testing.assert_allclose(ensemble.gradient(atoms, points), expected.transpose(1, 0, 2))
    grid = ensemble.predict(atoms, shape=(3, 3, 4)).grid
    np.testing.assert_allclose(
        ensemble.gradient(atoms, grid).reshape(3, -1).T,
        ensemble.gradient(atoms, grid.points())[:, 0],
        rtol=1e-4,
        atol=1e-5,
    )


def test_scaling_to_electrons_comes_after_the_mean(members):
    density = EnsemblePredictor(members).predict(crystals.silicon(), shape=(4, 4, 4))
    if density.electrons() <= 0:  # random networks may be negative throughout
        with pytest.raises(InputError, match="cannot scale"):
            EnsemblePredictor(members).predict(crystals.silicon(), shape=(4, 4, 4), electrons=8.0)
        return
    scaled = EnsemblePredictor(members).predict(crystals.silicon(), shape=(4, 4, 4), electrons=8.0)
    assert scaled.electrons() == pytest.approx(8.0, rel=1e-5)


def test_members_that_do_not_fit_together_are_refused(members):
    other = Predictor(build_model("painn", {**SMALL, "cutoff": 3.0}))
    with pytest.raises(InputError, match="agree in cutoff"):
        EnsemblePredictor([members[0], other])
    with pytest.raises(InputError, match="two members"):
        EnsemblePredictor(members[:1])


def test_typical_density_is_the_geometric_mean_at_an_electron_and_vacuum_does_not_count():
    density = np.full((2, 3, 4), 3.0)
    assert typical_density(density) == pytest.approx(3.0)
    density[0] = 0.0
    assert typical_density(density) == pytest.approx(3.0)
    two = np.array([[[1.0, 4.0]]])  # a fifth of the electrons at 1, the others at 4 e/Å³
    assert typical_density(two) == pytest.approx(4.0**0.8)


def test_no_electrons_is_an_infinite_spread():
    assert relative_spread(np.ones((2, 2, 2)), np.zeros((2, 2, 2))) == float("inf")


@pytest.mark.parametrize("first_axis_fastest", [False, True])
def test_large_grids_stay_in_their_files(first_axis_fastest, tmp_path):
    """In both layouts mean and spread are what they are in memory, and no array of the grid's size is made for them."""
    rng = np.random.default_rng(0)
    each = 1.0 + 0.1 * rng.random((3, 2, 60, 40, 50), dtype=np.float32)
    allocate = MemmapAllocator(tmp_path, first_axis_fastest, large=1)
    geometry = Geometry.of(crystals.silicon())
    found = []
    for values in each:
        stored = allocate(values.shape, values.dtype)
        stored[...] = values
        found.append(Density(geometry, Grid(geometry.cell, (60, 40, 50)), stored))
    tracemalloc.start()
    mean, spread = mean_and_spread(found)
    relative, typical = relative_spread(spread[0], mean[0]), typical_density(mean[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < mean.nbytes / 3
    kept = within_limits(each.astype(np.float64))
    np.testing.assert_allclose(mean, kept.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(spread, kept.std(axis=0, ddof=1), rtol=0, atol=1e-6)
    assert relative == pytest.approx(kept[:, 0].std(axis=0, ddof=1).sum() / kept[:, 0].mean(axis=0).sum(), rel=1e-4)
    assert 1.0 < typical < 1.1
