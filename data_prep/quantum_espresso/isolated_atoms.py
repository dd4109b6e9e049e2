"""The isolated atoms of Goedecker–Teter–Hutter pseudopotentials: radial valence densities in PBE.

    python data_prep/quantum_espresso/isolated_atoms.py [ELEMENT …] [-o TABLE.npz]

The spherical, not spin-polarised Kohn–Sham equations of the neutral atom with the occupations that CP2K's list gives
are solved in a basis of Gaussians for each angular momentum l. Matrix elements are integrals on a radial grid;
the gradient-dependent part of the potential is used in its weak form, ∫ (∂e/∂ρ χχ' + 2 ∂e/∂σ ρ' (χχ')') 4πr² dr.

TABLE.npz (default data_prep/isolated_atoms/gth_pbe.npz) is a table that ``charge3net train data.isolated_atoms=``
reads: ``numbers``, ``radii`` (Å), ``density`` (e/Å³), ``valence``, ``setups`` (names of the files that gth.py makes).
Potentials: of each element the one with the fewest electrons.

Sources: the potentials as in gth.py; PBE: J. P. Perdew, K. Burke and M. Ernzerhof, Phys. Rev. Lett. 77, 3865 (1996);
correlation of the uniform gas: J. P. Perdew and Y. Wang, Phys. Rev. B 45, 13244 (1992).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from scipy.integrate import cumulative_simpson, simpson
from scipy.linalg import eigh
from scipy.special import erf, gamma

from charge3net.errors import InputError
from charge3net.io.files import atomic_output
from charge3net.units import BOHR
from data_prep.quantum_espresso.gth import POTENTIALS, GthPotential, choose, file_name, read_gth

TABLE = Path(__file__).resolve().parents[1] / "isolated_atoms" / "gth_pbe.npz"
#: Elements of the generator's structures.
ELEMENTS = (
    "H", "Li", "Be", "B", "C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "K", "Ca", "Ga", "Ge", "As", "Se",
    "Br", "In", "Sn", "Sb", "Te", "I", "Pb",
)  # fmt: skip
_RADIUS, _STEP = 20.0, 0.005  # bohr, of the grid on which the equations are solved
_EXPONENTS = 0.02 * 1.7 ** np.arange(18)  # bohr⁻²
_MIXING, _ROUNDS, _CONVERGED = 0.4, 200, 1e-9


@dataclass(frozen=True, eq=False)
class Orbital:
    """A shell of the neutral atom that holds electrons.

    Attributes:
        momentum: l.
        electrons: that it holds.
        energy: hartree.
        values: [points] R(r), bohr^(−3/2), ∫R²r² dr = 1.
    """

    momentum: int
    electrons: float
    energy: float
    values: ndarray


def atom_density(potential: GthPotential) -> tuple[ndarray, ndarray]:
    """[points] radii in bohr and [points] ρ(r) in e/bohr³ of the neutral atom.

    Raises:
        InputError: if the equations do not converge.
    """
    r, orbitals = atom_orbitals(potential)
    return r, _density(orbitals)


def atom_orbitals(potential: GthPotential) -> tuple[ndarray, list[Orbital]]:
    """[points] radii in bohr and the occupied orbitals of the neutral atom, by l, then by energy.

    Raises:
        InputError: if the equations do not converge.
    """
    r = np.arange(0.0, _RADIUS + _STEP / 2, _STEP)
    channels = [_Channel(potential, momentum, r) for momentum in range(len(potential.shells))]
    density = potential.valence * np.exp(-r) / (8 * np.pi)
    for _ in range(_ROUNDS):
        potential_of_density = _hartree(density, r), *_exchange_correlation(density, r)
        orbitals = [
            orbital
            for channel, electrons in zip(channels, potential.shells, strict=True)
            for orbital in channel.occupied(electrons, potential_of_density)
        ]
        found = _density(orbitals)
        change = float(simpson(4 * np.pi * r**2 * np.abs(found - density), x=r))
        if change < _CONVERGED * potential.valence:
            return r, orbitals
        density = density + _MIXING * (found - density)
    raise InputError(f"the atom of {potential.name} {potential.element} does not converge ({change:.1e} e left)")


def _density(orbitals: Sequence[Orbital]) -> ndarray:
    """[points] of the orbitals, their electrons spread evenly over m."""
    return np.asarray(sum(orbital.electrons * orbital.values**2 for orbital in orbitals) / (4 * np.pi))


class _Channel:
    """The basis of one angular momentum, and what of the Hamiltonian does not change."""

    def __init__(self, potential: GthPotential, momentum: int, r: ndarray) -> None:
        self.r, self.momentum = r, momentum
        gaussians = np.exp(-np.outer(_EXPONENTS, r**2))
        power = r**momentum
        norm = np.sqrt(2 * (2 * _EXPONENTS) ** (momentum + 1.5) / gamma(momentum + 1.5))[:, None]
        self.functions = norm * power * gaussians
        slope = momentum * r ** max(momentum - 1, 0) - 2 * np.outer(_EXPONENTS, r) * power
        self.slopes = norm * slope * gaussians
        self.overlap = self._integral(self.functions * r, self.functions * r)
        kinetic = self._integral(self.slopes * r, self.slopes * r)
        kinetic += momentum * (momentum + 1) * self._integral(self.functions, self.functions)
        local = self._matrix(local_potential(potential, r))
        self.fixed = 0.5 * kinetic + local + self._nonlocal(potential)

    def occupied(self, electrons: int, potential: tuple[ndarray, ndarray, ndarray]) -> list[Orbital]:
        """The lowest orbitals that hold this many electrons."""
        hartree, by_density, by_slope = potential
        cross = self._integral(self.slopes * by_slope * self.r**2, self.functions)
        matrix = self.fixed + self._matrix(hartree + by_density) + cross + cross.T
        energies, orbitals = eigh(matrix, self.overlap)
        result, left, full = [], float(electrons), 2 * (2 * self.momentum + 1)
        for energy, orbital in zip(energies, orbitals.T, strict=True):
            if left <= 0:
                break
            result.append(Orbital(self.momentum, min(left, full), float(energy), orbital @ self.functions))
            left -= full
        return result

    def _matrix(self, values: ndarray) -> ndarray:
        return self._integral(self.functions * (values * self.r**2), self.functions)

    def _integral(self, left: ndarray, right: ndarray) -> ndarray:
        weights = np.full(len(self.r), 2.0)
        weights[1::2], weights[[0, -1]] = 4.0, 1.0
        return np.asarray((left * weights * _STEP / 3) @ right.T)

    def _nonlocal(self, potential: GthPotential) -> ndarray:
        if self.momentum >= len(potential.channels):
            return np.zeros_like(self.overlap)
        width, rows = potential.channels[self.momentum]
        if not rows:
            return np.zeros_like(self.overlap)
        strengths = np.zeros((len(rows), len(rows)))
        for i, row in enumerate(rows):
            strengths[i, i:] = strengths[i:, i] = row
        weighted = self.functions * self.r**2
        p = np.array([
            self._integral(weighted, projector(self.momentum, i, width, self.r)[None])[:, 0] for i in range(len(rows))
        ])  # fmt: skip
        return np.asarray(p.T @ strengths @ p)


def projector(momentum: int, i: int, width: float, r: ndarray) -> ndarray:
    """[points] p_i^l(r) of i = 0, 1, …, with ∫p²r² dr = 1 (Hartwigsen, Goedecker, Hutter, eq. 3)."""
    order = momentum + (4 * i + 3) / 2
    radial = np.sqrt(2) * r ** (momentum + 2 * i) * np.exp(-((r / width) ** 2) / 2)
    return np.asarray(radial / (width**order * np.sqrt(gamma(order))))


def local_potential(potential: GthPotential, r: ndarray) -> ndarray:
    """[points] hartree."""
    width, coefficients = potential.local
    scaled = r / width
    with np.errstate(divide="ignore", invalid="ignore"):
        coulomb = np.where(r > 0, erf(scaled / np.sqrt(2)) / r, np.sqrt(2 / np.pi) / width)
    polynomial = sum(c * scaled ** (2 * i) for i, c in enumerate(coefficients))
    return np.asarray(-potential.valence * coulomb + np.exp(-(scaled**2) / 2) * polynomial)


def _hartree(density: ndarray, r: ndarray) -> ndarray:
    """4π [∫₀^r ρ s² ds / r + ∫_r^∞ ρ s ds]."""
    inside = cumulative_simpson(density * r**2, x=r, initial=0.0)
    outside = cumulative_simpson(density * r, x=r, initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.where(r > 0, inside / r, 0.0)
    return np.asarray(4 * np.pi * (inner + outside[-1] - outside))


def _exchange_correlation(density: ndarray, r: ndarray) -> tuple[ndarray, ndarray]:
    """∂e/∂ρ and 2ρ'·∂e/∂σ of PBE, by complex steps."""
    slope = np.gradient(density, r, edge_order=2)
    dense = density > 1e-10
    rho, sigma, step = np.where(dense, density, 1.0), slope**2, 1e-30
    by_density = _pbe(rho + 1j * step, sigma).imag / step
    by_sigma = _pbe(rho, sigma + 1j * step).imag / step
    return np.where(dense, by_density, 0.0), np.where(dense, 2 * slope * by_sigma, 0.0)


def _pbe(rho: ndarray, sigma: ndarray) -> ndarray:
    """Energy per volume, hartree/bohr³, of a density without spin and its squared gradient."""
    kappa, mu, beta = 0.804, 0.2195149727645171, 0.06672455060314922
    fermi = (3 * np.pi**2 * rho) ** (1 / 3)
    exchange = -3 * fermi / (4 * np.pi) * (1 + kappa - kappa / (1 + mu * sigma / (4 * rho**2 * fermi**2 * kappa)))
    root = (3 / (4 * np.pi * rho)) ** (1 / 6)  # √r_s
    series = 7.5957 * root + 3.5876 * root**2 + 1.6382 * root**3 + 0.49294 * root**4
    uniform = -2 * 0.0310907 * (1 + 0.21370 * root**2) * np.log(1 + 1 / (2 * 0.0310907 * series))
    gas = (1 - np.log(2)) / np.pi**2
    t = sigma * np.pi / (16 * fermi * rho**2)  # t² with k_s² = 4 k_F/π
    a = beta / gas / (np.exp(-uniform / gas) - 1)
    gradient = gas * np.log(1 + beta / gas * t * (1 + a * t) / (1 + a * t + a**2 * t**2))
    return np.asarray(rho * (exchange + uniform + gradient))


def table(elements: Sequence[str]) -> dict[str, Any]:
    """The arrays of TABLE.npz."""
    from ase.data import atomic_numbers

    potentials = read_gth(POTENTIALS)
    chosen = sorted((choose(potentials, element) for element in elements), key=lambda p: atomic_numbers[p.element])
    radii = np.arange(0.0, 8.0 + 1e-9, 0.02)  # Å
    rows = []
    for potential in chosen:
        r, density = atom_density(potential)
        inside = r <= radii[-1] / BOHR
        held = simpson(4 * np.pi * r[inside] ** 2 * density[inside], x=r[inside])
        rows.append(np.interp(radii / BOHR, r, density) * potential.valence / held / BOHR**3)
    return {
        "numbers": np.array([atomic_numbers[p.element] for p in chosen], dtype=np.int16),
        "radii": radii,
        "density": np.array(rows, dtype=np.float32),
        "valence": np.array([float(p.valence) for p in chosen]),
        "setups": np.array([file_name(p) for p in chosen]),
        "meta": np.array(json.dumps({"code": "GTH of CP2K, isolated_atoms.py", "xc": "PBE"})),
    }


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("elements", nargs="*", metavar="ELEMENT", help="default: those of the generator's structures")
    parser.add_argument("-o", "--out", type=Path, default=TABLE, metavar="TABLE.npz")
    options = parser.parse_args(arguments)
    try:
        arrays = table(options.elements or ELEMENTS)
    except InputError as error:
        print(f"isolated_atoms.py: error: {error}", file=sys.stderr)
        return 2
    with atomic_output(options.out) as stream:
        np.savez_compressed(stream, **arrays)
    print(f"{options.out}: {len(arrays['numbers'])} elements, {options.out.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
