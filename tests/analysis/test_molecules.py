"""Bonds and molecules of structures whose answer a chemist knows."""

from __future__ import annotations

from pathlib import Path

import ase
import ase.build
import numpy as np
import pytest

from charge3net import Geometry, read_structure
from charge3net.analysis.molecules import find_bonds, find_molecules, is_molecular, placed_in_cell


def of(atoms: ase.Atoms) -> Geometry:
    return Geometry.of(atoms)


def across_a_corner(name: str) -> ase.Atoms:
    """A molecule in a skewed box, shifted so that the walls cut it three times, its atoms wrapped."""
    atoms = ase.build.molecule(name)
    atoms.set_cell([[9.0, 0, 0], [1.0, 9.5, 0], [-0.7, 0.8, 10.0]])
    atoms.pbc = True
    atoms.positions -= atoms.positions.mean(axis=0)
    atoms.wrap()
    return atoms


@pytest.mark.parametrize(("name", "bonds"), [("H2O", 2), ("C6H6", 12), ("CH3CH2OH", 8), ("C2H2", 3), ("CO2", 2)])
def test_bonds_of_molecules(name: str, bonds: int) -> None:
    for atoms in (ase.build.molecule(name), across_a_corner(name)):
        assert len(find_bonds(of(atoms)).first) == 2 * bonds


@pytest.mark.parametrize("name", ["C6H6", "CH3CH2OH"])
def test_a_molecule_is_put_together_across_the_walls(name: str) -> None:
    whole, atoms = ase.build.molecule(name), across_a_corner(name)
    [molecule] = find_molecules(of(atoms))
    assert not molecule.endless
    order = np.argsort(molecule.atoms)
    placed = placed_in_cell(molecule, of(atoms))[order]
    expected = whole.get_all_distances()
    found = np.linalg.norm(placed[:, None] - placed[None, :], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert ((placed.mean(axis=0) @ np.linalg.inv(atoms.cell) + 1e-9) % 1.0 < 1.0).all()


@pytest.mark.parametrize(
    ("atoms", "neighbours"),
    [
        (ase.build.bulk("Si"), 4),
        (ase.build.bulk("NaCl", "rocksalt", a=5.64), 6),
        (ase.build.bulk("Al"), 12),
        (ase.build.bulk("MgO", "rocksalt", a=4.21), 6),
        (ase.build.bulk("CsCl", "cesiumchloride", a=4.12), 8),
    ],
)
def test_crystals_are_endless_with_the_known_neighbours(atoms: ase.Atoms, neighbours: int) -> None:
    geometry = of(atoms)
    molecules = find_molecules(geometry)
    assert all(molecule.endless for molecule in molecules)
    assert len(find_bonds(geometry).first) == neighbours * len(geometry)
    assert not is_molecular(geometry, molecules)


def test_liquid_ethylene_carbonate_is_four_molecules(shared: Path) -> None:
    for name in ("ec4_0000", "ec4_0201"):
        geometry = read_structure(shared / "dft" / "ec_liquid" / f"{name}.npz")
        molecules = find_molecules(geometry)
        formulas = [sorted(geometry.numbers[molecule.atoms].tolist()) for molecule in molecules]
        assert formulas == [[1, 1, 1, 1, 6, 6, 6, 8, 8, 8]] * 4
        assert is_molecular(geometry, molecules)


def test_an_ion_among_molecules_stays_molecular_and_an_atom_alone_is_no_molecule() -> None:
    water = across_a_corner("H2O")
    water += ase.Atoms("Na", positions=[[4.0, 4.0, 4.0]])
    assert is_molecular(of(water), find_molecules(of(water)))
    argon = ase.build.bulk("Ar", a=5.26)
    assert not is_molecular(of(argon), find_molecules(of(argon)))
