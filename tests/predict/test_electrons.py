"""The number of electrons of a prediction: what it should be, and how it is made so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charge3net import InputError, Predictor
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.models.registry import build_model
from charge3net.predict.electrons import shift_to, valence_electrons
from charge3net.predict.ensemble import EnsemblePredictor
from tests.helpers import crystals

ATOMS = {"elements": [8, 14], "valences": [6.0, 4.0], "potentials": ["O", "Si"]}


def gaussian_atoms(electrons: float, width: float = 0.5) -> Predictor:
    """A superposition of one Gaussian at every silicon atom."""
    model = build_model("fitted_atoms", ATOMS)
    from charge3net.atoms.splines import table_nodes, table_of

    r = table_nodes(model.cutoff)
    values = electrons * np.exp(-(r**2) / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5
    table = table_of(values[:, None])[:, 0]
    model.atoms.fill({8: table, 14: table})
    return Predictor(model)


def density(values: np.ndarray) -> Density:
    cell = 2.0 * np.eye(3)
    geometry = Geometry(np.array([14]), np.zeros((1, 3)), cell, np.ones(3, bool))
    return Density(geometry, Grid(cell, values.shape[1:]), values)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_shift_goes_with_the_root_of_the_density_and_leaves_negative_voxels(order):
    values = np.zeros((1, 2, 2, 2), order=order)
    values[0, 0, 0] = 4.0, 9.0
    values[0, 1, 1] = 1.0, -0.25
    found = density(values)
    assert found.electrons() == pytest.approx(13.75)  # voxels of 1 Å³
    factor = shift_to(found, 14.0)
    assert factor == pytest.approx(0.25 / (2 + 3 + 1))
    assert found.electrons() == pytest.approx(14.0)
    assert found.total[0, 0].tolist() == pytest.approx([4 + 2 * factor, 9 + 3 * factor])
    assert found.total[1, 1].tolist() == pytest.approx([1 + factor, -0.25])


def test_a_prediction_that_is_far_off_is_left_alone():
    values = np.ones((1, 2, 2, 2))
    found = density(values)
    assert shift_to(found, 8.5) is None
    assert (found.total == 1.0).all()


def test_only_models_with_atoms_know_the_valence():
    silica = Geometry(np.array([14, 8, 8]), np.zeros((3, 3)), np.eye(3), np.ones(3, bool))
    assert valence_electrons(build_model("fitted_atoms", ATOMS), silica) == 16.0
    assert valence_electrons(build_model("schnet", {"features": 8, "num_interactions": 1}), silica) is None
    helium = Geometry(np.array([2]), np.zeros((1, 3)), np.eye(3), np.ones(3, bool))
    assert valence_electrons(build_model("fitted_atoms", ATOMS), helium) is None


def test_a_prediction_says_how_far_it_is_from_the_valence_and_is_shifted_to_it_on_request():
    predictor = gaussian_atoms(3.9)
    plain = predictor.predict(crystals.silicon(), shape=(20, 20, 20))
    assert plain.provenance["valence_electrons"] == 8.0
    assert plain.provenance["electron_error"] == pytest.approx(-0.025, abs=2e-3)
    assert plain.provenance["shifted_by"] is None
    assert plain.electrons() == pytest.approx(7.8, abs=0.02)
    shifted = predictor.predict(crystals.silicon(), shape=(20, 20, 20), electrons="valence")
    assert shifted.electrons() == pytest.approx(8.0, rel=1e-6)
    change = shifted.total - plain.total
    np.testing.assert_allclose(change, shifted.provenance["shifted_by"] * np.sqrt(plain.total), rtol=1e-3, atol=1e-6)


def test_a_grid_that_misses_the_electrons_is_not_shifted_and_says_so():
    found = gaussian_atoms(3.9, width=0.1).predict(crystals.silicon(), shape=(3, 3, 3), electrons="valence")
    assert found.provenance["shifted_by"] is None
    assert any("left as it is" in warning for warning in found.provenance["warnings"])


def test_a_model_without_valence_cannot_shift_to_it():
    torch.manual_seed(0)
    predictor = Predictor(build_model("schnet", {"features": 8, "num_interactions": 1}))
    assert predictor.predict(crystals.silicon(), shape=(3, 3, 3)).provenance["electron_error"] is None
    with pytest.raises(InputError, match="does not know the valence"):
        predictor.predict(crystals.silicon(), shape=(3, 3, 3), electrons="valence")


def test_an_ensemble_shifts_by_default_where_it_is_told_to():
    members = [gaussian_atoms(3.9), gaussian_atoms(3.95)]
    ensemble = EnsemblePredictor(members, electrons="valence")
    shape = (16, 16, 16)
    assert ensemble.predict(crystals.silicon(), shape=shape).electrons() == pytest.approx(8.0, rel=1e-6)
    plain = ensemble.predict(crystals.silicon(), shape=shape, electrons="none")
    each = [member.predict(crystals.silicon(), shape=shape).total for member in members]
    np.testing.assert_allclose(plain.total, np.mean(each, axis=0), rtol=1e-5, atol=1e-6)
    assert ensemble.predict(crystals.silicon(), shape=shape, electrons=9.0).electrons() == pytest.approx(9.0, rel=1e-6)
