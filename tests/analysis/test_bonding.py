"""What the bonds of a structure form."""

from __future__ import annotations

import ase
import numpy as np
import pytest
from ase.build import bulk, fcc111, graphene, molecule

from charge3net.analysis.bonding import bonding
from charge3net.geometry import Geometry


def packed(name: str, spacing: float) -> ase.Atoms:
    """A molecular crystal: one molecule in a cubic cell."""
    atoms = molecule(name)
    atoms.set_cell(spacing * np.eye(3))
    atoms.pbc = True
    return atoms


def in_vacuum(name: str) -> ase.Atoms:
    atoms = molecule(name, vacuum=4.0)
    atoms.pbc = True
    return atoms


CASES = {
    "a molecule without a cell": (molecule("CH3CH2OH"), "molecule"),
    "a molecule in a periodic box": (in_vacuum("C6H6"), "molecule"),
    "a molecule across the faces of its box": (in_vacuum("H2O"), "molecule"),
    "hydrogen alone": (molecule("H2"), "molecule"),
    "a molecular crystal": (packed("CH4", 4.0), "molecules"),
    "carbon dioxide": (packed("CO2", 4.5), "molecules"),
    "halogens have bonds between molecules": (packed("Cl2", 4.2), "network"),
    "an atom alone": (ase.Atoms("Ar"), "network"),
    "solid argon": (bulk("Ar", "fcc", a=5.3), "network"),
    "salt": (bulk("NaCl", "rocksalt", a=5.64), "network"),
    "a metal": (bulk("Cu"), "network"),
    "one atom in the cell": (bulk("Po", "sc", a=3.35), "network"),
    "a layer": (graphene(vacuum=5.0), "network"),
    "a slab": (fcc111("Pt", (1, 1, 3), vacuum=6.0, periodic=True), "network"),
    "a chain": (ase.Atoms("C2", [[0, 0, 0], [1.3, 0, 0]], cell=[2.6, 9, 9], pbc=True), "network"),
}
CASES["a molecule across the faces of its box"][0].translate(-4.0)
CASES["a molecule across the faces of its box"][0].wrap()


@pytest.mark.parametrize("name", CASES)
def test_bonds_of(name):
    atoms, expected = CASES[name]
    assert bonding(Geometry.of(atoms)) == expected


def test_two_molecules_are_side_by_side_when_they_are_near():
    near, far = molecule("H2O"), molecule("H2O")
    near.translate([0.0, 0.0, 3.0])
    far.translate([0.0, 0.0, 9.0])
    assert bonding(Geometry.of(molecule("H2O") + near)) == "molecules"
    assert bonding(Geometry.of(molecule("H2O") + far)) == "molecule"


def test_the_answer_does_not_depend_on_the_cell_or_the_order_of_atoms():
    atoms = packed("CH4", 4.0).repeat((1, 2, 1))
    shuffled = atoms[np.random.default_rng(0).permutation(len(atoms))]
    shuffled.translate([0.7, 1.9, -0.4])
    shuffled.wrap()
    assert bonding(Geometry.of(shuffled)) == "molecules"
    assert bonding(Geometry.of(bulk("NaCl", "rocksalt", a=5.64).repeat(2))) == "network"
