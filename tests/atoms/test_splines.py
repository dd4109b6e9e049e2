"""Radial functions in both bases, against functions in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charge3net.atoms.functions import SMOOTHING, functions_of, smoothed, window
from charge3net.atoms.splines import evaluate, fit_basis, fit_knots, table_nodes, table_of, values_at
from charge3net.errors import InputError

REACH = 4.0


def gaussian(r: np.ndarray, width: float) -> np.ndarray:
    """One electron in a Gaussian."""
    return np.exp(-(r**2) / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5


def test_tables_interpolate_even_functions():
    r = np.linspace(0, REACH, 777)
    table = table_of(gaussian(table_nodes(REACH), 0.6)[:, None])
    np.testing.assert_allclose(values_at(table, r)[:, 0], gaussian(r, 0.6), atol=2e-4 * gaussian(0.0, 0.6))


@pytest.mark.parametrize("reach", [1.5, 3.0, 4.0, 6.3])
def test_a_table_holds_exactly_what_was_fitted(reach):
    knots = fit_knots(reach)
    assert knots[0] == 0
    assert knots[-1] == pytest.approx(reach, abs=1e-12)
    coefficients = np.random.default_rng(0).normal(size=len(knots) - 2)
    table = table_of((fit_basis(table_nodes(reach), knots) @ coefficients)[:, None])
    r = np.linspace(0, 1.2 * reach, 501)
    np.testing.assert_allclose(values_at(table, r)[:, 0], fit_basis(r, knots) @ coefficients, atol=1e-11)


def test_functions_end_with_slope_and_curvature():
    knots = fit_knots(REACH)
    below = REACH - np.array([1e-3, 1e-2])
    # a cubic with a threefold zero at the end falls as the third power of the distance from it
    ratio = fit_basis(below[1:], knots)[0, -1] / fit_basis(below[:1], knots)[0, -1]
    assert ratio == pytest.approx(1000, rel=1e-3)
    assert not fit_basis(np.array([REACH, REACH + 1.0]), knots).any()


def test_derivatives_are_those_of_the_splines():
    table = torch.from_numpy(table_of(gaussian(table_nodes(REACH), 0.5)[:, None]))[None]
    r = torch.tensor([0.0, 0.3, 1.234, 2.9, 3.99, 4.0, 5.0], dtype=torch.float64, requires_grad=True)
    place = torch.zeros(len(r), dtype=torch.int64)
    (slope,) = torch.autograd.grad(evaluate(table, place, r).sum(), r, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), r)
    x = r.detach().numpy()
    np.testing.assert_allclose(slope.detach(), -x / 0.25 * gaussian(x, 0.5), atol=2e-3)
    np.testing.assert_allclose(curvature, (x**2 / 0.0625 - 4) * gaussian(x, 0.5), atol=0.06)
    assert slope[0] == 0


def test_what_is_derived_from_a_gaussian():
    width = 0.5
    table = table_of(gaussian(table_nodes(REACH), width)[:, None])[:, 0]
    r = np.linspace(0.0, 3.5, 36)
    found = values_at(functions_of(table, REACH), r)
    np.testing.assert_allclose(found[:, 1], -gaussian(r, width) / width**2, atol=0.03)
    laplacian = (r**2 / width**4 - 3 / width**2) * gaussian(r, width)
    np.testing.assert_allclose(found[:, 2], laplacian, atol=0.15)
    for column, smooth in enumerate(SMOOTHING, start=3):  # two Gaussians convolved: their widths add in squares
        expected = gaussian(r, np.hypot(width, smooth)) * window(r, REACH)
        np.testing.assert_allclose(found[:, column], expected, atol=2e-3 * expected.max())


def test_smoothing_keeps_the_electrons():
    table = table_of(gaussian(table_nodes(8.0), 0.7)[:, None])[:, 0]
    r = table_nodes(8.0)
    assert np.trapezoid(4 * np.pi * r**2 * smoothed(table, 1.0), r) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("reach", [0.5, 4.05, float("nan")])
def test_a_reach_that_has_no_table(reach):
    with pytest.raises((InputError, ValueError)):
        table_nodes(reach)
