"""The examples of docs/restart.md for codes that are used from Python."""

from __future__ import annotations

import numpy as np
import pytest

from charge3net.units import BOHR


def test_pyscf_starts_from_a_density() -> None:
    """With the exact density of another calculation, PySCF is done after one cycle instead of several."""
    pytest.importorskip("pyscf", reason="PySCF is not installed")
    from pyscf import dft, gto

    from examples.restart.pyscf_start import start_matrix

    molecule = gto.M(
        atom="O 0 0 0.12; H 0 0.757 -0.48; H 0 -0.757 -0.48", basis="gth-dzvp", pseudo="gth-pbe", verbose=0
    )
    own = dft.RKS(molecule, xc="pbe")
    own.conv_tol = 1e-8
    energy = own.kernel()
    orbitals = own.make_rdm1()

    def density(points: np.ndarray) -> np.ndarray:
        values = own._numint.eval_ao(molecule, points / BOHR, deriv=1)
        return own._numint.eval_rho(molecule, values, orbitals, xctype="GGA")

    again = dft.RKS(molecule, xc="pbe")
    again.conv_tol = 1e-8
    guess = start_matrix(
        again,
        lambda points: 1.02 * density(points)[0] / BOHR**3,
        lambda points: 1.02 * density(points)[1:4].T / BOHR**4,
    )
    np.testing.assert_allclose(guess, orbitals, atol=1e-3)
    assert again.kernel(dm0=guess) == pytest.approx(energy, abs=1e-7)
    assert again.cycles <= 2 < own.cycles
