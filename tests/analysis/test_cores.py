"""Slater cores against their closed forms, and valence electrons read off integrals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import quad

from charge3net.analysis.cores import atomic_core, core_density, valence_electrons
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.units import BOHR


@pytest.mark.parametrize(("number", "electrons"), [(3, 2), (28, 12), (27, 18), (55, 46), (55, 54), (79, 68)])
def test_a_core_holds_its_electrons(number: int, electrons: int) -> None:
    held, _ = quad(lambda r: 4 * np.pi * r**2 * atomic_core(number, electrons, np.array([r]))[0], 0.0, 8.0, limit=400)
    assert held == pytest.approx(electrons, rel=1e-6)


def test_helium_like_core_of_lithium() -> None:
    # 1s²: 2 ζ³/π exp(−2ζr) with ζ = 3 − 0.30, in Bohr
    r = np.array([0.0, 0.2, 0.7, 1.3])
    expected = 2 * 2.7**3 / np.pi * np.exp(-2 * 2.7 * r / BOHR) / BOHR**3
    np.testing.assert_allclose(atomic_core(3, 2, r), expected, rtol=1e-12)


def test_effective_charges_of_iron() -> None:
    """Slater's own example, Phys. Rev. 36, 57 (1930): Z − s of Fe is 25.70 (1s), 21.85 (2s 2p), 14.75 (3s 3p)."""
    r = np.array([0.30, 0.45]) * BOHR
    for inner, outer, n, charge in ((0, 2, 1, 25.70), (2, 10, 2, 21.85), (10, 18, 3, 14.75)):
        shell = atomic_core(26, outer, r) - atomic_core(26, inner, r)
        slope = np.log(shell[1] / shell[0]) - (2 * n - 2) * np.log(0.45 / 0.30)
        assert slope == pytest.approx(-2 * charge / n * 0.15, rel=1e-9)


def test_cores_of_a_crystal_are_summed_over_images() -> None:
    cell = np.array([[2.2, 0.0, 0.0], [0.4, 2.5, 0.0], [-0.3, 0.2, 2.9]])
    geometry = Geometry(np.array([3, 6]), np.array([[0.1, 0.2, 0.3], [1.4, 1.1, 1.6]]), cell, np.ones(3, dtype=bool))
    grid = Grid(cell, (5, 6, 7))
    expected = np.zeros(len(grid))
    for shift in itertools.product(range(-3, 4), repeat=3):
        for z, position in zip((3, 6), geometry.positions + np.array(shift) @ cell, strict=True):
            expected += atomic_core(z, 2, np.linalg.norm(grid.points() - position, axis=1))
    found = core_density(geometry, grid, {3: 1, 6: 4})
    np.testing.assert_allclose(found.reshape(-1), expected, rtol=1e-6, atol=1e-6)


def test_valence_electrons_follow_from_integrals() -> None:
    compositions = [{3: 1, 9: 1}, {3: 2, 8: 1}, {9: 2, 8: 1}, {3: 1, 8: 1, 9: 1}]
    electrons = np.array([1 + 7, 2 + 6, 14 + 6, 1 + 6 + 7]) + np.array([1e-3, -2e-3, 0.0, 1e-3])
    assert valence_electrons(compositions, electrons) == {3: 1, 8: 6, 9: 7}
    with pytest.raises(InputError, match="more structures"):
        valence_electrons(compositions[:2], electrons[:2])
    with pytest.raises(InputError, match="no whole numbers"):
        valence_electrons(compositions, electrons + np.array([0.5, 0.0, 0.0, 0.0]))


def test_what_is_not_known_is_refused() -> None:
    geometry = Geometry(np.array([3]), np.zeros((1, 3)), np.eye(3) * 3, np.ones(3, dtype=bool))
    with pytest.raises(InputError, match="element 3"):
        core_density(geometry, Grid(geometry.cell, (4, 4, 4)), {8: 6})
    with pytest.raises(InputError, match="core of -1"):
        atomic_core(3, -1, np.zeros(1))
