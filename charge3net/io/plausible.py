"""Whether a field looks like the electron density of its atoms: by its integral and by its sign.

A cube file states neither its unit nor its content. The electrons of a pseudopotential are at least the outermost shell
of each atom, and at most all of them.
"""

from __future__ import annotations

import itertools

import numpy as np

from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.units import E_PER_BOHR3

#: A density may hold this fraction of the smallest plausible number of electrons, or of the largest.
LOWEST, HIGHEST = 0.6, 1.02
#: Share of Σ|ρ| that may be negative (plane waves and PAW spheres leave a little).
NEGATIVE = 0.02


def all_electrons(geometry: Geometry) -> int:
    """ΣZ: the electrons of the neutral atoms, core included."""
    return int(geometry.numbers.sum())


def fewest_electrons(geometry: Geometry) -> int:
    """Electrons of the neutral atoms outside of the largest usual cores: the outermost shell of each atom."""
    return int(_outermost()[geometry.numbers].sum())


def what_looks_wrong(density: Density) -> str:
    """Why this is probably not an electron density, in words; empty if it may be one."""
    values = density.total
    electrons, geometry = density.electrons(), density.geometry
    total = float(np.abs(values).sum(dtype=np.float64))
    if total == 0.0:
        return "all values are zero"
    negative = -float(values.sum(where=values < 0, dtype=np.float64)) / total
    if negative > NEGATIVE:
        return f"{100 * negative:.0f} % of Σ|ρ| is negative: a difference, a magnetisation or an orbital?"
    fewest, most = fewest_electrons(geometry), all_electrons(geometry)
    if LOWEST * fewest <= electrons <= HIGHEST * most + 0.5:
        return ""
    counted = f"∫ρ is {electrons:.4g} e where the atoms have {fewest} (outermost shells) to {most} (ΣZ)"
    if LOWEST * fewest <= electrons / (E_PER_BOHR3 * density.grid.volume) <= HIGHEST * most + 0.5:
        return (
            f"{counted}; divided by the volume it fits: values that are ρ·V, as pymatgen's Chgcar.to_cube writes them?"
        )
    return f"{counted}: another unit, another field, or a cell that does not belong to it?"


def _outermost() -> np.ndarray:
    """[119] electrons of the outermost shell by atomic number; 0 for an unknown species."""
    shells = np.zeros(119, dtype=np.int64)
    noble = (0, 2, 10, 18, 36, 54, 86, 118)
    for start, stop in itertools.pairwise(noble):
        for z in range(start + 1, stop + 1):
            group, left = z - start, stop - z
            shells[z] = group if group <= 2 else 8 - left if left < 6 and stop > 2 else 2
    return shells
