"""The compiled backend against the published numbers and the plain torch path in float64."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch

from charge3net.checkpoints.published import charge3net, deepdft
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_probe_graph
from charge3net.grid import Grid
from charge3net.kernels import build, torch_only
from charge3net.kernels.library import Library
from charge3net.models.charge3net import ChargE3Net
from charge3net.models.delta import DeltaChargE3Net, DeltaLocal
from charge3net.models.painn import PaiNNDensity
from charge3net.models.schnet import SchNetDensity
from charge3net.predict.backends import cpu
from charge3net.predict.predictor import Predictor
from tests.helpers.backends import (
    ALL,
    HARD,
    MODELS,
    SKEWED,
    at_points,
    cpu_reason,
    deepdft_model,
    delta_model,
    error,
    exact,
    on_grid,
    sharp_model,
    state_of,
    usable_variants,
)
from tests.helpers.golden import golden_cases, golden_state, relative_error

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize("variant", usable_variants())
@pytest.mark.parametrize("name", ["e3_l0", "e3_l1", "e3_l2", "e3_l3", "e3_l4", "painn", "schnet", "schnet_spin"])
def test_densities_are_the_published_ones(name, variant, monkeypatch):
    found = Library(ctypes.CDLL(str(build.library_path(variant))), variant)
    monkeypatch.setattr(cpu, "library", lambda: found)
    model = charge3net.convert(golden_state(name)) if name.startswith("e3") else deepdft.convert(golden_state(name), {})
    for case in golden_cases(name):
        density = at_points(model, case.geometry, case.arrays["probes"])
        assert relative_error(density.T, case.arrays["output"]) <= 1e-5, case.name
        if name.startswith("e3"):
            assert (density[0] == 0).sum() == case.facts["probes_without_neighbours"], case.name


@pytest.mark.parametrize("lmax", [0, 2, 5, 6])
def test_two_channels_and_high_orders(lmax):
    geometry = Geometry(
        np.array([3, 8, 22]), np.array([[0.1, 0.2, 0.3], [1.9, 1.0, 0.4], [0.3, 1.7, 2.9]]), SKEWED, ALL
    )
    model = sharp_model(lmax, 37, channels=2)
    grid = Grid(SKEWED, (5, 4, 7))
    density = on_grid(model, geometry, grid)
    assert error(density, exact(model, geometry, grid.points())) <= 5e-6


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", HARD)
def test_grids_of_hard_structures(name, kind):
    geometry, grid = HARD[name]
    model = MODELS[kind]()
    state = state_of(model, geometry)
    reference = exact(model, geometry, grid.points())
    density = on_grid(model, geometry, grid, state=state)
    assert error(density, reference) <= 5e-6
    if kind not in ("painn", "schnet"):
        np.testing.assert_array_equal(density == 0, reference == 0)
    some = np.random.default_rng(0).permutation(len(grid))[: len(grid) // 2]
    assert error(on_grid(model, geometry, grid, some, state), reference[:, some]) <= 5e-6


@pytest.mark.parametrize("variant", usable_variants())
@pytest.mark.parametrize(("layers", "mul", "width", "channels"), [(1, 7, 5, 2), (3, 120, 64, 1)])
def test_sizes_of_networks_on_fitted_atoms(layers, mul, width, channels, variant, monkeypatch):
    found = Library(ctypes.CDLL(str(build.library_path(variant))), variant)
    monkeypatch.setattr(cpu, "library", lambda: found)
    geometry, grid = HARD["slab"]
    model = delta_model(DeltaChargE3Net, lmax=4, mul=mul, num_interactions=layers, width=width, channels=channels)
    density = on_grid(model, geometry, grid)
    assert error(density, exact(model, geometry, grid.points())) <= 5e-6


def test_weights_that_change_are_packed_anew():
    geometry, grid = HARD["slab"]
    model = delta_model(DeltaLocal)
    before = on_grid(model, geometry, grid)
    with torch.no_grad():
        model.atoms.table.mul_(1.1)
    after = on_grid(model, geometry, grid)
    assert error(after, exact(model, geometry, grid.points())) <= 5e-6
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize("kind", [PaiNNDensity, SchNetDensity])
@pytest.mark.parametrize(("features", "layers", "channels"), [(128, 1, 2), (70, 2, 1)])
def test_sizes_of_the_baselines(kind, features, layers, channels):
    geometry, grid = HARD["skewed"]
    model = deepdft_model(kind, features, layers, channels)
    density = on_grid(model, geometry, grid)
    assert error(density, exact(model, geometry, grid.points())) <= 5e-6


def test_far_and_scattered_points():
    geometry = HARD["skewed"][0]
    points = np.random.default_rng(1).uniform(-300.0, 300.0, (60, 3))
    model = sharp_model(2, 30)
    density = at_points(model, geometry, points)
    assert error(density, exact(model, geometry, points)) <= 5e-6


def test_a_point_on_an_atom_has_no_direction():
    geometry = Geometry(np.array([1]), np.array([[0.3, 0.4, 0.5]]), np.zeros((3, 3)), ~ALL)
    model = sharp_model(4, 40)
    offsets = np.array([[0.0, 0, 0], [3e-6, 0, 0], [0, -2e-6, 5e-6], [0.01, 0.02, 0.03]])
    points = geometry.positions + offsets
    density = at_points(model, geometry, points)
    assert error(density, exact(model, geometry, points)) <= 5e-6
    np.testing.assert_allclose(density[0, :3], density[0, 0], rtol=1e-5)


def test_an_atom_at_exactly_the_cutoff_is_no_neighbour():
    geometry = Geometry(np.array([6]), np.zeros((1, 3)), np.zeros((3, 3)), ~ALL)
    model = sharp_model(1, 20, cutoff=4.0)
    inside = 4.0 * (1.0 - 2e-10)  # just nearer than what rounding may do to atoms exactly at the cutoff
    points = np.array([[4.0, 0, 0], [0, -4.0, 0], [2.4, 3.2, 0], [inside, 0, 0], [0, 0, -inside]])
    density = at_points(model, geometry, points)[0]
    np.testing.assert_array_equal(density == 0, [True, True, True, False, False])
    neighbours = np.bincount(build_probe_graph(geometry, points, 4.0).receivers, minlength=5)
    np.testing.assert_array_equal(density == 0, neighbours == 0)


def test_many_neighbours():
    rng = np.random.default_rng(2)
    geometry = Geometry(rng.integers(1, 90, 150), rng.uniform(0.0, 5.0, (150, 3)), 5.0 * np.eye(3), ALL)
    torch.manual_seed(3)
    model = ChargE3Net(lmax=1, mul=20, num_interactions=1)
    points = rng.uniform(0.0, 5.0, (30, 3))
    density = at_points(model, geometry, points)
    assert error(density, exact(model, geometry, points)) <= 5e-6


@pytest.mark.parametrize("variant", usable_variants())
@pytest.mark.parametrize("kind", ["charge3net", "painn", "schnet", "published schnet"])
@pytest.mark.parametrize("atoms", [1, 4])
def test_crowded_cells_lose_no_more_digits_than_in_torch(kind, atoms, variant, monkeypatch):
    """80 and 320 edges a probe, the same encoded atoms; SchNet's activation is more exact than torch's."""
    found = Library(ctypes.CDLL(str(build.library_path(variant))), variant)
    monkeypatch.setattr(cpu, "library", lambda: found)
    rng, cell = np.random.default_rng(0), 1.5 * np.eye(3)
    geometry = Geometry(np.array([6, 1, 8, 7][:atoms]), rng.uniform(0.0, 1.5, (atoms, 3)), cell, ALL)
    grid = Grid(cell, (5, 5, 4))
    torch.manual_seed(1)
    model = SchNetDensity(features=64, num_interactions=3) if kind == "published schnet" else MODELS[kind]()
    state, probes = state_of(model, geometry), build_probe_graph(geometry, grid.points(), model.cutoff)
    density = on_grid(model, geometry, grid, state=state)
    with torch.no_grad(), torch_only():
        plain = model.density_at(state, probes).numpy().T
        layers = tuple(layer.double() for layer in state.layers)
        reference = model.double().density_at(replace(state, layers=layers), probes).numpy().T
    assert error(density, reference) <= (0.9 if "schnet" in kind else 2.5) * error(plain, reference)


def test_same_bits_from_any_number_of_threads():
    geometry, grid = HARD["skewed"]
    grid = Grid(grid.cell, (23, 22, 21))
    model = sharp_model(2, 30)
    state = state_of(model, geometry)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = on_grid(model, geometry, grid, state=state)
        torch.set_num_threads(3)
        np.testing.assert_array_equal(on_grid(model, geometry, grid, state=state), one)
    finally:
        torch.set_num_threads(before)


def test_no_points():
    geometry, grid = HARD["skewed"]
    model = sharp_model(1, 10)
    state = state_of(model, geometry)
    assert at_points(model, geometry, np.zeros((0, 3)), state).shape == (1, 0)
    assert on_grid(model, geometry, grid, np.zeros(0, dtype=np.int64), state).shape == (1, 0)


def test_changed_weights_are_packed_again():
    geometry, grid = HARD["tiny cell"]
    model = sharp_model(2, 24)
    on_grid(model, geometry, grid)
    with torch.no_grad():
        for parameter in model.probe_layers.parameters():
            parameter.mul_(1.2)
    density = on_grid(model, geometry, grid)
    assert error(density, exact(model, geometry, grid.points())) <= 5e-6


def test_reasons_against_a_model():
    geometry = HARD["tiny cell"][0]
    model = sharp_model(1, 10)
    assert cpu_reason(model) == ""
    assert "Altered" in cpu_reason(type("Altered", (PaiNNDensity,), {})(features=8, num_interactions=1))
    assert "float64" in cpu_reason(sharp_model(1, 10).double())
    assert "order 6" in cpu_reason(ChargE3Net(lmax=7, mul=8, num_interactions=1))
    assert "PseudoscalarSpin" in cpu_reason(charge3net.convert(golden_state("e3_l2_spin")))
    with torch_only():
        assert "switched off" in cpu_reason(model)
        assert "switched off" in cpu.open_backend(model, state_of(model, geometry), geometry)


def test_a_number_that_is_not_finite_is_reported_with_its_place():
    geometry = HARD["tiny cell"][0]
    model = sharp_model(1, 10)
    state = state_of(model, geometry)
    state.layers[0][:] = float("nan")
    with pytest.raises(InputError, match=r"not finite at \(0\.100, 0\.200, 0\.300\)"):
        at_points(model, geometry, np.array([[0.1, 0.2, 0.3]]), state)


def test_predictor_with_kernels_and_without():
    geometry, grid = HARD["molecule without a cell"]
    model = sharp_model(2, 40, channels=2)
    compiled = Predictor(model).predict(geometry, grid=grid, symmetry=False)
    plain = Predictor(model, kernels=False).predict(geometry, grid=grid, symmetry=False)
    assert compiled.provenance["backend"] == "compiled"
    assert plain.provenance["backend"].startswith("torch: compiled kernels are switched off")
    np.testing.assert_allclose(compiled.values, plain.values, rtol=0, atol=1e-5 * np.abs(plain.values).max())
    points = grid.points()[::7]
    at = Predictor(model).at(geometry, points)
    assert at.shape == (len(points), 2)
    np.testing.assert_allclose(at, compiled.values.reshape(2, -1).T[::7], rtol=0, atol=1e-6 * np.abs(at).max())
