"""GTH potentials as UPF files: orbitals and density of the atom, and pw.x's result against that with the .gth file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import simpson

from charge3net.geometry import Geometry
from charge3net.io.qe.charge_density import read_charge_density
from charge3net.io.qe.pseudopotential import read_pseudopotential
from charge3net.io.qe.pw_run import run_pw
from charge3net.io.qe.pw_write import format_pw_input
from data_prep.quantum_espresso.gth import format_abinit, read_gth
from data_prep.quantum_espresso.isolated_atoms import atom_density, atom_orbitals
from data_prep.quantum_espresso.upf import format_upf, main
from tests.data_prep.test_gth import LIST


def test_orbitals_are_orthonormal_and_make_the_density(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(LIST)
    silicon = read_gth(tmp_path / "list")["Si", 4]
    r, orbitals = atom_orbitals(silicon)
    assert [(one.momentum, one.electrons) for one in orbitals] == [(0, 2.0), (1, 2.0)]
    for one in orbitals:
        assert simpson(one.values**2 * r**2, x=r) == pytest.approx(1.0, abs=1e-6)
    # Si 3s and 3p of PBE atoms, spherical and without spin: −10.8 and −4.1 eV (NIST's LDA: −10.88, −4.16)
    assert [27.2114 * one.energy for one in orbitals] == pytest.approx([-10.8, -4.1], abs=0.1)
    assert atom_density(silicon)[1] == pytest.approx(sum(2 * one.values**2 for one in orbitals) / (4 * np.pi))


def test_the_file_holds_the_atom_and_the_potential(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(LIST)
    assert main(["Si", "H", "--potentials", str(tmp_path / "list"), "-o", str(tmp_path)]) == 0
    assert main(["Xe", "--potentials", str(tmp_path / "list"), "-o", str(tmp_path)]) == 2
    found = read_pseudopotential(tmp_path / "Si.pbe-q4.upf")
    assert (found.element, found.kind, found.valence, found.functional) == ("Si", "NC", 4.0, "PBE")
    assert found.angular_momenta == (0, 0, 1)
    assert simpson(found.atom, x=found.radii) == pytest.approx(4.0, abs=1e-3)
    text = (tmp_path / "Si.pbe-q4.upf").read_text()
    strengths = re.search(r"<PP_DIJ[^>]*>(.*?)</PP_DIJ>", text, re.DOTALL)
    assert strengths is not None
    # twice the numbers of the list, in Ry
    expected = [[17.9034830, -5.41254164, 0.0], [-5.41254164, 6.98756120, 0.0], [0.0, 0.0, 4.86255346]]
    assert [float(word) for word in strengths[1].split()] == pytest.approx(np.ravel(expected), abs=1e-8)
    local = re.search(r"<PP_LOCAL[^>]*>(.*?)</PP_LOCAL>", text, re.DOTALL)
    assert local is not None
    assert float(local[1].split()[-1]) == pytest.approx(-2 * 4.0 / 12.0)  # −2Z/r in Ry
    assert read_pseudopotential(tmp_path / "H.pbe-q1.upf").angular_momenta == ()


@pytest.mark.skipif(not shutil.which("pw.x"), reason="pw.x is not installed")
def test_pw_finds_the_same_density_from_both_files(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(LIST)
    silicon = read_gth(tmp_path / "list")["Si", 4]
    (tmp_path / "Si.gth").write_text(format_abinit(silicon))
    (tmp_path / "Si.upf").write_text(format_upf(silicon))
    cell = np.array([[0.0, 2.7, 2.7], [2.7, 0.0, 2.7], [2.7, 2.7, 0.0]])
    geometry = Geometry(np.array([14, 14]), np.array([[0.0, 0.0, 0.0], [1.4, 1.3, 1.35]]), cell, np.ones(3, bool))
    densities, energies = [], []
    for file in ("Si.gth", "Si.upf"):
        folder = tmp_path / file.partition(".")[2]
        folder.mkdir()
        text = format_pw_input(geometry, {"Si": file}, ecutwfc=12.0, mesh=(2, 2, 2), shift=1, pseudo_dir=str(tmp_path),
                               electrons="conv_thr = 1d-11")  # fmt: skip
        (folder / "x.in").write_text(text)
        energies.append(run_pw(folder, 60.0).energies[-1])
        densities.append(read_charge_density(folder / "out" / "x.save" / "charge-density.dat").values[0])
    assert energies[0] == pytest.approx(energies[1], abs=1e-5)
    assert np.abs(densities[0] - densities[1]).max() < 1e-5 * np.abs(densities[0]).max()
