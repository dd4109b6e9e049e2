"""Molecular crystals and layers of light elements: candidates of few electrons that are neither ionic nor metallic.

Molecules are those of ASE's G2 set with a closed shell. One stands at each point of an fcc lattice, turned at random;
the lattice is as small as van der Waals contacts between neighbours allow. Layers are honeycombs and trigonal prisms.
Distances between layers and molecules follow from the van der Waals radii of S. Alvarez (Dalton Trans. 42, 8617, 2013),
as ASE holds them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import structure_types as types
from ase import Atoms
from ase.build import molecule
from ase.collections import g2
from ase.data import atomic_numbers, covalent_radii
from ase.data.vdw_alvarez import vdw_radii
from pymatgen.core import Lattice, Structure

MOST_ATOMS = 6  # of a molecule
LARGEST = 20.0  # Å, lattice constant
CONTACT = 0.9  # distances of atoms that are not bonded, over the sums of their van der Waals radii
PLANAR = 0.935  # bonds of honeycombs over the sums of covalent radii: graphite, boron nitride
Candidate = tuple[str, Structure, str]


def light(seed: int) -> Iterator[Candidate]:
    """Candidates as those of candidates.py: layers and molecules."""
    yield from _honeycombs()
    yield from _prisms()
    yield from _molecules(seed)


def _contact(first: str, second: str) -> float:
    return float(CONTACT * (vdw_radii[atomic_numbers[first]] + vdw_radii[atomic_numbers[second]]))


def _planar(first: str, second: str) -> float:
    return float(PLANAR * (covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]]))


def _named(kind: str, cell: types.Cell, species: list[str]) -> Candidate:
    structure = Structure(Lattice(cell[0]), species, cell[1])
    return f"{kind}-{structure.composition.reduced_formula}", structure, f"{kind} layers, radii"


def _honeycombs() -> Iterator[Candidate]:
    """Layers M X, unlike atoms above each other, and layers M X₃ of an ordered honeycomb, one above the other."""
    groups = (("B Al Ga In", "N P As Sb"), ("Be Mg Zn Cd", "O S Se Te"), ("Si Ge Sn", "C Si"))
    for metals, others in groups:
        for m in metals.split():
            for x in others.split():
                if m != x:
                    a, c = np.sqrt(3.0) * _planar(m, x), 2.0 * _contact(m, x)
                    sites = np.array(
                        [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75], [2 / 3, 1 / 3, 0.25], [1 / 3, 2 / 3, 0.75]]
                    )
                    yield _named("honeycomb", (Lattice.hexagonal(a, c).matrix, sites), [m, m, x, x])
    for m, x in (
        ("B", "C"),
        ("N", "C"),
        ("Si", "C"),
        ("P", "C"),
        ("Al", "C"),
        ("C", "B"),
        ("N", "B"),
        ("C", "N"),
        ("C", "Si"),
        ("P", "N"),
    ):
        a, c = 2.0 * np.sqrt(3.0) * _planar(m, x), _contact(x, x)
        shifts = np.array([[i, j, 0.0] for i in (0.0, 0.5) for j in (0.0, 0.5)])
        sites = np.concatenate([shifts + np.array(site) for site in ([1 / 6, 1 / 3, 0.0], [1 / 3, 1 / 6, 0.0])]) % 1.0
        # the two atoms m stand opposite each other in a ring
        yield _named("ring", (Lattice.hexagonal(a, c).matrix, sites), [m, x, x, x, x, x, x, m])


def _prisms() -> Iterator[Candidate]:
    """Layers X M X of trigonal prisms, as in MoS₂, one above the other."""
    for m in ("Mo", "W", "Nb", "Ta", "Re", "Zr", "Hf", "Ti", "Sn", "Ge", "Pt"):
        for x in ("S", "Se", "Te", "O"):
            a = types.bond(m, 4, x) / np.sqrt(7.0 / 12.0)  # half the thickness of a layer is a / 2
            c = a + _contact(x, x)
            z = 0.5 * a / c
            sites = np.array([[0.0, 0.0, 0.0], [1 / 3, 2 / 3, z], [1 / 3, 2 / 3, -z]])
            yield _named("prism", (Lattice.hexagonal(a, c).matrix, sites), [m, x, x])


def _molecules(seed: int) -> Iterator[Candidate]:
    for name in g2.names:
        atoms = molecule(name)
        if 1 < len(atoms) <= MOST_ATOMS and not atoms.get_initial_magnetic_moments().any():
            yield _packed(name, atoms, seed)


def _packed(name: str, atoms: Atoms, seed: int) -> Candidate:
    """The molecule on a lattice on which the closest contact to a neighbour has its length."""
    rng = np.random.default_rng([seed, *name.encode()])
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    places = (atoms.positions - atoms.positions.mean(axis=0)) @ rotation
    radii = np.array([vdw_radii[z] for z in atoms.numbers])
    wanted = CONTACT * (radii[:, None] + radii[None, :])
    low, high = 1.0, LARGEST
    steps = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) != (0, 0, 0)])
    for _ in range(40):
        size = 0.5 * (low + high)
        between = places[None, :, None] - places[None, None, :] + (size * steps @ types.FCC)[:, None, None]
        low, high = (low, size) if (np.linalg.norm(between, axis=-1) >= wanted).all() else (size, high)
    structure = Structure(Lattice(high * types.FCC), atoms.get_chemical_symbols(), places, coords_are_cartesian=True)
    return f"molecular-{name}", structure, f"molecule {name} of the G2 set on an fcc lattice, van der Waals contacts"
