"""Radial tables and harmonics against the functions they stand for."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch
from e3nn import o3
from scipy.interpolate import BSpline

from charge3net.kernels.library import compiled
from charge3net.nn import radial_table as tables
from charge3net.nn.edges import Edges
from charge3net.nn.edges_compiled import prepared
from charge3net.nn.radial_charge3net import GaussianBasis, RadialNet

pytestmark = pytest.mark.compiled


def tabulated(radial: RadialNet, basis: GaussianBasis, r: np.ndarray) -> tuple[int, np.ndarray]:
    """Number of steps, and the table's spline at r, evaluated by scipy."""
    found = tables.fine_enough(radial, lambda bins: tables.node_basis(basis, bins), basis.n_basis)
    assert found is not None
    bins, hidden = found
    coefficients = tables.table(radial, hidden, torch.arange(bins + 3)).detach().double().numpy()
    knots = np.arange(-3, bins + 4) * (basis.cutoff / bins)
    return bins, BSpline(knots, coefficients, 3)(r)


def exact(radial: RadialNet, basis: GaussianBasis, r: np.ndarray) -> np.ndarray:
    standard = (basis.gaussians(torch.from_numpy(r)) - basis.mean.double()) * basis.inv_std.double()
    hidden = torch.nn.functional.silu(standard @ (radial.first.detach().double() * radial.first.shape[0] ** -0.5))
    scale = 1.6791767923989418 * radial.last.shape[0] ** -0.5  # e3nn's factor of the silu, and the fan-in
    return (hidden @ (radial.last.detach().double() * scale)).numpy()


@pytest.mark.parametrize("sharpness", [1.0, 2.0, 4.0])
@pytest.mark.parametrize(("n_basis", "cutoff"), [(20, 4.0), (8, 5.5)])
def test_error_of_a_table_is_bounded(sharpness, n_basis, cutoff):
    torch.manual_seed(1)
    basis, radial = GaussianBasis(n_basis, cutoff), RadialNet(n_basis, 60, 40)
    with torch.no_grad():
        radial.first *= sharpness
    r = np.concatenate([np.linspace(0.0, cutoff, 5001), [1e-6, cutoff * (1 - 1e-9)]])
    bins, ours = tabulated(radial, basis, r)
    theirs = exact(radial, basis, r)
    assert np.abs(ours - theirs).max() <= 5e-6 * np.abs(theirs).max()
    assert bins % (n_basis - 1) == 0


def test_sharper_weights_get_finer_tables_and_the_sharpest_none():
    torch.manual_seed(2)
    basis = GaussianBasis(20, 4.0)

    def bins(sharpness: float) -> int | None:
        radial = RadialNet(20, 60, 4)
        with torch.no_grad():
            radial.first *= sharpness
        found = tables.fine_enough(radial, lambda n: tables.node_basis(basis, n), 20)
        return found[0] if found else None

    assert bins(1.0) in (380, 532)
    assert bins(4.0) in (760, 1064, 1520)
    assert bins(200.0) is None


def test_without_gradients_tables_are_finer_and_those_of_sharp_weights_as_fine_as_can_be():
    torch.manual_seed(2)
    basis = GaussianBasis(20, 4.0)

    def bins(sharpness: float, tolerance: float) -> int | None:
        radial = RadialNet(20, 60, 4)
        with torch.no_grad():
            radial.first *= sharpness
        found = tables.fine_enough(radial, lambda n: tables.node_basis(basis, n), 20, tolerance)
        return found[0] if found else None

    assert bins(1.0, tables.TOLERANCE_WITHOUT_GRADIENT) > bins(1.0, tables.TOLERANCE)
    assert bins(1.0, 1e-12) == 1520  # what cannot be had: the finest that training would take
    assert bins(200.0, 1e-12) is None


def edges_at(vectors: np.ndarray, lmax: int) -> Edges:
    n = len(vectors)
    zeros = torch.zeros(n, dtype=torch.int64)
    return Edges(zeros, torch.arange(n), n, torch.from_numpy(vectors).float(), lmax, GaussianBasis(20, 4.0))


def test_harmonics_and_spline_weights_of_edges():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(101, 3)) * np.exp(rng.uniform(-3, 0.2, size=(101, 1)))
    vectors = vectors[np.linalg.norm(vectors, axis=1) < 4.0]
    special = [[0, 0, 0], [0, 0, 1e-6], [0, 2, 0], [0, 0, -3.999999], [4.0, 0, 0], [0, -1, 0], [1e-3, 0, 0]]
    vectors = np.concatenate([vectors, special])
    edges = edges_at(vectors, 6)
    arrays = prepared(edges, 1).arrays(380)
    assert arrays is not None
    n, planes = len(vectors), []
    for l in range(7):
        start = n * l * l
        planes.append(arrays.harmonics[start : start + n * (2 * l + 1)].reshape(n, 2 * l + 1))
    directions = torch.from_numpy(vectors)
    directions[directions.norm(dim=1) < 1e-5] = 0.0
    theirs = o3.spherical_harmonics(list(range(7)), directions, normalize=True, normalization="component")
    torch.testing.assert_close(torch.cat(planes, dim=1).double(), theirs, rtol=0, atol=4e-6)

    r, step = np.linalg.norm(edges.vectors.numpy().astype(np.float64), axis=1), 4.0 / 380
    design = BSpline.design_matrix(np.clip(r, 0, 4.0 - 1e-12), np.arange(-3, 384) * step, 3).toarray()
    ours = np.zeros_like(design)
    for e in range(n):
        rows = arrays.used.numpy()[arrays.rows[e] : arrays.rows[e] + 4]
        assert len(rows) == 4
        assert (np.diff(rows) == 1).all()
        ours[e, rows] = arrays.spline[e].numpy()
    np.testing.assert_allclose(ours, design, atol=1e-6)


def test_edges_that_do_not_fit_are_refused():
    fits = edges_at(np.array([[0.0, 0, 1], [0, 1, 0]]), 1)
    assert prepared(fits, 1).arrays(380) is not None
    too_long = edges_at(np.array([[0.0, 0, 1], [0, 4.1, 0]]), 1)
    assert prepared(too_long, 1).arrays(380) is None
    unsorted = Edges(fits.senders, torch.tensor([1, 0]), 2, fits.vectors, 1, fits.basis)
    assert prepared(unsorted, 1).arrays(380) is None
    outside = Edges(torch.tensor([0, 1]), fits.receivers, 2, fits.vectors, 1, fits.basis)
    assert prepared(outside, 1).arrays(380) is None
    assert prepared(outside, 2).arrays(380) is not None


def test_filter_and_its_transpose_are_adjoint():
    generator = torch.Generator().manual_seed(4)
    rows = torch.tensor([0, 1, 5, 17])
    values = torch.randn(17 + 25, 6, generator=generator, requires_grad=True)
    given = torch.randn(4, 6, generator=generator)
    filtered = tables._Filtered.apply(values, rows)
    (gradient,) = torch.autograd.grad((filtered * given).sum(), values)
    torch.testing.assert_close((gradient * values).sum(), (filtered * given).sum())
    z = np.sqrt(3) - 2
    expected = np.sqrt(3) * sum(z ** abs(k - 12) * values[5 + k].detach().double().numpy() for k in range(25))
    np.testing.assert_allclose(filtered[2].detach().numpy(), expected, atol=3e-6)


def test_the_library_knows_the_processor():
    assert compiled().c3n_processor_level() in (0, 1, 3, 4)
    assert isinstance(compiled(), ctypes.CDLL)
