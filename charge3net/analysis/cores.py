"""Core electrons, roughly: what a valence density leaves out at the nuclei.

A smooth valence density has no maximum at some nuclei (Li, C next to O), so its own gradient gives those atoms no
volume. Add the cores to find the volumes, and the valence density alone is what is integrated over them, as one does
with the sum of AECCAR0 and AECCAR2 in VASP.

Here a core is a sum of Slater orbitals: the electrons of a group (1s; 2s 2p; 3s 3p; 3d; …) have the radial density
r^(2n*−2) exp(−2ζr), ζ = (Z − s)/n* in 1/Bohr, with the screening s and the effective quantum number n* of Slater's
rules (Phys. Rev. 36, 57 (1930)). Good to some 10 % beyond the core, which is what the volumes see of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gamma, pi

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.neighbors import find_neighbors
from charge3net.grid import Grid
from charge3net.units import BOHR

#: Beyond this distance (Å) a core is nothing: below 1e-6 e/Å³ for every element and core that PAW sets leave out.
REACH = 3.0

#: Slater's groups in the order in which a core fills: principal quantum number, whether d or f, electrons.
_GROUPS = ((1, False, 2), (2, False, 8), (3, False, 8), (3, True, 10), (4, False, 8), (4, True, 10))
_F_THEN_SP = ((4, True, 14), (5, False, 8), (5, True, 10))
_SP_ONLY = ((5, False, 8),)
_EFFECTIVE = {1: 1.0, 2: 2.0, 3: 3.0, 4: 3.7, 5: 4.0}

#: Voxels worked on at once.
_CHUNK = 1 << 16


def valence_electrons(
    compositions: Sequence[Mapping[int, int]], electrons: Float[ndarray, "structures"]
) -> dict[int, int]:
    """How many electrons of each element the densities of a set hold, from their integrals.

    Args:
        compositions: of each structure: atomic number → number of atoms.
        electrons: [structures] ∫ρ of each.

    Returns:
        Atomic number → whole number of electrons.

    Raises:
        InputError: if the structures do not determine them, or no whole numbers give all integrals within 0.05.
    """
    numbers = sorted({z for composition in compositions for z in composition})
    counts = np.array([[composition.get(z, 0) for z in numbers] for composition in compositions], dtype=np.float64)
    found, _, rank, _ = np.linalg.lstsq(counts, np.asarray(electrons, dtype=np.float64), rcond=None)
    if rank < len(numbers):
        raise InputError(
            "these compositions do not determine the valence electrons of each element; use more structures"
        )
    whole = np.rint(found).astype(int)
    off = float(np.abs(counts @ whole - electrons).max())
    if off > 0.05:
        raise InputError(f"no whole numbers of valence electrons give the integrals of these densities: {off:.2f} off")
    return dict(zip(numbers, whole.tolist(), strict=True))


def core_density(geometry: Geometry, grid: Grid, valence: Mapping[int, int]) -> Float[ndarray, "nx ny nz"]:
    """[nx, ny, nz] e/Å³ of the electrons that a valence density leaves out, roughly (see the module's text).

    Args:
        geometry: the atoms.
        grid: where.
        valence: atomic number → electrons that the valence density holds.

    Raises:
        InputError: for an element that ``valence`` does not name.
    """
    unknown = sorted(set(geometry.numbers.tolist()) - set(valence))
    if unknown:
        raise InputError(f"the number of valence electrons of element {unknown[0]} is not known; name it")
    values = np.zeros(len(grid))
    for start in range(0, len(grid), _CHUNK):
        index = np.arange(start, min(start + _CHUNK, len(grid)))
        points = grid.points(index)
        pairs = find_neighbors(points, geometry, REACH)
        vectors = geometry.positions[pairs.senders] + pairs.shifts - points[pairs.receivers]
        distances = np.linalg.norm(vectors, axis=1)
        numbers = geometry.numbers[pairs.senders]
        for z in np.unique(numbers):
            mine = numbers == z
            held = atomic_core(int(z), int(z) - valence[int(z)], distances[mine])
            np.add.at(values, index[pairs.receivers[mine]], held)
    return values.reshape(grid.shape)


def atomic_core(number: int, electrons: int, distances: Float[ndarray, "points"]) -> Float[ndarray, "points"]:
    """[points] e/Å³ of the innermost electrons of an atom at these distances in Å.

    Raises:
        InputError: for more electrons than the rules are written down for here (86), or fewer than none.
    """
    radius = np.asarray(distances, dtype=np.float64) / BOHR
    values = np.zeros_like(radius)
    groups = _filled(electrons)
    for i, (n, outer, count) in enumerate(groups):
        effective = _EFFECTIVE[n]
        zeta = (number - _screening(groups[: i + 1], outer)) / effective
        norm = (2.0 * zeta) ** (2.0 * effective + 1.0) / (4.0 * pi * gamma(2.0 * effective + 1.0))
        values += count * norm * radius ** (2.0 * effective - 2.0) * np.exp(-2.0 * zeta * radius)
    return values / BOHR**3


def _filled(electrons: int) -> list[tuple[int, bool, int]]:
    """The groups that hold the innermost electrons: (n, d or f, electrons)."""
    inner = sum(count for _, _, count in _GROUPS)
    order = _GROUPS + (_F_THEN_SP if electrons - inner >= _F_THEN_SP[0][2] else _SP_ONLY)
    groups, left = [], electrons
    for n, outer, most in order:
        if left > 0:
            groups.append((n, outer, min(left, most)))
            left -= most
    if electrons < 0 or left > 0:
        raise InputError(f"a core of {electrons} electrons is not one that a valence density leaves out")
    return groups


def _screening(groups: Sequence[tuple[int, bool, int]], outer: bool) -> float:
    """Slater's s for an electron of the last of these groups."""
    n, _, count = groups[-1]
    total = (0.30 if n == 1 else 0.35) * (count - 1)
    for shell, _, held in groups[:-1]:
        total += held * (0.85 if shell == n - 1 and not outer else 1.0)
    return total
