"""The GPU backend in Triton's interpreter, on the CPU: against the published numbers and torch in float64."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from packaging.version import Version

from charge3net.checkpoints.published import charge3net
from charge3net.geometry import Geometry
from charge3net.graph.build import build_probe_graph
from charge3net.grid import Grid
from charge3net.kernels import torch_only
from charge3net.models.charge3net import ChargE3Net
from charge3net.models.painn import PaiNNDensity
from charge3net.predict.backends import gpu
from charge3net.predict.backends import gpu_evaluate as gpu_read
from tests.helpers.backends import SKEWED, exact, gpu_reason, sharp_model, state_of
from tests.helpers.golden import golden_cases, golden_state, relative_error

with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TRITON_INTERPRET", "1")
    triton = pytest.importorskip("triton", reason="triton is not installed")
    # Under its own name jaxtyping would wrap what Triton is to see.
    path = Path(gpu_read.__file__).with_name("gpu_kernels.py")
    spec = importlib.util.spec_from_file_location("interpreted_gpu_kernels", path)
    kernels = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kernels)


def why_not_here() -> str:
    if isinstance(triton.language.max, triton.JITFunction):
        return "triton was loaded before, without its interpreter; run this file by itself"
    if Version(triton.__version__) < Version("3.7") and Version(np.__version__) >= Version("2.4"):
        return f"the interpreter of triton {triton.__version__} fails with numpy {np.__version__}"
    return ""


pytestmark = pytest.mark.skipif(bool(why_not_here()), reason=why_not_here())

NONE = np.zeros(3, dtype=bool)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """The kernels take CPU tensors; a kernel costs as much time for 128 points as for 32."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(gpu_read, "kernels", lambda: kernels)
    monkeypatch.setattr(gpu, "kernels", lambda: kernels)
    monkeypatch.setattr(gpu, "_failed", {})
    monkeypatch.setattr(gpu_read, "TILE", 128)


def reader(model: ChargE3Net, geometry: Geometry) -> gpu_read.GpuBackend:
    return gpu_read.GpuBackend(model, state_of(model, geometry), geometry, gpu._prepare(model).weights)


def at(model: ChargE3Net, geometry: Geometry, points: np.ndarray) -> np.ndarray:
    out = np.full((model.channels, len(points)), np.nan, dtype=np.float32)
    reader(model, geometry).points(points, out)
    return out


def on(model: ChargE3Net, geometry: Geometry, grid: Grid, index: np.ndarray | None = None) -> np.ndarray:
    out = np.full((model.channels, len(grid) if index is None else len(index)), np.nan, dtype=np.float32)
    reader(model, geometry).grid(grid, out, index)
    return out


@pytest.mark.parametrize(("name", "structure"), [("e3_l4", "Al_slab_pbc110"), ("e3_l1", "ethanol_molecule")])
def test_densities_are_the_published_ones(name, structure):
    model = charge3net.convert(golden_state(name))
    case = next(case for case in golden_cases(name) if case.name == structure)
    density = at(model, case.geometry, case.arrays["probes"])
    assert relative_error(density.T, case.arrays["output"]) <= 5e-6
    assert (density[0] == 0).sum() == case.facts["probes_without_neighbours"]


@pytest.mark.parametrize("tile", [32, 64])
def test_a_grid_over_a_skewed_wire(tile, monkeypatch):
    monkeypatch.setattr(gpu_read, "TILE", tile)
    positions = np.array([[0.0, 0.5, 0.0], [0.9, 1.5, -0.4]])
    geometry = Geometry(np.array([6, 8]), positions, 1.3 * SKEWED, np.array([False, True, False]))
    grid = Grid(np.diag([4.0, 3.0, 3.0]), (5, 4, 3), np.array([-9.0, -11.5, -1.5]))
    model = sharp_model(2, 60, channels=2, cutoff=2.0)
    reference = exact(model, geometry, grid.points())
    density = on(model, geometry, grid)
    assert relative_error(density, reference) <= 5e-6
    np.testing.assert_array_equal(density == 0, reference == 0)
    some = np.random.default_rng(0).permutation(len(grid))[:20]
    np.testing.assert_allclose(on(model, geometry, grid, some), density[:, some], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("lmax", "mul"), [(0, 70), (6, 20)])
def test_all_orders_and_a_point_on_an_atom(lmax, mul):
    geometry = Geometry(np.array([1, 6]), np.array([[0.3, 0.4, 0.5], [0.3, 1.5, 0.5]]), np.zeros((3, 3)), NONE)
    model = sharp_model(lmax, mul, cutoff=3.0)
    points = geometry.positions[0] + np.random.default_rng(1).normal(size=(20, 3))
    points[:3] = geometry.positions[0] + np.array([[0.0, 0, 0], [3e-6, 0, 0], [0, -2e-6, 5e-6]])
    assert relative_error(at(model, geometry, points), exact(model, geometry, points)) <= 5e-6


def test_an_atom_at_exactly_the_cutoff_is_not_heard():
    """On a grid too, whose points the device forms by itself: of these, numpy's rounding decides."""
    geometry = Geometry(np.array([6]), np.array([[0.1, 0.2, 0.3]]), np.zeros((3, 3)), NONE)
    model = sharp_model(1, 20, cutoff=1.2)
    turn = np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    grid = Grid(4.0 * 1.2 * turn, (8, 8, 1), geometry.positions[0] - 1.2 * (turn[0] + turn[1]))
    heard = np.bincount(build_probe_graph(geometry, grid.points(), 1.2).receivers, minlength=len(grid))
    distances = np.linalg.norm(grid.points() - geometry.positions[0], axis=1)
    assert (np.abs(distances - 1.2) < 1e-12).sum() >= 4
    np.testing.assert_array_equal(on(model, geometry, grid)[0] == 0, heard == 0)


def test_pieces_change_nothing(monkeypatch):
    geometry = Geometry(np.array([13, 8]), np.array([[0.0, 0, 0], [9.3, -7.1, 14.2]]), SKEWED, ~NONE)
    model = sharp_model(0, 6, cutoff=1.2)
    points = np.random.default_rng(2).uniform(-3.0, 3.0, (11, 3))
    whole = at(model, geometry, points)
    assert relative_error(whole, exact(model, geometry, points)) <= 5e-6
    for name, size in {"TILE": 4, "_POINTS": 8, "_EDGES": 8, "_CHUNK": 8}.items():
        monkeypatch.setattr(gpu_read, name, size)
    np.testing.assert_allclose(at(model, geometry, points), whole, rtol=0, atol=1e-6 * np.abs(whole).max())


@pytest.fixture
def hydrogen(monkeypatch) -> tuple[ChargE3Net, Geometry]:
    """Few points for the comparison with torch."""
    monkeypatch.setattr(gpu, "_POINTS", 20)
    monkeypatch.setattr(gpu, "_VOXELS", 2)
    return sharp_model(1, 12, cutoff=2.0), Geometry(np.array([1]), np.zeros((1, 3)), np.zeros((3, 3)), NONE)


def test_the_kernels_are_used_after_a_comparison_with_torch(hydrogen, monkeypatch):
    model, geometry = hydrogen
    state = state_of(model, geometry)
    assert isinstance(gpu.open_backend(model, state, geometry), gpu_read.GpuBackend)
    monkeypatch.setattr(gpu, "_difference", lambda *_: pytest.fail("compared once more"))
    assert isinstance(gpu.open_backend(model, state, geometry), gpu_read.GpuBackend)


def test_kernels_that_are_wrong_are_not_used(hydrogen, caplog):
    model, geometry = hydrogen
    state = state_of(model, geometry)
    gpu._prepare(model).weights.readout.mul_(1.001)
    with caplog.at_level(logging.WARNING):
        assert "differ from torch by" in gpu.open_backend(model, state, geometry)
        assert "differ from torch by" in gpu.open_backend(model, state, geometry)
    assert len(caplog.records) == 1
    with torch.no_grad():
        model.readout.weights["0e"].mul_(2.0)
    assert isinstance(gpu.open_backend(model, state_of(model, geometry), geometry), gpu_read.GpuBackend)


def test_numbers_that_are_not_finite_are_left_to_torch(hydrogen):
    model, geometry = hydrogen
    gpu._prepare(model).weights.readout.fill_(float("nan"))
    assert "not finite" in gpu.open_backend(model, state_of(model, geometry), geometry)


def test_kernels_that_do_not_run_are_not_used(hydrogen, monkeypatch, caplog):
    class Broken:
        def __getitem__(self, programs):
            raise RuntimeError("no compiler\nin sight")

    model, geometry = hydrogen
    state = state_of(model, geometry)
    find_edges = gpu_read.kernels().find_edges
    monkeypatch.setattr(gpu_read, "kernels", lambda: SimpleNamespace(find_edges=find_edges, sum_messages=Broken()))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert gpu.open_backend(model, state, geometry) == (
                "the GPU kernels do not run on cpu (RuntimeError: no compiler in sight)"
            )
    assert len(caplog.records) == 1
    assert gpu.status()["backend"] == "torch"


def test_reasons_against_a_model(hydrogen, monkeypatch):
    model, _ = hydrogen
    assert gpu_reason(model) == ""
    assert "PaiNN" in gpu_reason(PaiNNDensity(features=8, num_interactions=1))
    assert "float64" in gpu_reason(sharp_model(1, 10).double())
    assert "order 6" in gpu_reason(ChargE3Net(lmax=7, mul=8, num_interactions=1))
    with torch_only():
        assert "switched off" in gpu_reason(model)
    monkeypatch.setattr(gpu, "_triton", lambda: ("", "triton is not installed"))
    assert gpu_reason(model) == "triton is not installed"
    assert gpu.status() == {"backend": "torch", "version": "", "reason": "triton is not installed"}


def test_a_number_that_is_not_finite_is_reported_with_its_place(hydrogen):
    from charge3net.errors import InputError

    model, geometry = hydrogen
    state = state_of(model, geometry)
    read = gpu_read.GpuBackend(model, state, geometry, gpu._prepare(model).weights)
    read._senders[0].fill_(float("nan"))
    with pytest.raises(InputError, match=r"not finite at \(0\.100, 0\.200, 0\.300\)"):
        read.points(np.array([[0.1, 0.2, 0.3]]), np.empty((1, 1), dtype=np.float32))


def test_the_benchmark_runs(hydrogen):
    from benchmarks.gpu_read import Contest, Protocol

    model, geometry = hydrogen
    boxed = geometry.with_cell(5.0 * np.eye(3))
    result = Contest(model, boxed, Protocol(rounds=1, side=3, torch_side=3, points=9)).run()
    assert max(result["errors"].values()) <= 5e-6
    assert all(rate > 0 for rate in result["points_per_second"].values())
