"""Magnetic crystals of few atoms: 3d metals, alloys, Heusler compounds, rock salts, as they are and distorted.

Rows of CRYSTALS say which. A crystal with several kinds of magnetic order gets an SCF loop from each of them as it is;
its distorted copy starts from the first. Where the moments do not all start up, the
sign of the whole pattern is drawn at random, because nothing in the structure fixes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from crystals import RATTLE, ROCK_SALT, STRAIN, moments, strain_and_rattle
from numpy import ndarray
from pymatgen.core import Lattice, Structure

#: Signs of the starting moments of a cell's atoms: all alike, the second or the first atom against the others.
ORDERS = {"ferro": (1, 1, 1, 1), "second": (1, -1, 1, 1), "first": (-1, 1, 1, 1)}
KPTS_DENSITY = 1.5  # Å, k-points per Å⁻¹
DISTORTED = 2  # atoms of the cells that are also strained and rattled: without symmetry larger ones cost too much
FCC = 0.5 * (np.ones((3, 3)) - np.eye(3))


@dataclass(frozen=True)
class Crystal:
    """A crystal to compute.

    Attributes:
        kind: builder in BUILDERS.
        species: of the sites, in the builder's order.
        lengths: lattice constants in Å, as the builder takes them.
        orders: magnetic orders to start from.
    """

    kind: str
    species: tuple[str, ...]
    lengths: tuple[float, ...]
    orders: tuple[str, ...] = ("ferro",)

    def structure(self) -> Structure:
        """The crystal as it is."""
        lattice, sites = BUILDERS[self.kind](*self.lengths)
        return Structure(Lattice(lattice), self.species, sites)


def _tetragonal(a: float, c: float) -> tuple[ndarray, ndarray]:
    """Two atoms, body-centred tetragonal: bcc and B2 for c = a, fcc and L1₀ for c = √2 a."""
    return np.diag([a, a, c]), np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])


def _hcp(a: float, c: float) -> tuple[ndarray, ndarray]:
    return Lattice.hexagonal(a, c).matrix, np.array([[1.0, 2.0, 0.75], [2.0, 1.0, 2.25]]) / 3.0


def _heusler(a: float) -> tuple[ndarray, ndarray]:
    """Four fcc lattices, a quarter of the diagonal apart: X Y X Z is L2₁, X X Y Z the inverse structure."""
    return a * FCC, np.array([[0.25 * i] * 3 for i in range(4)])


def _half_heusler(a: float) -> tuple[ndarray, ndarray]:
    """Three of the four lattices of a Heusler compound: X Y Z."""
    return a * FCC, np.array([[0.25 * i] * 3 for i in range(3)])


def _rock_salt(a: float) -> tuple[ndarray, ndarray]:
    return a * FCC, np.array([[0.0] * 3, [0.5] * 3])


BUILDERS = {
    "tetragonal": _tetragonal,
    "b2": _tetragonal,
    "alike": _tetragonal,
    "hcp": _hcp,
    "heusler": _heusler,
    "inverse": _heusler,
    "half": _half_heusler,
    "rocksalt": _rock_salt,
}


def _metals() -> Iterator[Crystal]:
    """Metals and ordered alloys; ``alike``: antiferromagnets with two sublattices that only the moments tell apart."""
    for a, b, x, y in (
        ("Fe", "Fe", 2.866, 2.866),
        ("Ni", "Ni", 2.492, 3.524),
        ("Fe", "Co", 2.857, 2.857),
        ("Fe", "Ni", 2.533, 3.582),
        ("Fe", "Pt", 2.724, 3.713),
        ("Co", "Pt", 2.689, 3.701),
    ):
        yield Crystal("tetragonal", (a, b), (x, y))
    yield Crystal("hcp", ("Co", "Co"), (2.507, 4.069))
    for a, b, x in (
        ("Cr", "Fe", 2.92),
        ("V", "Fe", 2.94),
        ("Cr", "Co", 2.90),
        ("Cr", "Mn", 2.95),
        ("Mn", "V", 2.98),
    ):
        yield Crystal("b2", (a, b), (x, x), ("second", "ferro"))
    for a, x, y in (("Cr", 2.91, 2.91), ("Fe", 2.56, 3.62), ("Mn", 2.62, 3.70)):
        yield Crystal("alike", (a, a), (x, y), ("second", "ferro"))


def _heuslers() -> Iterator[Crystal]:
    for y, z, a in (("Mn", "Si", 5.654), ("Mn", "Al", 5.756), ("Fe", "Al", 5.730), ("Fe", "Si", 5.640)):
        yield Crystal("heusler", ("Co", y, "Co", z), (a,))
    yield Crystal("heusler", ("Mn", "V", "Mn", "Al"), (5.875,), ("second", "ferro"))
    for y, z, a in (("Co", "Al", 5.798), ("Co", "Ga", 5.862)):
        yield Crystal("inverse", ("Mn", "Mn", y, z), (a,), ("first", "ferro"))
    for y, a in (("Ni", 5.903), ("Co", 5.853)):
        yield Crystal("half", ("Mn", y, "Sb"), (a,))
    for y, a in (("Fe", 5.882), ("Cr", 5.98)):
        yield Crystal("half", ("Mn", y, "Sb"), (a,), ("second", "ferro"))


def _rock_salts() -> Iterator[Crystal]:
    for formula, a in (ROCK_SALT | {"MnS": 5.224, "CrN": 4.149}).items():
        yield Crystal("rocksalt", (formula[:-1], formula[-1]), (a,))


#: All crystals.
CRYSTALS = (*_rock_salts(), *_metals(), *_heuslers())


def magnetic(count: int, seed: int) -> list[Atoms]:
    """The first ``count`` of the set: every crystal as it is, then those of DISTORTED atoms distorted, then the other
    magnetic orders of those that have several.

    ``info`` holds tag (``KIND-FORMULA-COPY-ORDER``), source, settings and starting moments in μ_B.
    """
    ideal = [(crystal, 0, crystal.orders[0]) for crystal in CRYSTALS]
    distorted = [(crystal, 1, crystal.orders[0]) for crystal in CRYSTALS if len(crystal.species) == DISTORTED]
    others = [(crystal, 0, order) for crystal in CRYSTALS for order in crystal.orders[1:]]
    return [_atoms(*entry, seed) for entry in (*ideal, *distorted, *others)[:count]]


def _atoms(crystal: Crystal, copy: int, order: str, seed: int) -> Atoms:
    structure = crystal.structure()
    formula = structure.composition.reduced_formula
    name = f"{crystal.kind}-{formula}-{copy}"
    rng = np.random.default_rng([seed, *name.encode()])
    source = f"{crystal.kind} {formula}, {'ferromagnetic' if order == 'ferro' else 'antiparallel'} start"
    if copy:
        structure = strain_and_rattle(structure, rng, RATTLE)
        source += f"; strained {100 * STRAIN:g} %, rattled {RATTLE} Å"
    symbols = [str(site.specie) for site in structure]
    sign = 1.0 if order == "ferro" else float(rng.choice([-1.0, 1.0]))
    start = sign * moments(symbols) * ORDERS[order][: len(symbols)]
    info = {"tag": f"{name}-{order}", "source": source, "settings": {"kpts_density": KPTS_DENSITY}, "moments": start}
    return Atoms(symbols, positions=structure.cart_coords, cell=structure.lattice.matrix, pbc=True, info=info)
