"""SchNetDensity against the published implementation's numbers."""

from __future__ import annotations

import pytest
import torch

from charge3net.checkpoints.published.deepdft import convert
from charge3net.models.schnet import SchNetDensity
from tests.helpers.golden import golden_cases, golden_state, relative_error
from tests.helpers.published_gradients import published_gradients


def golden_model(name):
    return convert({key: tensor.double() for key, tensor in golden_state(name).items()}, {})


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", ["schnet", "schnet_spin"])
def test_densities_are_the_published_ones(name, dtype, bound):
    model = golden_model(name).to(dtype)
    for case in golden_cases(name):
        out = model(case.batch(4.0))
        assert out.dtype == dtype
        assert relative_error(out, case.arrays["output"]) <= bound, case.name


@pytest.mark.parametrize("name", ["schnet", "schnet_spin"])
def test_atom_states_are_the_published_ones(name):
    model = golden_model(name)
    for case in golden_cases(name):
        layers = model.encode_atoms(case.batch(4.0).atoms).layers
        assert len(layers) == 3
        for i, layer in enumerate(layers):
            assert relative_error(layer, case.arrays[f"atom_rep{i}"]) <= 1e-9, (case.name, i)


@pytest.mark.parametrize("name", ["schnet", "schnet_spin"])
def test_loss_and_gradients_are_the_published_ones(name):
    model = golden_model(name)
    for case in golden_cases(name):
        loss, norms, sums = published_gradients(model, case, name)
        assert loss == pytest.approx(float(case.arrays["loss"]), rel=1e-9)
        assert relative_error(norms, case.arrays["grad_norm"]) <= 1e-9, case.name
        assert relative_error(sums, case.arrays["grad_sum"]) <= 1e-9, case.name


def test_number_of_weights_is_that_of_the_paper():
    # 2.1 M parameters at the published sizes (128 features, 6 interactions): models.md, section 2.
    assert sum(p.numel() for p in SchNetDensity().parameters()) == pytest.approx(2.1e6, rel=0.03)


def test_hyperparameters_build_the_same_net():
    model = SchNetDensity(features=8, num_interactions=2, cutoff=3.0, channels=2, radial_step=0.25, ignore_pbc=True)
    again = SchNetDensity(**model.hyperparameters())
    assert again.ignore_pbc
    assert again.num_basis == 12  # centres 0, 0.25, … 2.75 Å
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
