"""The baseline of the benchmarks is the published implementation: equal to the golden numbers in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from benchmarks.literal import LiteralChargE3Net, load
from benchmarks.literal_deepdft import LiteralPaiNN, LiteralSchNet
from tests.helpers.golden import golden_cases, golden_facts, golden_state, relative_error

CHARGE3NET = ["e3_l0", "e3_l1", "e3_l2", "e3_l4", "e3_l2_n2_spin"]
DEEPDFT = ["schnet", "schnet_spin", "painn"]


@pytest.fixture(autouse=True)
def _exact_constants() -> Iterator[None]:
    """e3nn takes its Wigner 3j symbols in the default dtype of the moment."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def literal(name: str) -> torch.nn.Module:
    sizes = golden_facts(name)["hyperparameters"]
    if name.startswith("e3"):
        order = ("lmax", "mul", "num_interactions", "num_neighbors", "cutoff", "num_basis", "spin")
        return LiteralChargE3Net(*(sizes[key] for key in order))
    kind = LiteralPaiNN if name == "painn" else LiteralSchNet
    return kind(sizes["hidden_state_size"], sizes["num_interactions"], sizes["cutoff"], 2 if sizes.get("spin") else 1)


@pytest.mark.parametrize("name", CHARGE3NET + DEEPDFT)
def test_outputs_are_the_published_ones(name):
    model = load(literal(name), golden_state(name))
    for case in golden_cases(name):
        batch = case.batch(4.0)
        with torch.no_grad():
            output = model(batch.atoms, batch.probes)
        assert relative_error(output, case.arrays["output"]) <= 1e-12, case.name


@pytest.mark.parametrize("name", ["e3_l1", "painn"])
def test_gradients_are_the_published_ones(name):
    model = load(literal(name), golden_state(name))
    for case in golden_cases(name):
        batch = case.batch(4.0)
        model.zero_grad()
        loss = (model(batch.atoms, batch.probes) - batch.target).abs().mean()
        loss.backward()
        assert loss.item() == pytest.approx(float(case.arrays["loss"]), rel=1e-12)
        norms = {k: 0.0 if p.grad is None else float(p.grad.norm()) for k, p in model.named_parameters()}
        ours = np.array([norms[parameter] for parameter in golden_facts(name)["param_names"]])
        np.testing.assert_allclose(ours, case.arrays["grad_norm"], rtol=1e-8, atol=1e-12)


def test_a_state_dict_of_another_size_is_refused():
    state = golden_state("e3_l1")
    del state["probe_model.readout.weight"]
    with pytest.raises(KeyError, match=r"missing \['probe_model.readout.weight'\]"):
        load(literal("e3_l1"), state)
