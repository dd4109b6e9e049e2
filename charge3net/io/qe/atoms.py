"""The superposition of the neutral pseudo-atoms of the pseudopotential files, pw.x's own start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
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
    phases_of = _Phases(waves, positions)
    result = np.zeros(len(waves.miller), dtype=np.complex128)
    for species, potential in enumerate(potentials):
        weight = 1.0 if weights is None else weights[species]
        members = [atom for atom, of in enumerate(species_of_atom) if of == species]
        if weight == 0 or not members:
            continue
        if not len(potential.atom):
            raise InputError(f"{potential.file} holds no density of the atom")
        result += weight * phases_of.superposed(_transform(potential, phases_of.lengths), members)
    return result


@runtime_checkable
class RadialAtoms(Protocol):
    """A table of isolated atoms, as that of ``data_prep/isolated_atoms``: Å, e/Å³, electrons."""

    @property
    def radii(self) -> Float[ndarray, "points"]: ...
    @property
    def density(self) -> Mapping[int, Float[ndarray, "points"]]: ...
    @property
    def valence(self) -> Mapping[int, float]: ...


def superposed_table(waves: PlaneWaves, atoms: RadialAtoms, geometry: Geometry) -> Complex[ndarray, "waves"]:
    """[waves] coefficients in e/bohr³ of the superposition of a table of isolated atoms.

    Raises:
        InputError: for an element that the table lacks.
    """
    from scipy.interpolate import CubicSpline

    phases_of = _Phases(waves, geometry.positions)
    result = np.zeros(len(waves.miller), dtype=np.complex128)
    for number in np.unique(geometry.numbers).tolist():
        if number not in atoms.density:
            raise InputError(f"the table of isolated atoms has no element {number}; add it")
        radii = atoms.radii / BOHR
        fine = np.linspace(0.0, radii[-1], 4 * len(radii) - 3)
        density = CubicSpline(radii, atoms.density[number])(fine) * BOHR**3
        found = _radial_transform(fine, 4 * np.pi * fine**2 * density, phases_of.lengths)
        found *= atoms.valence[number] / found[np.argmin(phases_of.lengths)]
        result += phases_of.superposed(found, np.flatnonzero(geometry.numbers == number).tolist())
    return result


class _Phases:
    """Lengths of the waves, and sums of the phases of atoms."""

    def __init__(self, waves: PlaneWaves, positions: Float[ndarray, "atoms 3"]) -> None:
        lengths = np.round(np.linalg.norm(waves.miller @ waves.reciprocal, axis=1), 9)
        self.lengths, self._place = np.unique(lengths, return_inverse=True)
        self._miller, self._volume = waves.miller, abs(np.linalg.det(waves.cell))
        self._fractions = (positions / BOHR) @ np.linalg.inv(waves.cell)

    def superposed(self, transform: Float[ndarray, "lengths"], members: Sequence[int]) -> Complex[ndarray, "waves"]:
        """[waves] the same atom at the places of these atoms."""
        phases = sum(np.exp(-2j * np.pi * (self._miller @ self._fractions[atom])) for atom in members)
        return np.asarray(transform[self._place] * phases / self._volume)


def _transform(potential: Pseudopotential, lengths: Float[ndarray, "lengths"]) -> Float[ndarray, "lengths"]:
    """[lengths] ∫ 4πr²ρ(r) sin(Gr)/(Gr) dr."""
    from scipy.integrate import simpson

    inside = potential.radii <= _RADIUS
    radii, density = potential.radii[inside], (potential.atom * potential.weights)[inside]
    waves = np.array([np.sinc(length * radii / np.pi) for length in lengths])
    return np.asarray(simpson(waves * density, axis=1))


def _radial_transform(
    radii: Float[ndarray, "points"], density: Float[ndarray, "points"], lengths: Float[ndarray, "lengths"]
) -> Float[ndarray, "lengths"]:
    """As :func:`_transform`, of evenly spaced radii; interpolated between lengths 0.05 bohr⁻¹ apart."""
    from scipy.integrate import simpson
    from scipy.interpolate import CubicSpline

    nodes = np.linspace(0.0, lengths.max() + 0.05, int(lengths.max() / 0.05) + 2)
    found = [simpson(np.sinc(length * radii / np.pi) * density, x=radii) for length in nodes]
    return np.asarray(CubicSpline(nodes, found)(lengths))
