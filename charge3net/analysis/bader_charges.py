"""Bader charges of any density: what a valence density lacks at the nuclei is added to find the volumes, and named."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.bader import BaderVolumes, bader_volumes
from charge3net.analysis.cores import core_density
from charge3net.analysis.nearest import nearest_atoms
from charge3net.density import BaderCharges, Density
from charge3net.units import BOHR

#: Inside this distance (Å) a smooth density lacks the cusp of hydrogen's 1s.
CUSP = 0.45


def charges_with_cores(density: Density, valence: Mapping[int, int]) -> BaderCharges:
    """Electrons and charges in the Bader volumes of the atoms.

    The volumes are those of ρ + cores (:mod:`charge3net.analysis.cores`). Where cores are missing, hydrogens lack the
    cusp of 1s (:func:`hydrogen_cusps`); it is added too, and wherever a hydrogen has no maximum. Only ρ itself is
    integrated.

    Args:
        density: with the grid over the whole cell.
        valence: atomic number → electrons that the density holds (:func:`charge3net.analysis.valence.valence_of`).
    """
    geometry = density.geometry
    held = np.array([valence[int(z)] for z in geometry.numbers])
    left_out = {int(z): int(z) - valence[int(z)] for z in np.unique(geometry.numbers)}
    added = []
    core: Float[ndarray, "nx ny nz"] | None = None
    if any(left_out.values()):
        core = core_density(geometry, density.grid, valence)
        each = ", ".join(f"{chemical_symbols[z]} {count} e" for z, count in left_out.items() if count)
        added.append(f"cores of Slater orbitals ({each})")
    smooth = (geometry.numbers == 1).any() and core is not None
    volumes = None if smooth else bader_volumes(density, core)
    if volumes is None or (geometry.numbers[volumes.without_maximum()] == 1).any():
        cusps = hydrogen_cusps(density)
        core = cusps if core is None else core + cusps
        volumes = bader_volumes(density, core)
        added.append(f"the cusp of 1s within {CUSP:g} Å of each H")
    electrons = volumes.integrate(density.total)
    return BaderCharges(
        symbols=tuple(chemical_symbols[int(z)] for z in geometry.numbers),
        electrons=electrons,
        charges=held - electrons,
        valence=held,
        note=_note(added, volumes),
        without_maximum=tuple(volumes.without_maximum().tolist()),
    )


def hydrogen_cusps(density: Density) -> Float[ndarray, "nx ny nz"]:
    """[nx, ny, nz] e/Å³: ρ_1s − (a + b r²) within :data:`CUSP` of each H, value and slope matched there.

    ρ_1s = exp(−2r/a₀)/πa₀³ is the hydrogen atom's; a parabola is the smooth form that it has in a PAW set.
    """
    edge = float(_hydrogen(np.array([CUSP]))[0])
    curvature = -2.0 / BOHR * edge / (2.0 * CUSP)  # of the parabola with the slope of 1s at CUSP
    value = edge - curvature * CUSP**2
    nearest = nearest_atoms(density.grid.points(), density.geometry)
    r = nearest.distances
    near = (r < CUSP) & (density.geometry.numbers[nearest.atoms] == 1)
    return np.where(near, _hydrogen(r) - value - curvature * r**2, 0.0).reshape(density.grid.shape)


def _hydrogen(distances: Float[ndarray, "points"]) -> Float[ndarray, "points"]:
    return np.exp(-2.0 * distances / BOHR) / (np.pi * BOHR**3)


def _note(added: list[str], volumes: BaderVolumes) -> str:
    note = "nothing was added to the density"
    if added:
        note = f"added to find the volumes, not counted: {'; '.join(added)}"
    if (lost := volumes.without_maximum()).size:
        atoms = ", ".join(map(str, lost[:8])) + (", …" if len(lost) > 8 else "")
        note += f"; no maximum at atom {atoms}, whose electrons are counted for a neighbour"
    return note
