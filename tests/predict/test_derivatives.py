"""Derivatives with respect to the point: against Gaussians differentiated by hand, and against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charge3net import Predictor
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.grid import Grid
from charge3net.models.base import DensityModel
from charge3net.models.registry import build_model
from charge3net.predict.derivatives import Derivatives, density_derivatives
from charge3net.testing import density_at
from tests.helpers.gaussians import ALPHA, GaussianAtoms

SMALL = {
    "charge3net": {"lmax": 3, "mul": 24, "hidden": 16, "num_basis": 8, "channels": 2},
    "schnet": {"features": 16, "num_interactions": 2},
    "painn": {"features": 16, "num_interactions": 2},
}

TRICLINIC = Geometry(
    np.array([8, 6]), np.array([[0.4, 0.9, 1.1], [2.9, 1.5, 2.2]]),
    np.array([[4.1, 0.0, 0.0], [1.1, 4.6, 0.0], [0.3, 0.8, 4.9]]), np.ones(3, dtype=bool),
)  # fmt: skip
POINTS = np.random.default_rng(0).uniform(size=(9, 3)) @ TRICLINIC.cell


def small(architecture: str) -> DensityModel:
    torch.manual_seed(3)
    return build_model(architecture, SMALL[architecture]).double()


def derivatives(model: DensityModel, points: np.ndarray, order: int = 2, **options: int) -> Derivatives:
    with torch.no_grad():
        state = model.encode_atoms(build_atom_graph(TRICLINIC, model.cutoff))
    return density_derivatives(model, state, TRICLINIC, points, order, **options)


def gaussians_by_hand(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ρ, −2αr·ρ and (4α²rrᵀ − 2α)·ρ of every Gaussian of the crystal."""
    images = np.stack(np.meshgrid(*[range(-3, 4)] * 3), axis=-1).reshape(-1, 3) @ TRICLINIC.cell
    atoms = (images[:, None] + TRICLINIC.positions).reshape(-1, 3)
    charges = np.tile(TRICLINIC.numbers, len(images)) * (ALPHA / np.pi) ** 1.5
    r = points[:, None] - atoms
    each = charges * np.exp(-ALPHA * (r**2).sum(-1))
    second = 4 * ALPHA**2 * r[..., :, None] * r[..., None, :] - 2 * ALPHA * np.eye(3)
    return each.sum(1), np.einsum("pa,pai->pi", each, -2 * ALPHA * r), np.einsum("pa,paij->pij", each, second)


@pytest.mark.parametrize("budget", [None, 40])
def test_gaussians_have_the_derivatives_of_gaussians(budget):
    found = derivatives(GaussianAtoms(channels=2, dtype=torch.float64), POINTS, edges_at_once=budget)
    density, gradient, hessian = gaussians_by_hand(POINTS)
    for channel, factor in enumerate((1.0, 0.1)):
        np.testing.assert_allclose(found.values[:, channel], factor * density, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.gradient[:, channel], factor * gradient, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.hessian[:, channel], factor * hessian, rtol=0, atol=1e-9)


@pytest.mark.parametrize("architecture", SMALL)
def test_models_have_the_derivatives_of_finite_differences(architecture):
    model, step = small(architecture), 5e-5
    found = derivatives(model, POINTS)

    def at(*moves: float) -> np.ndarray:
        return density_at(model, TRICLINIC, POINTS + np.array(moves))

    for i in range(3):
        e = step * np.eye(3)[i]
        slope = (8 * (at(*e) - at(*-e)) - (at(*2 * e) - at(*-2 * e))) / (12 * step)
        np.testing.assert_allclose(found.gradient[:, :, i], slope, rtol=0, atol=1e-7 * np.abs(slope).max())
        for j in range(3):
            d = step * np.eye(3)[j]
            mixed = (at(*e + d) - at(*e - d) - at(*d - e) + at(*-e - d)) / (4 * step**2)
            scale = np.abs(found.hessian).max()
            np.testing.assert_allclose(found.hessian[:, :, i, j], mixed, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("architecture", SMALL)
def test_on_an_atom_derivatives_are_zero_and_the_rest_is_as_without(architecture):
    model, points = small(architecture), np.concatenate([POINTS, TRICLINIC.positions + TRICLINIC.cell[0]])
    found = derivatives(model, points)
    np.testing.assert_allclose(found.values, density_at(model, TRICLINIC, points), rtol=1e-10)
    assert not found.gradient[len(POINTS) :].any()
    assert not found.hessian[len(POINTS) :].any()
    alone = derivatives(model, POINTS)
    np.testing.assert_allclose(found.gradient[: len(POINTS)], alone.gradient, rtol=1e-9)
    np.testing.assert_allclose(found.hessian[: len(POINTS)], alone.hessian, rtol=1e-9)


def test_weights_stay_as_they_were_and_no_hessian_unless_asked_for():
    model = small("charge3net")
    model.readout.requires_grad_(False)
    learning = [weight.requires_grad for weight in model.parameters()]
    assert derivatives(model, POINTS, order=1).hessian is None
    assert [weight.requires_grad for weight in model.parameters()] == learning
    assert all(weight.grad is None for weight in model.parameters())


def test_the_predictor_gives_gradients_at_points_and_on_a_grid():
    predictor = Predictor(GaussianAtoms(channels=2, dtype=torch.float64))
    expected = gaussians_by_hand(POINTS)[1]
    np.testing.assert_allclose(predictor.gradient(TRICLINIC, POINTS)[:, 0], expected, rtol=0, atol=1e-9)
    grid = Grid(TRICLINIC.cell, (4, 5, 6))
    on_grid = predictor.gradient(TRICLINIC, grid)
    assert on_grid.shape == (2, 3, 4, 5, 6)
    expected = gaussians_by_hand(grid.points())[1].reshape(4, 5, 6, 3)
    np.testing.assert_allclose(np.moveaxis(on_grid[0], 0, -1), expected, rtol=0, atol=1e-9)


def test_mistakes_are_named():
    with pytest.raises(InputError, match="order 1 or 2"):
        derivatives(small("schnet"), POINTS, order=3)
    with pytest.raises(InputError, match=r"\[n, 3\]"):
        derivatives(small("schnet"), POINTS[:, :2])
    broken = GaussianAtoms(dtype=torch.float64)
    with torch.no_grad():
        broken.scale.fill_(float("inf"))
    with pytest.raises(InputError, match="not finite"):
        derivatives(broken, POINTS)
