"""The superposition of the neutral pseudo-atoms of the pseudopotential files, pw.x's own start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.io.qe.gvectors import PlaneWaves
from charge3net.io.qe.pseudopotential import Pseudopotential
from charge3net.units import BOHR

_RADIUS = 10.0  # bohr; further out the files hold rounding


def superposed_atoms(
    waves: PlaneWaves,
    potentials: Sequence[Pseudopotential],
    species_of_atom: Sequence[int],
    positions: Float[ndarray, "atoms 3"],
    weights: Sequence[float] | None = None,
) -> Complex[ndarray, "waves"]:
    """[waves] coefficients in e/bohr³ of Σ weight·ρ_atom(r − R).

    Args:
        waves: the plane waves.
        potentials: of the species; their files hold 4πr²ρ(r).
        species_of_atom: [atoms] index into the species.
        positions: [atoms, 3] Å.
        weights: of the species, 1 by default; starting_magnetization gives pw.x's start of the magnetisation.

    Raises:
        InputError: for a species with a weight whose file has no density of the atom.
    """
    lengths, place = np.unique(
        np.round(np.linalg.norm(waves.miller @ waves.reciprocal, axis=1), 9), return_inverse=True
    )
    volume = abs(np.linalg.det(waves.cell))
    fractions = (positions / BOHR) @ np.linalg.inv(waves.cell)
    result = np.zeros(len(waves.miller), dtype=np.complex128)
    for species, potential in enumerate(potentials):
        weight = 1.0 if weights is None else weights[species]
        members = [atom for atom, of in enumerate(species_of_atom) if of == species]
        if weight == 0 or not members:
            continue
        if not len(potential.atom):
            raise InputError(f"{potential.file} holds no density of the atom")
        phases = sum(np.exp(-2j * np.pi * (waves.miller @ fractions[atom])) for atom in members)
        result += weight * _transform(potential, lengths)[place] * phases / volume
    return result


def _transform(potential: Pseudopotential, lengths: Float[ndarray, "lengths"]) -> Float[ndarray, "lengths"]:
    """[lengths] ∫ 4πr²ρ(r) sin(Gr)/(Gr) dr."""
    from scipy.integrate import simpson

    inside = potential.radii <= _RADIUS
    radii, density = potential.radii[inside], (potential.atom * potential.weights)[inside]
    waves = np.array([np.sinc(length * radii / np.pi) for length in lengths])
    return np.asarray(simpson(waves * density, axis=1))
