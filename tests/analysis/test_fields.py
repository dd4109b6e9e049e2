"""IRI, DORI, reduced gradient and eigenvalues against densities whose fields are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from charge3net.analysis.fields import density_overlap, hessian_eigenvalues, interaction_region, reduced_gradient

BOHR = 0.529177210903
RADII = np.array([0.2, 0.7, 1.5, 3.0])
DIRECTIONS = np.random.default_rng(0).normal(size=(4, 3))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def radial(f: np.ndarray, slope: np.ndarray, second: np.ndarray, r: np.ndarray, to: np.ndarray):
    """ρ, ∇ρ and Hessian of a function of r at points r·to."""
    along = to[:, :, None] * to[:, None, :]
    hessian = second[:, None, None] * along + (slope / r)[:, None, None] * (np.eye(3) - along)
    return f, slope[:, None] * to, hessian


def exponential(a: float, amplitude: float = 1.0):
    f = amplitude * np.exp(-a * RADII)
    return radial(f, -a * f, a**2 * f, RADII, DIRECTIONS)


def test_an_exponential_atom_alone_has_no_overlap():
    np.testing.assert_allclose(density_overlap(*exponential(3.1)), 0.0, atol=1e-12)


def test_overlap_of_a_gaussian():
    alpha = 0.8
    f = np.exp(-alpha * RADII**2)
    parts = radial(f, -2 * alpha * RADII * f, (4 * alpha**2 * RADII**2 - 2 * alpha) * f, RADII, DIRECTIONS)
    # k = −2αr r̂, so θ = |∇(4α²r²)|² / (4α²r²)³ = 1 / (α²r⁴)
    np.testing.assert_allclose(density_overlap(*parts), 1.0 / (1.0 + alpha**2 * RADII**4), rtol=1e-12)


def test_two_atoms_overlap_halfway_and_less_beside_them():
    a, b, places = np.array([-1.0, 0, 0]), np.array([1.0, 0, 0]), np.array([[0.0, 0, 0], [4.0, 0, 0], [0.0, 0.01, 0]])

    def atom(centre: np.ndarray):
        away = places - centre
        r = np.linalg.norm(away, axis=1)
        f = np.exp(-3.0 * r)
        return radial(f, -3.0 * f, 9.0 * f, r, away / r[:, None])

    found = density_overlap(*(first + second for first, second in zip(atom(a), atom(b), strict=True)))
    assert found[0] == 1.0, "a critical point"
    assert found[1] < 1e-3, "far outside one atom is alone"
    assert 0.99 < found[2] < 1.0


def test_fields_of_the_hydrogen_atom_in_atomic_units():
    """ρ = e^(−2r)/π: IRI = 2 ρ^(−0.1), s = 2 ρ^(−1/3) / (2 (3π²)^⅓), with r in Bohr."""
    density, gradient, _ = exponential(2.0 / BOHR, 1.0 / (np.pi * BOHR**3))
    rho = np.exp(-2.0 * RADII / BOHR) / np.pi
    np.testing.assert_allclose(interaction_region(density, gradient), 2.0 * rho**-0.1, rtol=1e-10)
    np.testing.assert_allclose(interaction_region(density, gradient, power=1.0), 2.0, rtol=1e-10)
    expected = rho ** (-1 / 3) / (3.0 * np.pi**2) ** (1 / 3)
    np.testing.assert_allclose(reduced_gradient(density, gradient), expected, rtol=1e-10)


def test_eigenvalues_are_ascending_and_those_of_the_matrix():
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    matrix = turn @ np.diag([2.5, -7.0, 0.3]) @ turn.T
    np.testing.assert_allclose(hessian_eigenvalues(np.stack([matrix, -matrix])), [[-7, 0.3, 2.5], [-2.5, -0.3, 7]])


@pytest.mark.parametrize("density", [0.0, -0.2])
def test_no_field_where_there_is_no_density(density):
    values, gradient, hessian = np.full(2, density), np.ones((2, 3)), np.ones((2, 3, 3))
    assert np.isnan(interaction_region(values, gradient)).all()
    assert np.isnan(reduced_gradient(values, gradient)).all()
    assert np.isnan(density_overlap(values, gradient, hessian)).all()
