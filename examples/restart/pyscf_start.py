"""Start PySCF from a predicted density: the orbitals of the Kohn–Sham matrix that the density gives.

    python examples/restart/pyscf_start.py MODEL water.xyz

The model must predict the valence density of GTH pseudopotentials, as trained on runs of Quantum ESPRESSO, CP2K or
ABINIT with them. PySCF wants no density but a density matrix; the potential of the density is enough to get one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from pyscf import df, dft, gto

BOHR = 0.529177210903


def start_matrix(
    calculation: dft.rks.RKS,
    density_at: Callable[[np.ndarray], np.ndarray],
    gradient_at: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """A density matrix for ``kernel(dm0=…)``, closed shell.

    Args:
        calculation: a restricted Kohn–Sham calculation with a GGA functional.
        density_at: points [n, 3] in Å → [n] density in e/Å³, as ``Predictor.at``.
        gradient_at: points [n, 3] in Å → [n, 3] gradient in e/Å⁴, as ``Predictor.gradient``.
    """
    molecule, grids = calculation.mol, calculation.grids
    grids.build()
    points = grids.coords * BOHR
    density = np.vstack([density_at(points)[None] * BOHR**3, gradient_at(points).T * BOHR**4])
    density *= molecule.nelectron / (grids.weights @ density[0])

    auxiliary = df.addons.make_auxmol(molecule, df.aug_etb(molecule))  # Coulomb potential by density fitting
    charges = gto.fakemol_for_charges(grids.coords)
    potential = gto.mole.intor_cross("int2c2e", auxiliary, charges) @ (grids.weights * density[0])
    fitted = np.linalg.solve(auxiliary.intor("int2c2e"), potential)
    coulomb = df.incore.aux_e2(molecule, auxiliary, "int3c2e") @ fitted

    numbers = calculation._numint
    orbitals = numbers.eval_ao(molecule, grids.coords, deriv=1)
    weighted = grids.weights * numbers.eval_xc_eff(calculation.xc, density, deriv=1, xctype="GGA")[1]
    weighted[0] *= 0.5
    half = orbitals[0].T @ np.einsum("xgi,xg->gi", orbitals, weighted)
    fock = calculation.get_hcore() + coulomb + half + half.T
    energies, coefficients = calculation.eig(fock, calculation.get_ovlp())
    return calculation.make_rdm1(coefficients, calculation.get_occ(energies, coefficients))


def main(model: str, file: str) -> None:
    """Energy and number of cycles, from PySCF's own start and from the prediction."""
    import ase.io

    from charge3net import Predictor

    atoms, predictor = ase.io.read(file), Predictor.from_checkpoint(model)
    molecule = gto.M(
        atom=list(zip(atoms.symbols, atoms.positions, strict=True)), basis="gth-dzvp", pseudo="gth-pbe", verbose=0
    )
    for start in ("own", "predicted"):
        calculation = dft.RKS(molecule, xc="pbe")
        guess = None
        if start == "predicted":
            guess = start_matrix(
                calculation, lambda r: predictor.at(atoms, r), lambda r: predictor.gradient(atoms, r)[:, 0]
            )
        energy = calculation.kernel(dm0=guess)
        print(f"{start:<10} {energy:.8f} Ha in {calculation.cycles} cycles")


if __name__ == "__main__":
    main(*sys.argv[1:])
