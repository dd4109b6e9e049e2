"""The examples of docs/restart.md, run where their codes are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from charge3net import read_density
from charge3net.density import Density
from charge3net.io import read_grid
from charge3net.io.abinit import write_abinit
from charge3net.io.qe.pw_input import read_pw_input
from charge3net.io.qe.start import read_potentials, write_start
from charge3net.units import BOHR
from data_prep.quantum_espresso.gth import POTENTIALS
from data_prep.quantum_espresso.gth import main as gth

ROOT = Path(__file__).parents[1]


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


def test_page_and_inputs_agree() -> None:
    """What docs/restart.md shows of the inputs stands in them."""
    page = (ROOT / "docs" / "restart.md").read_text("utf-8")
    blocks = [block for block in page.split("```")[1::2] if "&ELECTRONS" in block or "ndtset" in block]
    inputs = [(ROOT / "examples" / "restart" / name).read_text("utf-8") for name in ("si_start.in", "si_start.abi")]
    assert len(blocks) == 2
    for block, text in zip(blocks, inputs, strict=True):
        assert block.partition("\n")[2].strip() in text  # the first line names the language


def run(*command: str, folder: Path) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout


@pytest.mark.skipif(not POTENTIALS.is_file(), reason="CP2K's list (Debian: cp2k-data) is not installed")
@pytest.mark.skipif(
    not (shutil.which("pw.x") and shutil.which("abinit")), reason="pw.x and ABINIT are not both installed"
)
def test_inputs_run_and_the_two_codes_agree(tmp_path: Path) -> None:
    """The inputs as they stand; the density of one code starts the other."""
    for file in (ROOT / "examples" / "restart").glob("si*"):
        shutil.copy(file, tmp_path)
    gth(["Si", "-o", str(tmp_path / "pseudo")])
    assert "convergence has been achieved" in run("pw.x", "-in", "si.in", folder=tmp_path)
    (tmp_path / "exact.in").write_text((tmp_path / "si.in").read_text().replace("1d-8", "1d-13"))
    run("pw.x", "-in", "exact.in", folder=tmp_path)
    espresso = read_density(tmp_path / "out" / "si.save")
    run("abinit", "si.abi", folder=tmp_path)
    pw_input = read_pw_input(tmp_path / "si.in")
    waves, grid = pw_input.plane_waves(), read_grid(tmp_path / "sio_DEN")
    values = waves.values(waves.coefficients(espresso.values), grid.shape)
    write_abinit(tmp_path / "start_DEN", tmp_path / "sio_DEN", Density(espresso.geometry, grid, values))
    output = run("abinit", "si_start.abi", folder=tmp_path)
    energies = [float(line.split()[2]) for line in output.splitlines() if line.startswith(" ETOT")]
    assert len(energies) <= 4
    abinit = read_density(tmp_path / "si_starto_DS2_DEN")
    assert np.abs(abinit.total - values[0]).sum() < 1e-6 * values[0].sum()

    shutil.rmtree(tmp_path / "out")
    write_start(tmp_path / "out" / "si.save", pw_input, read_potentials(pw_input), abinit)
    output = run("pw.x", "-in", "si_start.in", folder=tmp_path)
    assert "The initial density is read from file" in output
    assert "convergence has been achieved in   1 iterations" in output


GPAW = ROOT / ".cache" / "gpaw-env" / "bin" / "python"


@pytest.mark.skipif(not GPAW.exists(), reason="no GPAW environment; `make gpaw` builds it")
def test_gpaw_starts_from_a_density() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [str(GPAW), "-W", "ignore", str(ROOT / "examples" / "restart" / "gpaw_start.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    energies = [float(line.split(": ")[1].split()[0]) for line in (lines[0], lines[2])]
    assert energies[0] == pytest.approx(energies[1], abs=1e-4)
    assert float(lines[1].split()[2]) < 1e-6  # scaled to the number of electrons
