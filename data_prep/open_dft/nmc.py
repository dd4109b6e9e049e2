"""Cathodes Li(1−x)(Ni, Mn, Co)O2: the layered cell with random metals and lithium vacancies, strained and rattled.

Cells at random, and pairs of cells before and after one lithium atom is taken out, everything else in its place, have
no composition of metals in common. Random cells can be spin-polarised; what is computed without spin takes a coarser
mesh of k-points, for an eighth of the work.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from ase import Atoms
from crystals import KPTS_DENSITY, STRAIN, moments, strain_and_rattle
from numpy import ndarray
from pymatgen.core import Lattice, Structure

A, C = 2.87, 14.2  # Å, hexagonal cell of NMC 111
OXYGEN = 0.2585  # height of the oxygen layer, R-3m 6c, metal at 0 0 0 and lithium at 0 0 1/2
CENTRES = np.array([[0.0, 0.0, 0.0], [2.0, 1.0, 1.0], [1.0, 2.0, 2.0]]) / 3.0
METALS = ("Ni", "Mn", "Co")
RATTLE = 0.06  # Å, standard deviation of every atom along each axis
DISTORTED = f"; strained {100 * STRAIN:g} %, rattled {RATTLE} Å"
MOST_VACANCIES = 2  # of the three lithium sites
COARSE_KPTS_DENSITY = 1.1  # Å, k-points per Å⁻¹: 3 × 3 × 1 for these cells
PAIRED = (["Co", "Co", "Co"], ["Co", "Mn", "Ni"], ["Mn", "Ni", "Ni"])  # metals of the pairs, sorted


def nmc(count: int, seed: int, polarised: bool) -> Iterator[Atoms]:
    """``count`` hexagonal cells of three metals, six oxygens and one to three lithium atoms; no metals of PAIRED.

    ``info`` holds tag, source, settings and, where ``polarised``, starting moments (all up).
    """
    drawn = 0
    for index in itertools.count():
        if drawn == count:
            return
        rng = np.random.default_rng([seed, index])
        metals = [str(metal) for metal in rng.choice(METALS, 3)]
        lithium = rng.permutation(3)[: 3 - int(rng.integers(0, MOST_VACANCIES + 1))]
        if sorted(metals) not in PAIRED:
            drawn += 1
            yield _atoms(f"nmc-{seed}-{index:04d}", _cell(metals, lithium, rng), DISTORTED, polarised)


def pairs(count: int, seed: int) -> Iterator[Atoms]:
    """``count`` cells, two by two: all three lithium atoms in their places (``…-full``), one of them taken out
    (``…-minus_li``), all other atoms and the cell the same.

    The metals are those of PAIRED in turn, in random order over the layers; the first cell is ideal. Without spin.
    ``info`` as in :func:`nmc`.
    """
    for index in range((count + 1) // 2):
        rng = np.random.default_rng([seed, 1, index])
        metals = [str(metal) for metal in rng.permutation(PAIRED[index % len(PAIRED)])]
        full = _cell(metals, np.arange(3), rng if index else None)
        taken = int(rng.integers(3))
        without = full.copy()
        without.remove_sites([taken])
        tag = f"pair-{seed}-{index:02d}-{''.join(metals)}"
        made = DISTORTED if index else "; ideal"
        yield _atoms(f"{tag}-full", full, made, polarised=False)
        if 2 * index + 1 < count:
            yield _atoms(f"{tag}-minus_li", without, f"{made}; lithium {taken} of three taken out", polarised=False)


def _cell(metals: list[str], lithium: ndarray, rng: np.random.Generator | None) -> Structure:
    """The layered cell, atoms in the order Li, metals, O; strained and rattled where there is ``rng``."""
    ideal = Structure(Lattice.hexagonal(A, C), ["Li"] * len(lithium) + metals + ["O"] * 6, _sites(lithium))
    return ideal if rng is None else strain_and_rattle(ideal, rng, RATTLE)


def _atoms(tag: str, structure: Structure, made: str, polarised: bool) -> Atoms:
    symbols = [str(site.specie) for site in structure]
    settings = {"kpts_density": KPTS_DENSITY if polarised else COARSE_KPTS_DENSITY}
    info = {"tag": tag, "source": f"layered {structure.composition.reduced_formula}{made}", "settings": settings}
    if polarised:
        info["moments"] = moments(symbols)
    return Atoms(symbols, positions=structure.cart_coords, cell=structure.lattice.matrix, pbc=True, info=info)


def _sites(lithium: ndarray) -> ndarray:
    """[atoms, 3] fractional coordinates: lithium on the sites that are taken, three metals, six oxygens."""
    up = np.array([0.0, 0.0, 1.0])
    layers = (CENTRES[lithium] + 0.5 * up, CENTRES, CENTRES + OXYGEN * up, CENTRES - OXYGEN * up)
    return np.concatenate(layers) % 1.0
