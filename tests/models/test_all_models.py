"""One suite over all models: the symmetries of the problem, in float32 and float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charge3net import testing
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import ChargE3Net
from charge3net.models.painn import PaiNNDensity
from charge3net.models.registry import build_model
from charge3net.models.schnet import SchNetDensity

TOLERANCE = {torch.float64: 1e-9, torch.float32: 3e-5}
STRUCTURES = testing.hard_structures()


def charge3net(lmax: int, channels: int = 1) -> DensityModel:
    model = ChargE3Net(lmax=lmax, mul=24, num_interactions=3, hidden=16, num_basis=8, channels=channels)
    with torch.no_grad():  # the default angles are tiny, which would hide mistakes in how they mix
        for layer in [*model.atom_layers, *model.probe_layers]:
            for weight in layer.angle_mix.parameters():
                weight *= 10
    return model


def schnet() -> DensityModel:
    return amplified(SchNetDensity(features=16, num_interactions=3), 1.8)


def painn() -> DensityModel:
    return amplified(PaiNNDensity(features=16, num_interactions=3), 1.2)


def amplified(model: DensityModel, factor: float) -> DensityModel:
    with torch.no_grad():
        for weight in model.parameters():
            weight *= factor
    return model


MODELS = {
    **{f"charge3net L={lmax}": lambda lmax=lmax: charge3net(lmax) for lmax in range(5)},
    "charge3net L=2 spin": lambda: charge3net(2, channels=2),
    "schnet": schnet,
    "painn": painn,
}


@pytest.fixture(params=list(MODELS))
def make(request):
    torch.manual_seed(7)
    return MODELS[request.param]


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def model(make, request) -> DensityModel:
    return make().to(request.param)


@pytest.mark.parametrize("name", STRUCTURES)
def test_symmetries(model, name):
    geometry = STRUCTURES[name]
    points, tolerance = testing.points_near(geometry, 7), TOLERANCE[model.dtype]
    testing.assert_equivariant(model, geometry, points, tolerance)
    testing.assert_permutation_invariant(model, geometry, points, tolerance)
    testing.assert_lattice_invariant(model, geometry, points, tolerance)
    testing.assert_chunk_invariant(model, geometry, points, tolerance)


def test_batches(model):
    structures = [(geometry, testing.points_near(geometry, 4)) for geometry in STRUCTURES.values()]
    testing.assert_batch_invariant(model, structures, TOLERANCE[model.dtype])


def test_gradients_are_those_of_finite_differences(make):
    geometry = STRUCTURES["rhombohedral"]
    points = testing.points_near(geometry, 4, seed=2)[1:]
    testing.assert_gradients(make().double(), geometry, points, 2e-5)


def test_probe_out_of_reach_gets_a_constant(model):
    one, two = STRUCTURES["molecule without a cell"], STRUCTURES["one atom"]
    far = np.array([[200.0, 0.0, 0.0], [0.0, 300.0, 0.0]])
    answers = np.concatenate([testing.density_at(model, one, far), testing.density_at(model, two, far)])
    assert np.isfinite(answers).all()
    assert np.abs(answers - answers[0]).max() == 0.0
    if isinstance(model, ChargE3Net):
        assert not answers.any()


def test_one_atom_one_probe_and_no_probe(model):
    geometry = STRUCTURES["one atom"]
    assert testing.density_at(model, geometry, geometry.positions + 0.7).shape == (1, model.channels)
    empty = build_probe_graph(geometry, np.zeros((0, 3)), model.cutoff)
    state = model.encode_atoms(build_atom_graph(geometry, model.cutoff))
    assert model.density_at(state, empty).shape == (0, model.channels)


def test_one_atom_has_a_spherical_density(model):
    geometry = STRUCTURES["one atom"]
    directions = np.random.default_rng(0).normal(size=(6, 3))
    points = geometry.positions + 1.1 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    answers = testing.density_at(model, geometry, points)
    np.testing.assert_allclose(answers, np.broadcast_to(answers[0], answers.shape), rtol=1e-4, atol=1e-6)


def test_the_registry_rebuilds_every_model(model):
    again = build_model(model.architecture, model.hyperparameters()).to(model.dtype)
    again.load_state_dict(model.state_dict())
    geometry = STRUCTURES["skewed"]
    points = testing.points_near(geometry, 5)
    np.testing.assert_array_equal(
        testing.density_at(again, geometry, points), testing.density_at(model, geometry, points)
    )


def test_the_checks_can_fail():
    """A model that looks at the x axis is caught."""

    class Crooked(ChargE3Net):
        def density_at(self, state, probes):
            tilt = probes.edge_vectors(state.atoms.positions, self.dtype)[:, 0].cos().sum()
            return super().density_at(state, probes) + tilt

    geometry = STRUCTURES["skewed"]
    with pytest.raises(AssertionError, match="rotation"):
        testing.assert_equivariant(
            Crooked(lmax=0, mul=4).double(), geometry, testing.points_near(geometry, 5), TOLERANCE[torch.float64]
        )


def test_geometry_is_not_changed_by_reading(model):
    geometry = STRUCTURES["skewed"]
    before = Geometry(geometry.numbers.copy(), geometry.positions.copy(), geometry.cell.copy(), geometry.pbc.copy())
    testing.density_at(model, geometry, testing.points_near(geometry, 3))
    np.testing.assert_array_equal(geometry.positions, before.positions)
    np.testing.assert_array_equal(geometry.cell, before.cell)
