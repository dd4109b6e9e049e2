"""Cathodes Li(1−x)(Ni, Mn, Co)O2: the layered cell with random metals and lithium vacancies, strained and rattled."""

from __future__ import annotations

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
MOST_VACANCIES = 2  # of the three lithium sites


def nmc(count: int, seed: int) -> Iterator[Atoms]:
    """``count`` hexagonal cells of three metals, six oxygens and one to three lithium atoms.

    ``info`` holds tag, source, settings and starting moments (all up).
    """
    lattice = Lattice.hexagonal(A, C)
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        metals = [str(metal) for metal in rng.choice(METALS, 3)]
        lithium = rng.permutation(3)[: 3 - int(rng.integers(0, MOST_VACANCIES + 1))]
        symbols = ["Li"] * len(lithium) + metals + ["O"] * 6
        ideal = Structure(lattice, symbols, _sites(lithium))
        structure = strain_and_rattle(ideal, rng, RATTLE)
        source = f"layered {ideal.composition.reduced_formula}; strained {100 * STRAIN:g} %, rattled {RATTLE} Å"
        info = {"tag": f"nmc-{seed}-{index:04d}", "source": source, "settings": {"kpts_density": KPTS_DENSITY}}
        info["moments"] = moments(symbols)
        yield Atoms(symbols, positions=structure.cart_coords, cell=structure.lattice.matrix, pbc=True, info=info)


def _sites(lithium: ndarray) -> ndarray:
    """[atoms, 3] fractional coordinates: lithium on the sites that are taken, three metals, six oxygens."""
    up = np.array([0.0, 0.0, 1.0])
    layers = (CENTRES[lithium] + 0.5 * up, CENTRES, CENTRES + OXYGEN * up, CENTRES - OXYGEN * up)
    return np.concatenate(layers) % 1.0
