"""Dipoles and potentials against closed forms, PySCF and Madelung constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import erf

from charge3net import Density, Geometry, Grid
from charge3net.analysis.electrostatics import COULOMB
from charge3net.errors import InputError
from tests.helpers.gaussians import gaussian_density

#: PySCF 2.14, PBE/def2-TZVP at the geometry of g2-H2O; GPAW's PBE density on its grid should have nearly the same.
WATER_DEBYE = 1.81


def test_dipole_of_displaced_gaussians_in_a_skewed_cell() -> None:
    """F holds 8 e around itself (charge −1), Li 0 of its own: μ = Σ q (R_ion − R_electrons)."""
    cell = np.array([[9.0, 0.0, 0.0], [0.5, 9.5, 0.0], [-0.4, 0.3, 10.0]])
    for shift in (np.zeros(3), np.array([4.3, 4.9, 5.2])):  # across the walls as well
        places = np.array([[4.0, 4.5, 4.9], [5.2, 4.6, 5.5]]) + shift
        ions = Geometry(np.array([9, 3]), places, cell, np.ones(3, bool))
        moved = Geometry(np.array([9]), places[:1] + np.array([0.1, 0.0, -0.2]), cell, np.ones(3, bool))
        grid = Grid(cell, (45, 48, 50))
        electrons = gaussian_density(moved, grid, 0.5, charges=[8.0], images=2)
        density = Density(ions, grid, electrons.values)
        expected = 7 * places[0] + places[1] - 8 * moved.positions[0]
        np.testing.assert_allclose(density.dipole({"F": 7, "Li": 1}), expected, atol=1e-3)


def test_dipole_of_water(shared: Path) -> None:
    density = Density.read(shared / "dft" / "molecules" / "g2-H2O.npz")
    dipole = density.dipole() * 4.80320
    assert np.linalg.norm(dipole) == pytest.approx(WATER_DEBYE, rel=0.03)
    hydrogens = density.geometry.positions[density.geometry.numbers == 1].mean(axis=0)
    towards = hydrogens - density.geometry.positions[density.geometry.numbers == 8][0]
    assert dipole @ towards > 0.99 * np.linalg.norm(dipole) * np.linalg.norm(towards)


def test_a_crystal_has_no_dipole(shared: Path) -> None:
    with pytest.raises(InputError, match="no vacuum along vector a"):
        Density.read(shared / "real" / "CHGCAR.Si2").dipole()


@pytest.mark.parametrize(
    ("madelung", "places", "signs"),
    [
        (1.747565, [[x, y, z] for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)], "checkerboard"),
        (1.762675, [[0, 0, 0], [0.5, 0.5, 0.5]], "pair"),
    ],
)
def test_potential_of_ions_gives_madelung_constants(madelung: float, places: list, signs: str) -> None:
    """NaCl and CsCl of Gaussian ions: V at an ion = its own + q M COULOMB / distance, M from tables."""
    edge = 6.0
    fractions = np.array(places)
    charges = 1 - 2 * (np.round(2 * fractions.sum(axis=1)).astype(int) % 2) if signs == "checkerboard" else [1, -1]
    distance = edge / 2 if signs == "checkerboard" else edge * np.sqrt(3) / 2
    numbers = np.where(np.array(charges) > 0, 11, 9)
    cell = edge * np.eye(3)
    geometry = Geometry(numbers, fractions @ cell, cell, np.ones(3, bool))
    grid = Grid(cell, (40, 40, 40))
    fluorine = Geometry(numbers[numbers == 9], geometry.positions[numbers == 9], cell, geometry.pbc)
    # eight electrons spread as the ion is: together a Gaussian of charge −1
    electrons = gaussian_density(fluorine, grid, 0.4, charges=[8.0] * len(fluorine), images=2)
    density = Density(geometry, grid, electrons.values)
    potential = Density(geometry, grid, density.electrostatic_potential({"Na": 1, "F": 7}, width=0.4))
    own = np.array(charges) * COULOMB * np.sqrt(2.0 / np.pi) / 0.4
    lattice = potential.at(geometry.positions, order=5) - own
    np.testing.assert_allclose(lattice, -np.array(charges) * madelung * COULOMB / distance, atol=5e-3)


def test_potential_of_a_neutral_gaussian_atom() -> None:
    """A narrow ion of charge 4 in 4 electrons: V = 4 k (erf(r/√2w) − erf(r/√2s))/r, in a large cell."""
    cell = np.diag([12.0, 12.0, 12.0])
    geometry = Geometry(np.array([6]), np.full((1, 3), 6.0), cell, np.ones(3, bool))
    density = gaussian_density(geometry, Grid(cell, (60, 60, 60)), 0.8, charges=[4.0], images=1)
    field = Density(geometry, density.grid, density.electrostatic_potential(width=0.3))
    r = np.array([0.5, 1.0, 1.5, 2.0, 3.0])
    expected = 4 * COULOMB * (erf(r / (np.sqrt(2) * 0.3)) - erf(r / (np.sqrt(2) * 0.8))) / r
    found = field.at([[6.0 + x, 6.0, 6.0] for x in r]) - field.at([[0.0, 0.0, 0.0]])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
