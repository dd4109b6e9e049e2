"""Structures by recipe for densities with GTH pseudopotentials: sp compounds, halides, oxides, molecules.

Every structure is one formula and one copy: a simple structure type with a lattice constant from tabulated radii,
strained (each component of a symmetric strain: 1.5 %) and rattled (each coordinate: 0.06 Å). Formulas come in a fixed
order, so a smaller count is the beginning of a larger one.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from charge3net.geometry import Geometry

KINDS = ("sp", "halides", "oxides", "molecules", "defects")
STRAIN, RATTLE = 0.015, 0.06  # Å
#: Å, tetrahedral covalent radii (L. Pauling, "The Nature of the Chemical Bond"; Mg, Be and alkali metals to fit).
TETRAHEDRAL = {
    "C": 0.77, "Si": 1.17, "Ge": 1.22, "Sn": 1.40, "B": 0.88, "Al": 1.26, "Ga": 1.24, "In": 1.42, "N": 0.70, "P": 1.10,
    "As": 1.20, "Sb": 1.38, "O": 0.66, "S": 1.04, "Se": 1.14, "Te": 1.33, "Be": 1.07, "Mg": 1.42, "Li": 1.40,
}  # fmt: skip
#: Å, half the shortest distance of rock salts, by ion.
ROCK_SALT = {
    "Mg": 0.76, "Ca": 1.00, "Li": 0.76, "K": 1.38, "Ge": 0.80, "Sn": 0.97, "Pb": 1.03, "O": 1.36, "S": 1.84,
    "Se": 1.98, "Te": 2.21, "Cl": 1.81, "Br": 1.96, "I": 2.18,
}  # fmt: skip
#: Ry, cutoff of the wavefunctions that an element asks for; a cell takes the largest.
CUTOFF = dict.fromkeys(["Mg", "Al", "Si", "P", "Ga", "Ge", "As", "In", "Sn", "Sb", "Te", "I", "Pb"], 24.0) | {
    "S": 30.0, "Se": 26.0, "Cl": 30.0, "Br": 26.0, "K": 40.0, "Ca": 45.0, "B": 40.0, "C": 55.0, "N": 80.0, "O": 100.0,
    "H": 50.0, "Li": 45.0, "Be": 55.0,
}  # fmt: skip
_FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
_LAYERED = np.array([[0.5, 0.5, 0.0], [-0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])  # fcc with two kinds of layers along z
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


@dataclass(frozen=True, eq=False)
class Structure:
    """One calculation.

    Attributes:
        name: KIND-FORMULA-COPY.
        kind: ``sp``, ``halides``, ``oxides``, ``molecules``, ``defects``.
        copy: 0, 1, … of the formula.
        symbols: [atoms].
        positions: [atoms, 3] Å.
        cell: [3, 3] Å.
        molecule: Γ point, no smearing.
    """

    name: str
    kind: str
    copy: int
    symbols: tuple[str, ...]
    positions: ndarray
    cell: ndarray
    molecule: bool = False

    @property
    def formula(self) -> str:
        """KIND-FORMULA."""
        return self.name.rpartition("-")[0]

    @property
    def cutoff(self) -> float:
        """Ry, of the wavefunctions."""
        return max(CUTOFF[symbol] for symbol in self.symbols)

    def geometry(self) -> Geometry:
        """Atoms and cell."""
        from ase.data import atomic_numbers

        numbers = np.array([atomic_numbers[symbol] for symbol in self.symbols])
        return Geometry(numbers, self.positions, self.cell, np.ones(3, dtype=bool))

    def mesh(self, spacing: float) -> tuple[int, int, int]:
        """Divisions of the reciprocal vectors at most ``spacing`` (Å⁻¹, with 2π) apart."""
        lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(self.cell), axis=0)
        a, b, c = np.maximum(np.ceil(lengths / spacing - 1e-6), 1).astype(int).tolist()
        return a, b, c


def structures(seed: int = 0) -> list[Structure]:
    """All of them, in the order of computation: first copies first, so an early end leaves every formula."""
    made = [*_sp(seed), *_halides(seed), *_oxides(seed), *_molecules(seed)]
    return [*_interleaved(made), *defects(seed)]


def _interleaved(made: Sequence[Structure]) -> list[Structure]:
    """First three copies of formulas that have at least six and two of the others, then the rest; in each part cheap
    cutoffs first, and in an order by hash."""
    many = {one.formula for one in made if one.copy >= 5}

    def late(one: Structure) -> bool:
        return one.copy >= (3 if one.formula in many else 2)

    return sorted(made, key=lambda one: (late(one), one.cutoff > 30, _digest(one.name)))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _sp(seed: int) -> Iterator[Structure]:
    third, fourth, fifth = ("Al", "Ga", "In"), ("Si", "Ge", "Sn"), ("P", "As", "Sb")
    base = [(a, b) for a in third for b in fifth] + [(a, a) for a in fourth]
    base += [*itertools.combinations(fourth, 2)]
    more = [("B", b) for b in fifth] + [("Si", "C"), ("Ge", "C"), ("C", "C"), ("B", "N"), ("Al", "N"), ("Ga", "N")]
    more += [(a, b) for a in ("Be",) for b in ("S", "Se", "Te")]
    for pairs, copies in ((base, 8), (more, 2)):
        for a, b in pairs:
            yield from _copies("sp", *_zinc_blende(a, b), copies, seed)
    for a, b in itertools.product(("Mg",), ("S", "Se", "Te")):
        yield from _copies("sp", *_rock_salt(a, b), 6, seed)
    for a, b in itertools.product(("Ge", "Sn", "Pb"), ("S", "Se", "Te")):
        yield from _copies("sp", *_rock_salt(a, b), 6 if a == "Sn" else 3, seed)
    for b in fourth:
        yield from _copies("sp", *_antifluorite("Mg", b), 6, seed)
    for a, b, anions in _layers(third, fourth, fifth):
        yield from _copies("sp", *_layered(a, b, anions), 3, seed)
    for a, b in itertools.product(third, fourth):
        yield from _copies("sp", *_half_heusler("Li", a, b), 2, seed)
    for b in fifth:
        yield from _copies("sp", *_half_heusler("Li", "Mg", b), 2, seed)


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
        yield from _copies("halides", *_rock_salt(a, b), 3, seed)
    for b in ("Cl", "Br", "I"):
        yield from _copies("halides", *_layered_dihalide("Mg", b), 3, seed)


def _oxides(seed: int) -> Iterator[Structure]:
    for a in ("Mg", "Ca"):
        yield from _copies("oxides", *_rock_salt(a, "O"), 4, seed)
    for a in ("Be", "Mg"):
        yield from _copies("oxides", *_zinc_blende(a, "O"), 2, seed)
    yield from _copies("oxides", *_antifluorite("Li", "O", 4.62), 3, seed)
    for a, lattice in (("Si", (4.18, 2.67)), ("Ge", (4.40, 2.86)), ("Sn", (4.74, 3.19))):
        yield from _copies("oxides", *_rutile(a, *lattice), 2, seed)


def _molecules(seed: int) -> Iterator[Structure]:
    from ase.build import molecule

    for name in _MOLECULES:
        atoms = molecule(name)
        atoms.center(vacuum=2.3)
        symbols = tuple(atoms.get_chemical_symbols())
        for copy in range(2):
            rng = _random("molecules", name, copy, seed)
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
        yield _distorted("defects", name, 0, symbols, fractions, side * np.eye(3), seed)


def _copies(
    kind: str, formula: str, symbols: Sequence[str], fractions: ndarray, cell: ndarray, copies: int, seed: int
) -> Iterator[Structure]:
    for copy in range(copies):
        yield _distorted(kind, formula, copy, symbols, fractions, cell, seed)


def _distorted(
    kind: str, formula: str, copy: int, symbols: Sequence[str], fractions: ndarray, cell: ndarray, seed: int
) -> Structure:
    rng = _random(kind, formula, copy, seed)
    strain = rng.normal(0.0, STRAIN, (3, 3))
    strained = cell @ (np.eye(3) + (strain + strain.T) / 2)
    positions = fractions @ strained + rng.normal(0.0, RATTLE, (len(symbols), 3))
    return Structure(f"{kind}-{formula}-{copy}", kind, copy, tuple(symbols), positions, strained)


def _random(kind: str, formula: str, copy: int, seed: int) -> np.random.Generator:
    text = f"{kind} {formula} {copy} {seed}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


_Prototype = tuple[str, Sequence[str], ndarray, ndarray]


def _zinc_blende(a: str, b: str) -> _Prototype:
    side = 4 / np.sqrt(3) * (TETRAHEDRAL[a] + TETRAHEDRAL[b])
    return f"{a}{b}" if a != b else a, (a, b), np.array([[0.0] * 3, [0.25] * 3]), side * _FCC


def _rock_salt(a: str, b: str) -> _Prototype:
    side = 2 * (ROCK_SALT[a] + ROCK_SALT[b])
    return f"{a}{b}-rs", (a, b), np.array([[0.0] * 3, [0.5] * 3]), side * _FCC


def _antifluorite(a: str, b: str, side: float | None = None) -> _Prototype:
    side = side or {"Si": 6.36, "Ge": 6.39, "Sn": 6.76}[b]
    return f"{a}2{b}", (b, a, a), np.array([[0.0] * 3, [0.25] * 3, [0.75] * 3]), side * _FCC


def _half_heusler(a: str, b: str, c: str) -> _Prototype:
    side = 4 / np.sqrt(3) * (TETRAHEDRAL[b] + TETRAHEDRAL[c])
    return f"{a}{b}{c}", (b, c, a), np.array([[0.0] * 3, [0.25] * 3, [0.5] * 3]), side * _FCC


def _layered(a: str, b: str, anions: Sequence[str]) -> _Prototype:
    radii = [TETRAHEDRAL[symbol] for symbol in (a, b, *anions)]
    side = 4 / np.sqrt(3) * (sum(radii) / 2)
    fractions = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.0, 0.25], [0.0, 0.5, 0.75]])
    return "".join((a, b, *anions)), (a, b, *anions), fractions, side * _LAYERED


def _layered_dihalide(a: str, b: str) -> _Prototype:
    side, height = {"Cl": (3.64, 5.93), "Br": (3.81, 6.26), "I": (4.15, 6.88)}[b]
    cell = np.array([[side, 0, 0], [-side / 2, side * np.sqrt(0.75), 0], [0, 0, height]])
    return f"{a}{b}2", (a, b, b), np.array([[0, 0, 0], [1 / 3, 2 / 3, 0.24], [2 / 3, 1 / 3, 0.76]]), cell


def _rutile(a: str, side: float, height: float) -> _Prototype:
    u = 0.306
    fractions = [[0, 0, 0], [0.5, 0.5, 0.5], [u, u, 0], [-u, -u, 0], [0.5 + u, 0.5 - u, 0.5], [0.5 - u, 0.5 + u, 0.5]]
    return f"{a}O2", (a, a, "O", "O", "O", "O"), np.array(fractions), np.diag([side, side, height])
