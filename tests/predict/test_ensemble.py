"""Ensembles: mean and spread of the members, and what a calibration makes of the spread."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charge3net import InputError, Predictor
from charge3net.models.registry import build_model
from charge3net.predict.ensemble import EnsemblePredictor
from charge3net.predict.uncertainty import relative_spread, typical_density
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
    np.testing.assert_allclose(density.values, each.mean(axis=0), rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(spreads[0].values, each.std(axis=0, ddof=1), rtol=0, atol=1e-6 * scale)
    expected = each.std(axis=0, ddof=1).sum() / np.abs(each.mean(axis=0)).sum()
    assert density.provenance["uncertainty"]["relative_spread"] == pytest.approx(expected, rel=1e-4)
    assert len({one["weights_sha256"] for one in density.provenance["members"]}) == 3


def test_points_and_gradients_are_means_too(members):
    atoms, points = crystals.silicon(), np.array([[0.3, 0.2, 0.1], [1.0, 2.0, 0.5]])
    ensemble = EnsemblePredictor(members)
    mean = np.mean([member.at(atoms, points) for member in members], axis=0)
    np.testing.assert_array_equal(ensemble.at(atoms, points), mean)
    slope = np.mean([member.gradient(atoms, points) for member in members], axis=0)
    np.testing.assert_array_equal(ensemble.gradient(atoms, points), slope)


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
