"""Isolated atoms of GTH potentials, against PySCF's spherical atoms, and their superposition in plane waves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import simpson

from charge3net.atoms.isolated import IsolatedAtoms, read_isolated_atoms
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.io.qe.atoms import superposed_table
from charge3net.io.qe.gvectors import plane_waves
from charge3net.units import BOHR
from data_prep.quantum_espresso.gth import read_gth
from data_prep.quantum_espresso.isolated_atoms import TABLE, atom_density
from tests.data_prep.test_gth import LIST

#: PySCF 2.14, gth-qzv3p with gth-pbe, AtomSphAverageRKS with PBE: r (bohr) → ρ (e/bohr³) of silicon.
SILICON = {0.5: 0.00870751, 1.0: 0.04450090, 1.5: 0.05428028, 2.0: 0.03570392, 3.0: 0.00895503, 4.0: 0.00194434}


def test_silicon_is_that_of_pyscf(tmp_path):
    (tmp_path / "list").write_text(LIST)
    r, density = atom_density(read_gth(tmp_path / "list")["Si", 4])
    assert simpson(4 * np.pi * r**2 * density, x=r) == pytest.approx(4.0, abs=1e-6)
    found = np.interp(list(SILICON), r, density)
    assert found == pytest.approx(np.array(list(SILICON.values())), rel=0.02)  # the Gaussian basis of PySCF is small


def test_the_table_holds_the_valences():
    atoms = read_isolated_atoms(TABLE)
    assert {z: atoms.valence[z] for z in (1, 8, 12, 14, 31, 50)} == {1: 1, 8: 6, 12: 2, 14: 4, 31: 3, 50: 4}
    for z, density in atoms.density.items():
        held = simpson(4 * np.pi * atoms.radii**2 * density, x=atoms.radii)
        assert held == pytest.approx(atoms.valence[z], rel=2e-3)


def test_superposition_in_plane_waves_is_that_on_the_grid():
    radii = np.linspace(0.0, 6.0, 301)
    width = 0.6  # Å
    gaussian = 3.0 * np.exp(-((radii / width) ** 2)) / (np.pi**1.5 * width**3)
    atoms = IsolatedAtoms(radii, {14: gaussian}, {14: 3.0}, {14: "none"})
    cell = np.array([[4.0, 0.3, 0.0], [0.0, 4.5, 0.2], [0.1, 0.0, 5.0]])
    geometry = Geometry(np.array([14, 14]), np.array([[0.2, 0.1, 0.3], [2.1, 2.2, 2.4]]), cell, np.ones(3, bool))
    waves = plane_waves(cell / BOHR, 60.0)
    found = waves.values(superposed_table(waves, atoms, geometry)[None])[0] / BOHR**3
    axes = np.stack(np.meshgrid(*(np.arange(n) / n for n in waves.shape), indexing="ij"), axis=-1) @ cell
    expected = np.zeros(waves.shape)
    for shift in np.ndindex(3, 3, 3):
        for position in geometry.positions:
            apart = axes - position - (np.array(shift) - 1) @ cell
            expected += 3.0 * np.exp(-(apart**2).sum(-1) / width**2) / (np.pi**1.5 * width**3)
    assert np.abs(found - expected).max() < 2e-4 * expected.max()
    with pytest.raises(InputError, match="no element 8"):
        superposed_table(waves, atoms, Geometry(np.array([8]), np.zeros((1, 3)), cell, np.ones(3, bool)))
