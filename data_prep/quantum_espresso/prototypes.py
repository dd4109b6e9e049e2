"""Simple structure types filled with elements: lattice constants from tabulated radii, strained and rattled copies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from charge3net.geometry import Geometry

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
#: Formula, symbols, fractional coordinates [atoms, 3], cell [3, 3] Å.
Prototype = tuple[str, Sequence[str], ndarray, ndarray]


@dataclass(frozen=True, eq=False)
class Structure:
    """One calculation.

    Attributes:
        name: KIND-FORMULA-COPY.
        kind: one of ``KINDS`` in structures.py.
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


def digest(name: str) -> str:
    """An order by hash."""
    return hashlib.sha256(name.encode()).hexdigest()


def copies_of(
    kind: str,
    formula: str,
    symbols: Sequence[str],
    fractions: ndarray,
    cell: ndarray,
    copies: int,
    seed: int,
    ideal: bool = False,
) -> Iterator[Structure]:
    """Distorted copies 0, 1, … of a prototype; with ``ideal``, copy 0 is the crystal as it is."""
    for copy in range(copies):
        if ideal and copy == 0:
            yield Structure(f"{kind}-{formula}-0", kind, 0, tuple(symbols), fractions @ cell, cell)
        else:
            yield distorted(kind, formula, copy, symbols, fractions, cell, seed)


def distorted(
    kind: str, formula: str, copy: int, symbols: Sequence[str], fractions: ndarray, cell: ndarray, seed: int
) -> Structure:
    """One strained and rattled copy."""
    rng = random_of(kind, formula, copy, seed)
    strain = rng.normal(0.0, STRAIN, (3, 3))
    strained = cell @ (np.eye(3) + (strain + strain.T) / 2)
    positions = fractions @ strained + rng.normal(0.0, RATTLE, (len(symbols), 3))
    return Structure(f"{kind}-{formula}-{copy}", kind, copy, tuple(symbols), positions, strained)


def random_of(kind: str, formula: str, copy: int, seed: int) -> np.random.Generator:
    """Of one copy."""
    text = f"{kind} {formula} {copy} {seed}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def zinc_blende(a: str, b: str) -> Prototype:
    """Two atoms; twice the same: diamond."""
    side = 4 / np.sqrt(3) * (TETRAHEDRAL[a] + TETRAHEDRAL[b])
    return f"{a}{b}" if a != b else a, (a, b), np.array([[0.0] * 3, [0.25] * 3]), side * _FCC


def rock_salt(a: str, b: str) -> Prototype:
    """Two atoms."""
    side = 2 * (ROCK_SALT[a] + ROCK_SALT[b])
    return f"{a}{b}-rs", (a, b), np.array([[0.0] * 3, [0.5] * 3]), side * _FCC


def antifluorite(a: str, b: str, side: float | None = None) -> Prototype:
    """Three atoms, two of ``a``; ``side``: Å, of the cube."""
    side = side or {"Si": 6.36, "Ge": 6.39, "Sn": 6.76}[b]
    return f"{a}2{b}", (b, a, a), np.array([[0.0] * 3, [0.25] * 3, [0.75] * 3]), side * _FCC


def half_heusler(a: str, b: str, c: str) -> Prototype:
    """Three atoms: zinc blende of ``b`` and ``c``, with ``a`` in its octahedral holes."""
    side = 4 / np.sqrt(3) * (TETRAHEDRAL[b] + TETRAHEDRAL[c])
    return f"{a}{b}{c}", (b, c, a), np.array([[0.0] * 3, [0.25] * 3, [0.5] * 3]), side * _FCC


def layered(a: str, b: str, anions: Sequence[str]) -> Prototype:
    """Four atoms of zinc blende in two kinds of layers."""
    radii = [TETRAHEDRAL[symbol] for symbol in (a, b, *anions)]
    side = 4 / np.sqrt(3) * (sum(radii) / 2)
    fractions = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.0, 0.25], [0.0, 0.5, 0.75]])
    return "".join((a, b, *anions)), (a, b, *anions), fractions, side * _LAYERED


def rock_salt_layered(a: str, b: str, anions: Sequence[str]) -> Prototype:
    """Four atoms of rock salt in two kinds of layers."""
    side = sum(ROCK_SALT[symbol] for symbol in (a, b, *anions))
    fractions = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.0, 0.0, 0.5], [0.5, 0.5, 0.0]])
    return "".join((a, b, *anions)) + "-rs", (a, b, *anions), fractions, side * _LAYERED


def layered_dihalide(a: str, b: str) -> Prototype:
    """Three atoms, CdI2 type."""
    side, height = {"Cl": (3.64, 5.93), "Br": (3.81, 6.26), "I": (4.15, 6.88)}[b]
    cell = np.array([[side, 0, 0], [-side / 2, side * np.sqrt(0.75), 0], [0, 0, height]])
    return f"{a}{b}2", (a, b, b), np.array([[0, 0, 0], [1 / 3, 2 / 3, 0.24], [2 / 3, 1 / 3, 0.76]]), cell


def rutile(a: str, side: float, height: float) -> Prototype:
    """Six atoms; lattice constants in Å."""
    u = 0.306
    fractions = [[0, 0, 0], [0.5, 0.5, 0.5], [u, u, 0], [-u, -u, 0], [0.5 + u, 0.5 - u, 0.5], [0.5 - u, 0.5 + u, 0.5]]
    return f"{a}O2", (a, a, "O", "O", "O", "O"), np.array(fractions), np.diag([side, side, height])
