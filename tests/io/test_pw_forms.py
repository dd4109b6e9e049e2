"""Ways to write an input of pw.x: each is read as pw.x 6.7 reads it, which was compared with pw.x itself.

The reference is a plainer input that pw.x takes for the same run. Where pw.x is installed, some of them are run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from charge3net.errors import InputError
from charge3net.io.qe.charge_density import read_charge_density
from charge3net.io.qe.pw_input import PwInput, read_pw_input

PSEUDO = Path("/usr/share/espresso/pseudo")
BASE = f"""&CONTROL
  prefix='x', outdir='out', pseudo_dir='{PSEUDO}'
/
&SYSTEM
  ibrav=0, A=4.0, nat=2, ntyp=1, ecutwfc=6
/
&ELECTRONS
  electron_maxstep=1
/
ATOMIC_SPECIES
Si 28.0 Si.pz-vbc.UPF
K_POINTS tpiba
1
0 0 0 1
ATOMIC_POSITIONS alat
Si 0.02 0 0
Si 0.25 0.26 0.25
CELL_PARAMETERS alat
0.1 0.7 0.7
0.7 0.0 0.8
0.7 0.7 0.0
"""
CELL = BASE[BASE.index("CELL_PARAMETERS") :]
POINTS = "K_POINTS tpiba\n1\n0 0 0 1\n"
LABELS = ("Si 28.0 Si.pz-vbc.UPF\n", "Sia 28.0 Si.pz-vbc.UPF\nSiA 28.0 Si.pz-vbc.UPF\n"), ("Si 0.02", "Sia 0.02"), (
    "Si 0.25", "SiA 0.25")  # fmt: skip
SPIN = "ecutwfc=6, nspin=2, occupations='smearing', degauss=0.1, starting_magnetization"

Changes = tuple[tuple[str, str], ...]


def lattice(system: str) -> Changes:
    return ((CELL, ""), ("ibrav=0, A=4.0", system))


#: name → the changes of BASE, and those of a plainer input of the same run.
FORMS: dict[str, tuple[Changes, Changes]] = {
    "byte order mark": ((("&CONTROL", "\ufeff&CONTROL"),), ()),
    "gamma and a comment": (((POINTS, "K_POINTS gamma # only\n"),), ((POINTS, "K_POINTS gamma\n"),)),
    "gamma in a comment": (((POINTS, "K_POINTS !gamma\n"),), ((POINTS, "K_POINTS gamma\n"),)),
    "gamma after another": (
        ((POINTS, "K_POINTS automatic # gamma\n1 1 1 0 0 0\n"),), ((POINTS, "K_POINTS automatic\n1 1 1 0 0 0\n"),)),
    "unit and a comment": (
        (("POSITIONS alat", "POSITIONS crystal # of the cell"),), (("POSITIONS alat", "POSITIONS crystal"),)),
    "unit in a comment": ((("POSITIONS alat", "POSITIONS ! crystal"),), (("POSITIONS alat", "POSITIONS crystal"),)),
    "plural": ((("POSITIONS alat", "POSITIONS Angstroms"),), (("POSITIONS alat", "POSITIONS angstrom"),)),
    "unit of the cell": ((("METERS alat", "METERS { alat } # A"),), ()),
    "A is zero": (lattice("ibrav=1, A=0, celldm(1)=7"), lattice("ibrav=1, celldm(1)=7")),
    "celldm is zero": (lattice("ibrav=1, A=4, celldm(1)=0"), lattice("ibrav=1, A=4")),
    "right angles 14": (
        lattice("ibrav=14, celldm=8,1.1,1.2"), lattice("ibrav=14, celldm=8,1.1,1.2,0,0,0")),
    "right angles 12": (lattice("ibrav=12, A=4, B=4.2, C=4.4"), lattice("ibrav=12, A=4, B=4.2, C=4.4, cosAB=0")),
    "an angle of another axis": (
        lattice("ibrav=-12, A=4, B=4.2, C=4.4, cosAB=0.2"), lattice("ibrav=-12, A=4, B=4.2, C=4.4, cosAC=0")),
    "right angles 5": (lattice("ibrav=5, A=4"), lattice("ibrav=5, A=4, cosAB=0")),
    "large moment": ((("ecutwfc=6", f"{SPIN}=1.5"),), (("ecutwfc=6", f"{SPIN}=1.0"),)),
    "labels that differ in case": (
        (*LABELS, ("ntyp=1, ecutwfc=6", f"ntyp=2, {SPIN}=0.3,-0.5")),
        (*((old, new.replace("SiA", "Si2")) for old, new in LABELS),
         ("ntyp=1, ecutwfc=6", f"ntyp=2, {SPIN}=0.3,-0.5"))),
    "grid that holds fewer waves": ((("ecutwfc=6", "ecutwfc=6, nr1=6, nr2=8, nr3=7"),), ()),
}  # fmt: skip
#: Those that are run where pw.x is.
RUN = ("gamma in a comment", "unit in a comment", "labels that differ in case", "grid that holds fewer waves")


def read(folder: Path, changes: Changes) -> PwInput:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "x.in").write_text(text, encoding="utf-8")
    return read_pw_input(folder / "x.in")


@pytest.mark.parametrize("name", FORMS)
def test_is_read_as_the_plainer_input(name: str, tmp_path: Path) -> None:
    found, plain = (read(tmp_path, changes) for changes in FORMS[name])
    np.testing.assert_allclose(found.cell, plain.cell, atol=1e-12)
    np.testing.assert_allclose(found.geometry.positions, plain.geometry.positions, atol=1e-12)
    for what in ("gamma_only", "nspin", "prefix", "pseudo_dir", "species_of_atom", "ecutrho", "alat"):
        assert getattr(found, what) == getattr(plain, what), what
    assert [one.magnetization for one in found.species] == [one.magnetization for one in plain.species]


def test_waves_that_the_grid_does_not_hold_are_not_listed(tmp_path: Path) -> None:
    found, plain = (read(tmp_path, changes).plane_waves() for changes in FORMS["grid that holds fewer waves"])
    assert found.shape == (6, 8, 7)
    held = (np.abs(plain.miller) <= [2, 3, 3]).all(axis=1)
    assert 0 < held.sum() < len(held)
    np.testing.assert_array_equal(found.miller, plain.miller[held])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("POSITIONS alat", "POSITIONS fractional"), "fractional is not supported"),
        (("METERS alat", "METERS nm"), "unknown unit 'nm'"),
        (("ibrav=0", "space_group=227"), "space_group"),
        (("Si 0.25", "sI 0.25"), "names sI"),
    ],
)
def test_what_is_not_supported_is_named(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, (change,))


@pytest.mark.skipif(
    not (shutil.which("pw.x") and PSEUDO.is_dir()),
    reason="pw.x, its pseudopotentials or CP2K's list is not installed",
)
@pytest.mark.parametrize("name", RUN)
def test_pw_x_reads_the_same(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, FORMS[name][0])
    output = subprocess.run(["pw.x", "-in", "x.in"], cwd=tmp_path, capture_output=True, text=True).stdout
    own = read_charge_density(tmp_path / "out" / "x.save" / "charge-density.dat")
    np.testing.assert_array_equal(found.plane_waves().miller, own.miller)
    atoms = re.findall(r"^\s+\d+\s+(Si\w?)\s+tau\(.*?=\s*\((.*)\)", output, re.MULTILINE)
    assert [label for label, _ in atoms] == [found.species[i].label for i in found.species_of_atom]
    positions = np.array([position.split() for _, position in atoms], dtype=float) * found.alat
    np.testing.assert_allclose(found.geometry.positions / 0.529177210903, positions, atol=1e-6)
