"""The compiled gradient against automatic differentiation of the plain torch path in float64."""

from __future__ import annotations

import copy
import ctypes

import numpy as np
import pytest
import torch

from charge3net import Predictor
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.grid import Grid
from charge3net.kernels import build, torch_only
from charge3net.kernels.library import Library
from charge3net.models.charge3net import ChargE3Net
from charge3net.models.delta import DeltaChargE3Net, DeltaLocal
from charge3net.models.fitted_atoms import FittedAtoms
from charge3net.nn.radial_charge3net import GaussianBasis, RadialNet
from charge3net.predict.backends import cpu, spline
from charge3net.predict.backends.charge3net_parts import radial_functions
from charge3net.predict.derivatives import Derivatives, density_derivatives
from tests.helpers.backends import HARD, cpu_reason, delta_model, sharp_model, usable_variants

pytestmark = pytest.mark.compiled


def derivatives(model: ChargE3Net, geometry: Geometry, points: np.ndarray | Grid) -> Derivatives:
    with torch.no_grad():
        state = model.encode_atoms(build_atom_graph(geometry, model.cutoff))
    return density_derivatives(model, state, geometry, points)


def exact(model: ChargE3Net, geometry: Geometry, points: np.ndarray) -> Derivatives:
    with torch_only():
        return derivatives(copy.deepcopy(model).double(), geometry, points)


def assert_agree(found: Derivatives, expected: Derivatives, tolerance: float = 1e-5) -> None:
    for ours, theirs in ((found.values, expected.values), (found.gradient, expected.gradient)):
        assert ours.dtype == np.float32
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("name", HARD)
def test_gradients_of_hard_structures(name):
    geometry, grid = HARD[name]
    model = sharp_model(3, 50, channels=2)
    found, expected = derivatives(model, geometry, grid), exact(model, geometry, grid.points())
    assert_agree(found, expected)
    nothing = (expected.values == 0).all(axis=1)
    assert not found.gradient[nothing].any()


@pytest.mark.parametrize("variant", usable_variants())
@pytest.mark.parametrize("lmax", [0, 1, 4, 6])
def test_every_order_and_variant(lmax, variant, monkeypatch):
    loaded = Library(ctypes.CDLL(str(build.library_path(variant))), variant)
    monkeypatch.setattr(cpu, "library", lambda: loaded)
    geometry, _ = HARD["skewed"]
    points = np.random.default_rng(lmax).uniform(-5.0, 9.0, size=(70, 3))
    model = sharp_model(lmax, 37)
    assert_agree(derivatives(model, geometry, points), exact(model, geometry, points))


@pytest.mark.parametrize("kind", [FittedAtoms, DeltaLocal, DeltaChargE3Net])
@pytest.mark.parametrize("name", HARD)
def test_gradients_of_models_on_fitted_atoms(name, kind):
    geometry, grid = HARD[name]
    model = delta_model(kind, **({} if kind is FittedAtoms else {"channels": 2}))
    found, expected = derivatives(model, geometry, grid), exact(model, geometry, grid.points())
    assert_agree(found, expected, 2e-5)
    assert not found.gradient[(expected.values == 0).all(axis=1)].any()


@pytest.mark.parametrize("variant", usable_variants())
@pytest.mark.parametrize(("layers", "mul", "width", "channels"), [(1, 7, 5, 2), (2, 40, 64, 1), (3, 30, 20, 2)])
def test_gradients_of_networks_on_fitted_atoms(layers, mul, width, channels, variant, monkeypatch):
    loaded = Library(ctypes.CDLL(str(build.library_path(variant))), variant)
    monkeypatch.setattr(cpu, "library", lambda: loaded)
    geometry, _ = HARD["slab"]
    points = np.random.default_rng(layers).uniform(-5.0, 9.0, size=(70, 3))
    model = delta_model(DeltaChargE3Net, lmax=3, mul=mul, num_interactions=layers, width=width, channels=channels)
    assert_agree(derivatives(model, geometry, points), exact(model, geometry, points), 2e-5)


def test_on_an_atom_the_gradient_is_zero():
    geometry, _ = HARD["slab"]
    model = sharp_model(2, 30)
    points = np.concatenate([geometry.positions + geometry.cell[0], geometry.positions + 0.3])
    found, n = derivatives(model, geometry, points), len(geometry)
    assert not found.gradient[:n].any()
    assert_agree(found, exact(model, geometry, points))


def test_the_predictor_reads_gradients_by_the_kernels(monkeypatch):
    geometry, grid = HARD["tiny cell"]
    model = sharp_model(2, 30)
    calls = []
    original = cpu.CpuBackend.grid
    monkeypatch.setattr(cpu.CpuBackend, "grid", lambda self, *rest: calls.append(1) or original(self, *rest))
    compiled = Predictor(model).gradient(geometry, grid)
    plain = Predictor(model, kernels=False).gradient(geometry, grid)
    assert len(calls) == 1
    assert compiled.shape == (1, 3, *grid.shape)
    np.testing.assert_allclose(compiled, plain, rtol=0, atol=3e-5 * np.abs(plain).max())


def test_slopes_of_tables_are_those_of_the_networks():
    from scipy.interpolate import BSpline

    torch.manual_seed(0)
    basis, network = GaussianBasis(20, 4.0), RadialNet(20, 100, 30)
    coarse, fine = (spline.fit([radial_functions(network, basis)], 4.0, slopes) for slopes in (False, True))
    assert fine.steps > coarse.steps
    lengths = torch.rand(4000, dtype=torch.float64) * 4.0
    weights = radial_functions(network, basis)
    step = 1e-5
    slopes = ((weights(lengths + step) - weights(lengths - step)) / (2 * step)).detach().numpy()
    knots = np.arange(-3, fine.steps + 4) * (4.0 / fine.steps)
    found = BSpline(knots, fine.coefficients[0], 3).derivative()(lengths.numpy())
    error = (np.abs(found - slopes).max(0) / np.abs(slopes).max(0)).max()
    assert 1e-7 < error <= 1.2 * spline.GRADIENT_TOLERANCE


def test_a_gradient_that_is_not_compiled_says_so():
    from charge3net.models.painn import PaiNNDensity

    assert "gradient" in cpu_reason(PaiNNDensity(features=8, num_interactions=1), order=1)
