"""PaiNNDensity against the published implementation's numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from charge3net.checkpoints.published.deepdft import convert
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.models.painn import PaiNNDensity
from tests.helpers.golden import golden_cases, golden_state, relative_error
from tests.helpers.published_gradients import published_gradients


def golden_model():
    return convert({key: tensor.double() for key, tensor in golden_state("painn").items()}, {})


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_densities_are_the_published_ones(dtype, bound):
    model = golden_model().to(dtype)
    for case in golden_cases("painn"):
        out = model(case.batch(4.0))
        assert out.dtype == dtype
        assert relative_error(out, case.arrays["output"]) <= bound, case.name


def test_atom_states_are_the_published_ones():
    model = golden_model()
    for case in golden_cases("painn"):
        layers = model.encode_atoms(case.batch(4.0).atoms).layers
        assert len(layers) == 3
        for i, layer in enumerate(layers):
            scalars, vectors = case.arrays[f"atom_rep_s{i}"], case.arrays[f"atom_rep_v{i}"]
            # In one array, since by symmetry the vectors of some crystals are zero.
            published = np.concatenate([scalars[:, None], vectors], axis=1)
            assert relative_error(layer, published) <= 1e-9, (case.name, i)


def test_loss_and_gradients_are_the_published_ones():
    model = golden_model()
    for case in golden_cases("painn"):
        loss, norms, sums = published_gradients(model, case, "painn")
        assert loss == pytest.approx(float(case.arrays["loss"]), rel=1e-9)
        assert relative_error(norms, case.arrays["grad_norm"]) <= 1e-9, case.name
        assert relative_error(sums, case.arrays["grad_sum"]) <= 1e-9, case.name


def test_number_of_weights_is_that_of_the_paper():
    # 1.5 M parameters at the published sizes (128 features, 3 interactions): models.md, section 3.
    assert sum(p.numel() for p in PaiNNDensity().parameters()) == pytest.approx(1.5e6, rel=0.04)


def test_a_probe_on_an_atom_has_a_finite_density_and_gradient():
    model = golden_model()
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    geometry = Geometry(np.array([8, 1]), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
    probes = build_probe_graph(geometry, geometry.positions, 4.0)
    state = model.encode_atoms(build_atom_graph(geometry, 4.0))
    points = probes.points.clone().requires_grad_()
    density = model.density_at(state, replace(probes, points=points))
    density.sum().backward()
    assert torch.isfinite(density).all()
    assert torch.isfinite(points.grad).all()
    # The molecule is symmetric about z: at its axis no force across it.
    assert points.grad[:, :2].abs().max() <= 1e-9 * points.grad.abs().max()


def test_hyperparameters_build_the_same_net():
    model = PaiNNDensity(features=8, num_interactions=2, cutoff=3.0, channels=2, num_basis=7, ignore_pbc=True)
    again = PaiNNDensity(**model.hyperparameters())
    assert again.ignore_pbc
    assert again.readout[2].weight.shape == (2, 8)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
