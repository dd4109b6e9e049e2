"""Structures by recipe for densities with GTH pseudopotentials: sp compounds, halides, oxides, molecules, defects.

Every structure is one formula and one copy: a simple structure type with a lattice constant from tabulated radii,
strained (each component of a symmetric strain: 1.5 %) and rattled (each coordinate: 0.06 Å). Formulas come in a fixed
order, so a smaller count is the beginning of a larger one. Structure types: prototypes.py; kind ``rare``:
rare_elements.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.quantum_espresso.prototypes import (
    RATTLE,
    TETRAHEDRAL,
    Structure,
    antifluorite,
    copies_of,
    digest,
    distorted,
    half_heusler,
    layered,
    layered_dihalide,
    random_of,
    rock_salt,
    rutile,
    zinc_blende,
)
from data_prep.quantum_espresso.rare_elements import rare_elements

KINDS = ("sp", "halides", "oxides", "molecules", "defects", "rare")
_MOLECULES = (
    "H2O",
    "NH3",
    "CH4",
    "SiH4",
    "PH3",
    "SH2",
    "HCl",
    "CO",
    "CO2",
    "N2",
    "C2H2",
    "C2H4",
    "HCN",
    "H2CO",
)


def structures(seed: int = 0) -> list[Structure]:
    """All of them, in the order of computation: first copies first, so an early end leaves every formula."""
    sp = [*_sp(seed)]
    made = [*sp, *_halides(seed), *_oxides(seed), *_molecules(seed)]
    return [*_interleaved(made), *defects(seed), *rare_elements(sp, made, seed)]


def _interleaved(made: Sequence[Structure]) -> list[Structure]:
    """First three copies of formulas that have at least six and two of the others, then the rest; in each part cheap
    cutoffs first, and in an order by hash."""
    many = {one.formula for one in made if one.copy >= 5}

    def late(one: Structure) -> bool:
        return one.copy >= (3 if one.formula in many else 2)

    return sorted(made, key=lambda one: (late(one), one.cutoff > 30, digest(one.name)))


def _sp(seed: int) -> Iterator[Structure]:
    third, fourth, fifth = ("Al", "Ga", "In"), ("Si", "Ge", "Sn"), ("P", "As", "Sb")
    base = [(a, b) for a in third for b in fifth] + [(a, a) for a in fourth]
    base += [*itertools.combinations(fourth, 2)]
    more = [("B", b) for b in fifth] + [("Si", "C"), ("Ge", "C"), ("C", "C"), ("B", "N"), ("Al", "N"), ("Ga", "N")]
    more += [(a, b) for a in ("Be",) for b in ("S", "Se", "Te")]
    for pairs, copies in ((base, 8), (more, 2)):
        for a, b in pairs:
            yield from copies_of("sp", *zinc_blende(a, b), copies, seed)
    for a, b in itertools.product(("Mg",), ("S", "Se", "Te")):
        yield from copies_of("sp", *rock_salt(a, b), 6, seed)
    for a, b in itertools.product(("Ge", "Sn", "Pb"), ("S", "Se", "Te")):
        yield from copies_of("sp", *rock_salt(a, b), 6 if a == "Sn" else 3, seed)
    for b in fourth:
        yield from copies_of("sp", *antifluorite("Mg", b), 6, seed)
    for a, b, anions in _layers(third, fourth, fifth):
        yield from copies_of("sp", *layered(a, b, anions), 3, seed)
    for a, b in itertools.product(third, fourth):
        yield from copies_of("sp", *half_heusler("Li", a, b), 2, seed)
    for b in fifth:
        yield from copies_of("sp", *half_heusler("Li", "Mg", b), 2, seed)


def _layers(third: Sequence[str], fourth: Sequence[str], fifth: Sequence[str]) -> Iterator[tuple[str, str, tuple]]:
    """Cations of two layers, and the anions between them."""
    for (a, b), c in itertools.product(itertools.combinations(third, 2), fifth):
        yield a, b, (c, c)
    for a, pair in itertools.product(third, itertools.combinations(fifth, 2)):
        yield a, a, pair
    for a, c in itertools.product(fourth, fifth):
        yield "Mg", a, (c, c)
    for a, b in itertools.combinations(third, 2):
        for pair in itertools.combinations(fifth, 2):
            yield a, b, pair


def _halides(seed: int) -> Iterator[Structure]:
    for a, b in itertools.product(("K", "Li"), ("Cl", "Br", "I")):
        yield from copies_of("halides", *rock_salt(a, b), 3, seed)
    for b in ("Cl", "Br", "I"):
        yield from copies_of("halides", *layered_dihalide("Mg", b), 3, seed)


def _oxides(seed: int) -> Iterator[Structure]:
    for a in ("Mg", "Ca"):
        yield from copies_of("oxides", *rock_salt(a, "O"), 4, seed)
    for a in ("Be", "Mg"):
        yield from copies_of("oxides", *zinc_blende(a, "O"), 2, seed)
    yield from copies_of("oxides", *antifluorite("Li", "O", 4.62), 3, seed)
    for a, lattice in (("Si", (4.18, 2.67)), ("Ge", (4.40, 2.86)), ("Sn", (4.74, 3.19))):
        yield from copies_of("oxides", *rutile(a, *lattice), 2, seed)


def _molecules(seed: int) -> Iterator[Structure]:
    from ase.build import molecule

    for name in _MOLECULES:
        atoms = molecule(name)
        atoms.center(vacuum=2.3)
        symbols = tuple(atoms.get_chemical_symbols())
        for copy in range(2):
            rng = random_of("molecules", name, copy, seed)
            positions = atoms.positions + rng.normal(0.0, RATTLE, (len(symbols), 3))
            yield Structure(f"molecules-{name}-{copy}", "molecules", copy, symbols, positions, atoms.cell[:], True)


def defects(seed: int) -> Iterator[Structure]:
    """Cubic cells of eight atoms of zinc blende with one atom taken out or replaced; they only test."""
    changes = (
        ("Si", "Si", None), ("Si", "Si", "Ge"), ("Ge", "Ge", "Sn"), ("Ga", "As", "In"), ("Ga", "As", None),
        ("Al", "P", "Ga"), ("In", "Sb", "Ga"), ("Si", "Si", "P"), ("Al", "As", "Si"), ("Ga", "P", None),
    )  # fmt: skip
    fcc = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    for first, second, other in changes:
        side = 4 / np.sqrt(3) * (TETRAHEDRAL[first] + TETRAHEDRAL[second])
        symbols = [first] * 4 + [second] * 4
        fractions = np.concatenate([fcc, fcc + 0.25])
        if other is None:
            symbols, fractions = symbols[1:], fractions[1:]
        else:
            symbols[0] = other
        name = f"{first}{second}-{other or 'vacancy'}"
        yield distorted("defects", name, 0, symbols, fractions, side * np.eye(3), seed)
