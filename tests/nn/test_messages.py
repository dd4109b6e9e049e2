"""The compiled sums against the torch path, which the golden files hold to the published numbers."""

from __future__ import annotations

import copy
import ctypes
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from charge3net import kernels
from charge3net.checkpoints.published.charge3net import convert
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.collate import collate
from charge3net.graph.types import DensityBatch
from charge3net.kernels import build, library, torch_only
from charge3net.models.charge3net import ChargE3Net
from charge3net.nn import messages_compiled as messages
from tests.helpers.golden import golden_cases, golden_facts, golden_state, relative_error
from tests.helpers.kernels import assert_step_agrees, example, network, step

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize("lmax", [0, 1, 2, 3, 4])
def test_loss_and_gradients_agree_with_float64(lmax, calls):
    assert_step_agrees(network(lmax, mul=100), collate([example(1), example(2, 2)]), calls, runs=6)


def test_orders_above_the_usual(calls):
    assert_step_agrees(network(6, mul=150, num_interactions=2), example(3, 2, 3), calls, runs=4)


def test_widths_that_fill_no_vector_and_many(calls):
    assert_step_agrees(network(2, mul=275, num_interactions=2), example(4), calls, runs=4)


def test_two_channels(calls):
    assert_step_agrees(network(3, mul=100, channels=2), example(5, channels=2), calls, runs=6)


@pytest.mark.parametrize("name", ["e3_l0", "e3_l1", "e3_l2", "e3_l3", "e3_l4", "e3_l2_spin", "e3_l4_spin"])
def test_golden_outputs_features_and_loss(name, calls):
    model = convert(golden_state(name)).float()
    reference = copy.deepcopy(model).double()
    for case in golden_cases(name):
        batch = case.batch(4.0)
        calls.clear()
        with torch.no_grad():
            output, state = model(batch), model.encode_atoms(batch.atoms)
        assert len(calls) == 3 * model.num_interactions
        assert relative_error(output, case.arrays["output"]) <= 1e-5, case.name
        for ours, exact in zip(state.layers, reference.encode_atoms(batch.atoms).layers, strict=True):
            assert relative_error(ours, exact.detach().numpy()) <= 2e-6, case.name
        loss = (output.double() - batch.target).abs().mean().item()
        assert loss == pytest.approx(float(case.arrays["loss"]), rel=2e-6), case.name


@pytest.mark.parametrize("name", ["e3_l0", "e3_l1", "e3_l2", "e3_l3", "e3_l4"])
def test_golden_gradients(name, calls):
    model = convert(golden_state(name)).float()
    published = golden_facts(name)["param_names"]
    for case in golden_cases(name):
        batch = case.batch(4.0)
        calls.clear()
        _, gradients = step(model, replace(batch, target=batch.target.float()))
        assert len(calls) == 4 * model.num_interactions
        norms = [_norm_of(gradients, name_of) for name_of in published]
        largest = case.arrays["grad_norm"].max()
        np.testing.assert_allclose(norms, case.arrays["grad_norm"], rtol=1e-5, atol=1e-6 * largest, err_msg=case.name)


def _norm_of(gradients: dict[str, torch.Tensor], published: str) -> float:
    """Norm of the gradients of our parameters that hold what is alive of a published tensor."""
    if published == "probe_model.readout.weight":
        prefix = "readout.weights."
    else:
        side, _, number, part, *rest = published.split(".")
        tensor = {"sc": "self_mix", "lin1": "sender_mix", "lin2": "message_mix", "lin3": "angle_mix"}.get(
            part, "radial"
        )
        ending = {"layer0": "first", "layer1": "last"}[rest[0]] if part == "fc" else "weights."
        prefix = f"{side.removesuffix('_model')}_layers.{number}.{tensor}.{ending}"
    found = [g.double().square().sum() for name, g in gradients.items() if name.startswith(prefix)]
    return float(sum(found)) ** 0.5


@pytest.mark.parametrize(
    ("n_atoms", "pbc", "points"),
    [
        (1, False, [[0.0, 0.0, 9.0]]),  # nothing hears anything
        (1, False, [[0.0, 0.0, 0.0], [0.3, 0.1, 1.0]]),  # a probe on the atom, which hears nothing
        (2, True, [[50.0, -20.0, 3.0]]),  # one probe, far outside the cell
        (2, True, []),
    ],
)
def test_small_and_empty_graphs(n_atoms, pbc, points, calls):
    atoms = Geometry(np.full(n_atoms, 8), np.arange(3.0 * n_atoms).reshape(-1, 3), np.eye(3) * 5.0, np.full(3, pbc))
    probes = build_probe_graph(atoms, np.array(points, dtype=np.float64).reshape(-1, 3), 4.0)
    target = torch.ones(len(points), 1)
    batch = DensityBatch(build_atom_graph(atoms, 4.0), probes, target, ("small",))
    model = network(2)
    fast, exact = model(batch), copy.deepcopy(model).double()(batch)
    assert len(calls) == 6
    torch.testing.assert_close(fast.double(), exact, rtol=1e-5, atol=1e-7)
    gradients = torch.autograd.grad(fast.sum(), list(model.parameters()), allow_unused=True)
    assert all(g is None or bool(torch.isfinite(g).all()) for g in gradients)


def test_same_bits_twice_and_with_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(messages, "_WORTH_A_THREAD", 0)
    model, batch, before = network(3), example(6), torch.get_num_threads()
    results = []
    asked = []
    original = messages._call
    monkeypatch.setattr(messages, "_call", lambda name, job: (asked.append(job.n_threads), original(name, job)))
    weights = [p.detach().clone() for p in model.parameters()]
    try:
        for threads in (1, 1, 2, 5):
            torch.set_num_threads(threads)
            results.append(_sums(model, batch))
    finally:
        torch.set_num_threads(before)
    assert sorted(set(asked)) == [1, 2, 5]
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def _sums(model: ChargE3Net, batch: DensityBatch) -> list[torch.Tensor]:
    """Messages of the second atom layer and the gradients that kernels form, from fixed inputs."""
    from charge3net.nn.edges_compiled import prepared
    from charge3net.nn.radial_table import fine_enough, table

    layer, edges = (
        model.atom_layers[1],
        model._edges(
            batch.atoms.edge_vectors(torch.float32), batch.atoms.senders, batch.atoms.receivers, batch.atoms.n_atoms
        ),
    )
    known = prepared(edges, batch.atoms.n_atoms)
    found = fine_enough(layer.radial, known.at_nodes, edges.basis.n_basis)
    assert found is not None
    arrays, plan = known.arrays(found[0]), messages.plan_of(layer)
    assert arrays is not None
    generator = torch.Generator().manual_seed(0)
    features = [
        torch.randn(batch.atoms.n_atoms, 2 * int(l) + 1, int(mul), generator=generator, requires_grad=True)
        for l, mul in plan.irreps
    ]
    weights = torch.randn(len(arrays.used), layer.n_weights, generator=generator, requires_grad=True)
    assert table(layer.radial, found[1], arrays.used).shape == weights.shape
    sums = messages._SummedMessages.apply(plan, arrays, weights, *features)
    gradients = torch.autograd.grad(sum(s.square().sum() for s in sums), [weights, *features])
    return [*sums, *gradients]


def test_torch_does_what_kernels_were_not_made_for(calls):
    batch, model = example(7), network(1)
    positions = batch.atoms.positions.clone().requires_grad_(True)
    moved = DensityBatch(
        type(batch.atoms)(**{**vars(batch.atoms), "positions": positions}), batch.probes, batch.target, batch.keys
    )
    (forces,) = torch.autograd.grad(model(moved).sum(), positions)
    assert calls == []
    assert float(forces.abs().max()) > 0
    model.double()(batch)
    assert calls == []
    model.float()
    with torch_only():
        model(batch)
    assert calls == []
    model(batch)
    assert len(calls) == 6


def test_edges_longer_than_the_cutoff_or_unsorted_go_to_torch(calls):
    batch, model = example(8), network(1)
    stretched = type(batch.atoms)(**{**vars(batch.atoms), "shifts": batch.atoms.shifts * 3})
    model.encode_atoms(stretched)
    assert calls == []


def test_weights_too_sharp_for_a_table_go_to_torch(calls):
    model, batch = network(1), example(9)
    with torch.no_grad():
        model.probe_layers[2].radial.first *= 100.0
    density = model(batch)
    assert calls.count("c3n_messages_forward") == 5
    with torch_only():
        torch.testing.assert_close(density, model(batch), rtol=1e-4, atol=1e-4 * float(density.detach().abs().max()))


def test_the_environment_switches_kernels_off():
    code = "from charge3net import kernels; s = kernels.status(); print(s['backend'], s['reason'])"
    environment = {**os.environ, kernels.SWITCH: "torch"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert run.stdout.startswith("torch switched off")
    assert kernels.status()["backend"] == "compiled"


@pytest.mark.parametrize("variant", [name for name, _ in build.VARIANTS.get(build.machine(), {}).values()])
def test_every_variant_gives_the_same_numbers(variant, calls, monkeypatch):
    levels = {name: level for level, (name, _) in build.VARIANTS[build.machine()].items()}
    if levels[variant] > library.compiled().c3n_processor_level():
        pytest.skip(f"this processor has no {variant}")
    one = library.Library(ctypes.CDLL(str(build.library_path(variant))), variant)
    monkeypatch.setattr(library, "library", lambda: one)
    assert_step_agrees(network(3, mul=100), example(1), calls, runs=6)
