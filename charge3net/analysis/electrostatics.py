"""Dipole moment and electrostatic potential of a density with the charges of its ions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.fft
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.interpolation import squared_wave_vectors
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.units import BOHR, HARTREE

#: e²/4πε₀ in V·Å/e.
COULOMB = HARTREE * BOHR

#: In the vacuum around a molecule the density, averaged over a plane, is below this (e/Å³).
VACUUM = 1e-3


def dipole_moment(density: Density, valence: Mapping[int, int]) -> Float[ndarray, "3"]:
    """μ = Σ Z (R − R₀) − ∫ρ (r − R₀) d³r of a molecule in a box, in e·Å (1 e·Å = 4.80320 Debye).

    R₀ is the centre of the ions' charges; only a charged molecule's moment depends on it. The box is cut where the
    density is lowest, so the molecule may lie across its walls.

    Args:
        density: with vacuum along all three vectors.
        valence: atomic number → charge of the ion.

    Raises:
        InputError: without vacuum: the dipole of a crystal does not follow from its density.
    """
    values, grid = np.asarray(density.total, dtype=np.float64), density.grid
    starts = np.zeros(3)
    parts = []
    for axis, n in enumerate(grid.shape):
        others = tuple(other for other in range(3) if other != axis)
        profile = values.mean(axis=others)
        cut = int(np.argmin(np.abs(profile)))
        if abs(profile[cut]) > VACUUM:
            raise InputError(
                f"no vacuum along vector {'abc'[axis]} (nowhere less than {abs(profile[cut]):.2g} e/Å³): the "
                "dipole moment of a crystal does not follow from its density; put the molecule in a larger box"
            )
        starts[axis] = cut / n
        parts.append(float(profile @ ((np.arange(n) - cut) % n / n)) / n * grid.volume)
    inverse = np.linalg.inv(grid.cell)
    ions = ((density.geometry.positions - grid.origin) @ inverse - starts) % 1.0
    charges = np.array([valence[int(z)] for z in density.geometry.numbers], dtype=np.float64)
    centre = charges @ ions / charges.sum()
    return ((ions - centre).T @ charges - (np.array(parts) - centre * density.electrons())) @ grid.cell


def electrostatic_potential(density: Density, valence: Mapping[int, int], width: float) -> Float[ndarray, "nx ny nz"]:
    """[nx, ny, nz] potential in V that a small positive charge feels: of the ions and of the electrons, periodic.

    Poisson's equation in reciprocal space, V(G) = 4π COULOMB (Z(G) − ρ(G)) / G²; the mean is set to zero, and so is the
    effect of a net charge. Ions are Gaussians of a standard deviation ``width``: beyond some 4 widths of a nucleus
    their potential is that of point charges.

    Args:
        density: over the whole cell.
        valence: atomic number → charge of the ion.
        width: Å; no less than about one grid spacing.

    Raises:
        InputError: for a width that is not positive.
    """
    if not (np.isfinite(width) and width > 0):
        raise InputError(f"the width of an ion is a positive length in Å, found {width}")
    grid, geometry = density.grid, density.geometry
    fractions = (geometry.positions - grid.origin) @ np.linalg.inv(grid.cell)
    ions = np.zeros(grid.shape, dtype=np.complex128)
    for z in np.unique(geometry.numbers):
        x, y, phase = (
            np.exp(-2j * np.pi * np.outer(fractions[geometry.numbers == z, i], scipy.fft.fftfreq(n, 1.0 / n)))
            for i, n in enumerate(grid.shape)
        )
        ions += valence[int(z)] * np.einsum("ax,ay,az->xyz", x, y, phase, optimize=True)
    squared = squared_wave_vectors(grid)
    ions *= np.exp(-0.5 * width**2 * squared) / grid.volume
    electrons = scipy.fft.fftn(np.asarray(density.total, dtype=np.float64)) / len(grid)
    squared[0, 0, 0] = np.inf
    potential = 4.0 * np.pi * COULOMB * (ions - electrons) / squared
    return scipy.fft.ifftn(potential).real * len(grid)
