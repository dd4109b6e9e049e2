"""Small structures and networks for the tests of the kernels."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.types import DensityBatch
from charge3net.models.charge3net import ChargE3Net


def geometry(seed: int, n_atoms: int, length: float = 4.2) -> Geometry:
    rng = np.random.default_rng(seed)
    cell = np.eye(3) * length + rng.normal(scale=0.2, size=(3, 3))
    positions = rng.uniform(size=(n_atoms, 3)) @ cell
    return Geometry(rng.integers(1, 60, size=n_atoms), positions, cell, np.ones(3, dtype=bool))


def example(seed: int = 0, n_atoms: int = 3, n_probes: int = 7, channels: int = 1) -> DensityBatch:
    rng, atoms = np.random.default_rng(seed), geometry(seed, n_atoms)
    points = rng.uniform(size=(n_probes, 3)) @ atoms.cell
    target = torch.from_numpy(rng.normal(size=(n_probes, channels)).astype(np.float32))
    return DensityBatch(build_atom_graph(atoms, 4.0), build_probe_graph(atoms, points, 4.0), target, (str(seed),))


def network(lmax: int, mul: int = 40, channels: int = 1, **options) -> ChargE3Net:
    """Seeded, with angles and activations far from linear."""
    torch.manual_seed(lmax)
    model = ChargE3Net(lmax, mul, channels=channels, **options)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight *= 4.0 if "angle" in name else 1.0
    return model


def step(model: ChargE3Net, batch: DensityBatch) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = (model(batch) - batch.target).abs().mean()
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_step_agrees(model: ChargE3Net, batch: DensityBatch, calls: list[str], runs: int) -> None:
    """Loss to 1e-6, every gradient tensor to 1e-5 of its largest number (or 1e-9 of all), against torch in float64."""
    loss, gradients = step(model, batch)
    assert calls.count("c3n_messages_forward") == calls.count("c3n_messages_backward") == runs
    exact_loss, exact = step(copy.deepcopy(model).double(), batch)
    assert len(calls) == 2 * runs
    assert loss == pytest.approx(exact_loss, rel=1e-6)
    assert gradients.keys() == exact.keys()
    noise = 1e-9 * max(float(gradient.abs().max()) for gradient in exact.values())
    for name, gradient in exact.items():
        error = float((gradients[name] - gradient).abs().max())
        assert error <= 1e-5 * float(gradient.abs().max()) + noise, name
