"""ChargE3Net against the published implementation's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from e3nn import o3

from charge3net.checkpoints.published.charge3net import convert
from charge3net.errors import InputError
from charge3net.models.charge3net import ChargE3Net
from tests.helpers.golden import golden_cases, golden_facts, golden_state, relative_error

TOTAL_ONLY = ["e3_l0", "e3_l1", "e3_l2", "e3_l3", "e3_l4"]
SPIN = ["e3_l2_spin", "e3_l2_n2_spin", "e3_l4_spin"]
PARTS = {"sc": "self_mix", "lin1": "sender_mix", "lin2": "message_mix", "lin3": "angle_mix"}


@pytest.mark.parametrize("name", TOTAL_ONLY + SPIN)
def test_graphs_have_the_published_edges(name):
    for case in golden_cases(name):
        batch = case.batch(4.0)
        assert len(batch.atoms.senders) == case.facts["atom_edges"]
        assert len(batch.probes.senders) == case.facts["probe_edges"]
        counts = torch.bincount(batch.probes.receivers, minlength=batch.probes.n_probes)
        np.testing.assert_array_equal(counts, case.arrays["probe_neighbours"])
        lengths = batch.atoms.edge_vectors(torch.float64).norm(dim=1).sum()
        assert float(lengths) == pytest.approx(case.facts["sum_atom_edge_length"], rel=1e-12)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", TOTAL_ONLY + SPIN)
def test_densities_are_the_published_ones(name, dtype, bound):
    model = convert(golden_state(name)).to(dtype)
    for case in golden_cases(name):
        assert relative_error(model(case.batch(4.0)), case.arrays["output"]) <= bound, case.name


@pytest.mark.parametrize("name", TOTAL_ONLY + SPIN)
def test_atom_features_are_the_published_ones(name):
    model = convert(golden_state(name)).double()
    published = [o3.Irreps(text) for text in golden_facts(name)["atom_irreps_sequence"]]
    for case in golden_cases(name):
        state = model.encode_atoms(case.batch(4.0).atoms)
        for i, (features, irreps) in enumerate(zip(state.layers, published, strict=True)):
            kept = {ir for _, ir in model.atom_irreps[i]}
            columns = [
                case.arrays[f"atom_rep{i}"][:, s]
                for (_, ir), s in zip(irreps, irreps.slices(), strict=True)
                if ir in kept
            ]
            assert relative_error(features, np.concatenate(columns, axis=1)) <= 1e-9, (case.name, i)


@pytest.mark.parametrize("name", TOTAL_ONLY + SPIN)
def test_loss_and_gradients_are_the_published_ones(name):
    model = convert(golden_state(name)).double()
    for case in golden_cases(name):
        batch = case.batch(4.0)
        model.zero_grad()
        loss = (model(batch) - batch.target).abs().mean()
        loss.backward()
        assert loss.item() == pytest.approx(float(case.arrays["loss"]), rel=1e-9)
        largest = case.arrays["grad_norm"].max()
        for i, published in enumerate(golden_facts(name)["param_names"]):
            gradients = [p.grad.flatten() for p in _ours(model, published) if p.grad is not None]
            ours = torch.cat([*gradients, torch.zeros(1, dtype=torch.float64)])
            assert float(ours.norm()) == pytest.approx(case.arrays["grad_norm"][i], rel=1e-7, abs=1e-9 * largest), (
                published
            )
            assert float(ours.sum()) == pytest.approx(case.arrays["grad_sum"][i], rel=1e-7, abs=1e-8 * largest), (
                published
            )


def _ours(model: ChargE3Net, published: str) -> list[torch.nn.Parameter]:
    """Our parameters that hold what is alive of a published tensor."""
    if published == "probe_model.readout.weight":
        return list(model.readout.parameters())
    side, _, number, part, *rest = published.split(".")
    layer = (model.atom_layers if side == "atom_model" else model.probe_layers)[int(number)]
    if part == "fc":
        return [layer.radial.first if rest[0] == "layer0" else layer.radial.last]
    return list(getattr(layer, PARTS[part]).parameters())


def test_parameter_count_is_the_reachable_part_of_the_published_network():
    assert sum(p.numel() for p in ChargE3Net(lmax=4, mul=500).parameters()) == 829_372


def test_missing_and_left_over_tensors_are_named():
    state = golden_state("e3_l1")
    del state["probe_model.convolutions.1.lin2.weight"]
    with pytest.raises(InputError, match=r"missing probe_model\.convolutions\.1\.lin2\.weight"):
        convert(state)
    state = golden_state("e3_l1") | {"atom_model.surprise.weight": torch.ones(3)}
    with pytest.raises(InputError, match=r"left over atom_model\.surprise\.weight"):
        convert(state)


def test_hyperparameters_rebuild_the_model():
    model = ChargE3Net(lmax=2, mul=20, num_interactions=2, channels=2)
    again = ChargE3Net(**model.hyperparameters())
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
