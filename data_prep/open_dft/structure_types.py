"""Simple structure types with lattice constants from radii: what new_compositions.py fills with elements.

Distances of neighbours come from ionic radii (Shannon's for cations as pymatgen holds them, ANIONS for the others),
from Cordero's covalent radii for tetrahedral semiconductors, and from pymatgen's data-mined lattice scaling (DLS, Chu
et al., Comput. Mater. Sci. 146, 184, 2018) for metals. They are some per cent off: structures before a relaxation.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from numpy import ndarray
from pymatgen.core import Lattice, Species, Structure

#: Å, radii of anions with six neighbours; pnictides, carbon and hydrogen from lattice constants of rock salts.
ANIONS = {"H": 1.28, "F": 1.33, "Cl": 1.81, "Br": 1.96, "I": 2.20, "O": 1.40, "S": 1.84, "Se": 1.98, "Te": 2.21}
ANIONS |= {"N": 1.48, "P": 1.95, "As": 2.02, "Sb": 2.20, "Bi": 2.25, "C": 1.52}
TETRAHEDRAL = 1.017  # bonds of zincblendes over the sum of covalent radii
METALLIC = 1.015  # lattice constants of intermetallics over those of DLS
FCC = 0.5 * (np.ones((3, 3)) - np.eye(3))
FACES = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
Cell = tuple[ndarray, ndarray]


@cache
def cation_radius(symbol: str, charge: int, neighbours: str = "VI") -> float:
    """Å, Shannon's ionic radius, of the high-spin ion where there are two.

    Of another coordination where this one is absent.

    Raises:
        KeyError: when no radius of this charge is known.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for coordination in (neighbours, "VI", "IV", "VIII", "IVSQ", "II", "V"):
            for spin in ("High Spin", "", "Low Spin"):
                try:
                    return float(Species(symbol, charge).get_shannon_radius(coordination, spin))
                except (KeyError, ValueError):
                    continue
    raise KeyError(f"{symbol}{charge:+d}")


def bond(cation: str, charge: int, anion: str, neighbours: str = "VI") -> float:
    """Å, sum of ionic radii."""
    return cation_radius(cation, charge, neighbours) + ANIONS[anion]


def covalent_bond(first: str, second: str) -> float:
    """Å, length of a tetrahedral bond."""
    return float(TETRAHEDRAL * sum(covalent_radii[atomic_numbers[symbol]] for symbol in (first, second)))


def rock_salt(d: float) -> Cell:
    """M X; d is the distance of the two."""
    return 2.0 * d * FCC, np.array([[0.0] * 3, [0.5] * 3])


def caesium_chloride(d: float) -> Cell:
    """M X, eight neighbours."""
    return np.eye(3) * 2.0 * d / np.sqrt(3.0), np.array([[0.0] * 3, [0.5] * 3])


def zincblende(d: float) -> Cell:
    """M X, four neighbours."""
    return 4.0 * d / np.sqrt(3.0) * FCC, np.array([[0.0] * 3, [0.25] * 3])


def fluorite(d: float) -> Cell:
    """M X X: M with eight neighbours, X with four."""
    return 4.0 * d / np.sqrt(3.0) * FCC, np.array([[0.0] * 3, [0.25] * 3, [0.75] * 3])


def filled_zincblende(d: float) -> Cell:
    """X M A: A fills the holes of the zincblende M X beside X; also the half-Heusler compounds."""
    return 4.0 * d / np.sqrt(3.0) * FCC, np.array([[0.0] * 3, [0.25] * 3, [0.5] * 3])


def heusler(d: float) -> Cell:
    """Y X Z X: X with eight neighbours at d, four Y and four Z; also D0₃ with three alike."""
    return 4.0 * d / np.sqrt(3.0) * FCC, np.array([[0.25 * i] * 3 for i in range(4)])


def nickel_arsenide(d: float) -> Cell:
    """M M X X, six neighbours, c/a = 1.55."""
    a = d / np.sqrt(1.0 / 3.0 + 1.55**2 / 16.0)
    sites = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.5], [1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]])
    return Lattice.hexagonal(a, 1.55 * a).matrix, sites


def cadmium_iodide(d: float) -> Cell:
    """M X X: layers of edge-sharing regular octahedra, c/a = 1.65."""
    a = np.sqrt(2.0) * d
    z = d / np.sqrt(3.0) / (1.65 * a)
    return Lattice.hexagonal(a, 1.65 * a).matrix, np.array([[0, 0, 0], [1 / 3, 2 / 3, z], [2 / 3, 1 / 3, -z]])


def rutile(d: float) -> Cell:
    """M M X X X X, c/a = 0.66, u = 0.305."""
    a, u = d / (0.305 * np.sqrt(2.0)), 0.305
    oxygens = [[u, u, 0], [1 - u, 1 - u, 0], [0.5 + u, 0.5 - u, 0.5], [0.5 - u, 0.5 + u, 0.5]]
    return np.diag([a, a, 0.66 * a]), np.array([[0, 0, 0], [0.5, 0.5, 0.5], *oxygens])


def perovskite(d: float) -> Cell:
    """A B X X X; d is the distance of B and X. Antiperovskites put a metal on X and carbon or nitrogen on B."""
    return np.eye(3) * 2.0 * d, np.array([[0.5] * 3, [0.0] * 3, [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])


def rhenium_oxide(d: float) -> Cell:
    """B X X X: a perovskite without A."""
    return np.eye(3) * 2.0 * d, np.array([[0.0] * 3, [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])


def layered(first: float, second: float) -> Cell:
    """A B X X: rock salt with A and B in alternate (111) layers; X lies between them as the two distances ask."""
    d = 0.5 * (first + second)
    a, c = np.sqrt(2.0) * d, 4.0 * d / np.sqrt(3.0)  # edge of a hexagon; X A X B along the threefold axis
    angles = np.radians([0.0, 120.0, 240.0])
    cell = np.stack([a / np.sqrt(3.0) * np.cos(angles), a / np.sqrt(3.0) * np.sin(angles), np.full(3, c)], axis=1)
    u = 0.25 + (second - first) / (12.0 * d)
    return cell, np.array([[0.0] * 3, [0.5] * 3, [u] * 3, [1.0 - u] * 3])


def simple(name: str) -> Cell:
    """Cells of metals at an arbitrary size: b2, l10, l12, alb2, c15, c11b, fcc, bcc, hcp, a15."""
    if name in ("fcc", "bcc"):
        return (3.6 * FCC if name == "fcc" else 3.0 * (FCC - 0.5 * np.eye(3))), np.zeros((1, 3))
    if name == "hcp":
        return Lattice.hexagonal(2.8, 2.8 * 1.6).matrix, np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]])
    if name == "b2":
        return caesium_chloride(2.6)
    if name == "l10":
        return np.diag([2.75, 2.75, 3.7]), np.array([[0.0] * 3, [0.5] * 3])
    if name == "l12":
        return 3.8 * np.eye(3), np.array([[0.0] * 3, *FACES])
    if name == "alb2":
        return Lattice.hexagonal(3.1, 3.3).matrix, np.array([[0, 0, 0], [1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]])
    if name == "c11b":
        a, c, z = 3.2, 3.2 * 2.45, 1.0 / 3.0
        cell = 0.5 * np.array([[-a, a, c], [a, -a, c], [a, a, -c]])
        return cell, np.array([[0.0] * 3, [z, z, 0.0], [-z, -z, 0.0]])
    if name == "c15":
        corners = [[0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
        return 7.2 * FCC, np.array([[0.125] * 3, [0.875] * 3, *corners])
    raise KeyError(name)


def scaled(cell: Cell, species: list[str]) -> Structure:
    """A structure of metals at the volume of the data-mined lattice scaling.

    Raises:
        ValueError: when pymatgen has no volume for it.
    """
    from pymatgen.core.structure_prediction.volume_predictor import DLSVolumePredictor

    structure = Structure(Lattice(cell[0]), species, cell[1])
    predictor = DLSVolumePredictor(cutoff=5.0, min_scaling=0.1, max_scaling=10.0)
    structure.scale_lattice(METALLIC**3 * predictor.predict(structure, icsd_vol=False))
    return structure
