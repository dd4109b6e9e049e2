"""Structures from every format, against pymatgen, ASE, and what was written down by hand."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from charge3net.errors import InputError
from charge3net.io import read_structure, read_structures
from charge3net.io.formats import density_format, structure_format
from tests.helpers import dft_files

DIRECT = np.array([[0.0, 0.0, 0.0], [0.25, 0.5, 0.75], [0.5, 0.25, 0.125]])


def read_text(path: Path, text: str, name: str = "POSCAR") -> object:
    (path / name).write_text(text)
    return read_structure(path / name)


@pytest.mark.parametrize(
    ("species", "counts"),
    [
        ("Li O\n", "1 2"),
        ("   Li_sv   O\n", "   1   2"),
        ("Li/0123456789ab O_s/4f5e\n", "1 2"),
        ("Li O  ! a comment\n", "1 2 ! too"),
        ("Li O O\n", "1 1 1"),
        ("Li H.5 O\n", "1 0 2"),
    ],
)
def test_lines_of_elements(tmp_path: Path, species: str, counts: str) -> None:
    geometry = read_text(tmp_path, dft_files.head(species, counts))
    assert geometry.numbers.tolist() == [3, 8, 8]
    np.testing.assert_allclose(geometry.positions, DIRECT @ dft_files.CELL, atol=1e-14)
    assert geometry.pbc.all()


@pytest.mark.parametrize(
    ("title", "works"),
    [("Li O", True), ("Li1 O2", True), ("Li_sv O", True), ("Li2 O1", False), ("Li O Ni", False), ("oxide", False),
     ("LiO2", False), ("a title", False)],
)  # fmt: skip
def test_vasp_4_heads_take_elements_from_a_plain_title_only(tmp_path: Path, title: str, works: bool) -> None:
    text = dft_files.head("", "1 2", title)
    if works:
        assert read_text(tmp_path, text).numbers.tolist() == [3, 8, 8]
        return
    with pytest.raises(InputError, match=r"names no elements \(VASP 4\); insert a line with 2 element symbols above"):
        read_text(tmp_path, text)


def test_elements_behind_the_positions(tmp_path: Path) -> None:
    """As pymatgen and phonopy write them; against pymatgen's reading."""
    from pymatgen.io.vasp.inputs import Poscar

    text = dft_files.head("", "1 2").replace("0.0 0.0 0.0\n", "0.0 0.0 0.0 Li\n")
    text = text.replace("0.75\n", "0.75 O\n").replace("0.125\n", "0.125 O\n")
    expected = Poscar.from_str(text).structure
    assert read_text(tmp_path, text).numbers.tolist() == list(expected.atomic_numbers)


@pytest.mark.parametrize("scale", ["2.0", "-480.0", "2.0 2.0 2.0", "1.5 0.5 3.0", "0.2D+01"])
@pytest.mark.parametrize("mode", ["Direct", "Cartesian", "K"])
def test_scale_factors(tmp_path: Path, scale: str, mode: str) -> None:
    text = (
        dft_files.head(scale=scale).replace("Direct", f"Selective dynamics\n{mode}").replace("0.75\n", "0.75 T F T\n")
    )
    geometry = read_text(tmp_path, text)
    factors = {"-480.0": [(480.0 / dft_files.VOLUME) ** (1 / 3)] * 3, "1.5 0.5 3.0": [1.5, 0.5, 3.0]}
    factor = np.array(factors.get(scale, [2.0] * 3))
    np.testing.assert_allclose(geometry.cell, dft_files.CELL * factor, atol=1e-12)
    expected = DIRECT @ (dft_files.CELL * factor) if mode == "Direct" else DIRECT * factor
    np.testing.assert_allclose(geometry.positions, expected, atol=1e-12)
    if scale == "-480.0":
        assert geometry.volume == pytest.approx(480.0)


def test_as_pymatgen_reads_it(tmp_path: Path) -> None:
    from pymatgen.io.vasp.inputs import Poscar

    text = dft_files.head(scale="1.7").replace("Direct", "Cartesian")
    expected = Poscar.from_str(text).structure
    geometry = read_text(tmp_path, text, "CONTCAR.relaxed")
    np.testing.assert_allclose(geometry.cell, expected.lattice.matrix, atol=1e-12)
    np.testing.assert_allclose(geometry.positions, expected.cart_coords, atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.0\n", "one\n", r"expected the scale factor \(1 number\), found 'one'"),
        ("1.0\n", "1.0 -1.0 1.0\n", "the scale is one factor, three positive ones"),
        ("0.200000", "x", r"expected lattice vector 1 \(3 numbers\)"),
        ("Li   O", "Li   Qq", "in the line of elements, 'Qq' is not a chemical element"),
        ("Li   O", "Li", r"1 element symbols \(Li\) but 2 numbers of atoms"),
        ("  1  2", "  1  many", "expected the numbers of atoms, one per element, found '1  many'"),
        ("Direct\n", "", "expected 'Direct' or 'Cartesian' after the numbers of atoms, found '0.0 0.0 0.0'"),
        ("0.5 0.25 0.125\n", "", "the file ends where the position of atom 3 of 3 was expected"),
        ("0.25 0.5 0.75", "0.25 0.5", r"expected the position of atom 2 \(3 numbers\), found '0.25 0.5'"),
        ("0.25 0.5 0.75", "0.25 0.5 nan", "expected the position of atom 2"),
        ("   0.500000     0.000000     5.000000", " 3 0.2 0.0", "in one plane"),
    ],
)
def test_broken_heads(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = dft_files.head()
    assert old in text
    with pytest.raises(InputError, match=message) as error:
        read_text(tmp_path, text.replace(old, new))
    assert str(error.value).startswith(str(tmp_path / "POSCAR"))


def test_the_head_of_a_chgcar(shared: Path) -> None:
    geometry = read_structure(shared / "real" / "CHGCAR.LiCoO2_spin.gz")
    assert geometry.formula == "LiCoO2"
    assert read_structure(shared / "real" / "CHGCAR.truncated").numbers.tolist() == [28]


def test_cif_xyz_and_what_ase_knows(tmp_path: Path) -> None:
    from ase.build import bulk, molecule
    from ase.io import write
    from pymatgen.core import Lattice, Structure

    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    salt.to(str(tmp_path / "salt.cif"))
    (tmp_path / "salt.cif.gz").write_bytes(gzip.compress((tmp_path / "salt.cif").read_bytes()))
    for name in ("salt.cif", "salt.cif.gz"):
        geometry = read_structure(tmp_path / name)
        assert sorted(geometry.numbers.tolist()) == [11] * 4 + [17] * 4
        assert geometry.volume == pytest.approx(5.64**3)

    frames = [bulk("Cu"), bulk("NaCl", "rocksalt", 5.64), molecule("H2O")]
    write(tmp_path / "many.extxyz", frames)
    found = read_structures(tmp_path / "many.extxyz")
    for geometry, atoms in zip(found, frames, strict=True):
        assert geometry.numbers.tolist() == atoms.numbers.tolist()
        np.testing.assert_allclose(geometry.positions, atoms.positions, atol=1e-7)
        np.testing.assert_allclose(geometry.cell, atoms.cell.array, atol=1e-7)
        assert geometry.pbc.tolist() == atoms.pbc.tolist()
    assert read_structure(tmp_path / "many.extxyz").numbers.tolist() == [8, 1, 1]
    assert read_structure(tmp_path / "many.extxyz", 0).numbers.tolist() == [29]
    with pytest.raises(InputError, match="holds 3 structures, so there is none with index 3"):
        read_structure(tmp_path / "many.extxyz", 3)

    write(tmp_path / "si.json", bulk("Si"))
    assert read_structure(tmp_path / "si.json").numbers.tolist() == [14, 14]
    salt.to(str(tmp_path / "salt.yaml"))
    assert len(read_structure(tmp_path / "salt.yaml")) == 8


def test_plain_xyz_with_a_free_comment(tmp_path: Path) -> None:
    geometry = read_text(tmp_path, "2\nenergy= -1.0 eV, 'odd = quote\nH 0 0 0\nF 0 0 0.9\n", "hf.xyz")
    assert geometry.numbers.tolist() == [1, 9]
    assert not geometry.pbc.any()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.cif", "data_x\n", "cannot be read as CIF"),
        ("a.xyz", "2\n\nH 0 0 0\n", "the file ends where frame 1, atom 2 of 2 was expected"),
        ("a.xyz", "\0\1", "found binary data"),
        ("a.extxyz", "", "the file is empty"),
        ("a.unknown", "hello", "neither ASE nor pymatgen can read it"),
        ("a.res.gz", "x", "decompress it first"),
        ("POSCAR.gz", "not gzip", "damaged or cut short"),
    ],
)
def test_what_is_no_structure(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_text(tmp_path, content, name)
    assert str(error.value).startswith(str(tmp_path / name))


def test_partial_occupation_is_refused(tmp_path: Path) -> None:
    from pymatgen.core import Lattice, Structure

    Structure(Lattice.cubic(3.0), [{"Fe": 0.5, "Co": 0.5}], [[0, 0, 0]]).to(str(tmp_path / "a.cif"))
    with pytest.raises(InputError, match=r"a\.cif: the structure has sites with partial occupation"):
        read_structure(tmp_path / "a.cif")


def test_formats_by_name() -> None:
    densities = {
        "CHGCAR": "chgcar", "a/CHGCAR.Si2": "chgcar", "mp-149_AECCAR2.gz": "chgcar", "1.chgcar.lz4": "chgcar",
        "CHG": "chgcar", "PARCHG.0001.ALLK": "chgcar", "chgcar_sum.xz": "chgcar", "x.vasp": "chgcar",
        "CHGCAR.cube": "cube", "rho.CUB.bz2": "cube", "rho.npz": "npz",
    }  # fmt: skip
    assert {name: density_format(name) for name in densities} == densities
    assert density_format("anything", "cube") == "cube"
    structures = {
        "POSCAR": "poscar", "CONTCAR.gz": "poscar", "a.vasp": "poscar", "LOCPOT": "poscar", "Si.poscar": "poscar",
        "CHGCAR_x": "poscar", "a.cube": "cube", "a.npz": "npz", "a.CIF": "cif", "a.extxyz.xz": "xyz", "a.res": "other",
    }  # fmt: skip
    assert {name: structure_format(name) for name in structures} == structures
    with pytest.raises(InputError, match=r"rho\.dat: the name does not say which format"):
        density_format("rho.dat")
    with pytest.raises(InputError, match="a LOCPOT holds a potential, not a density"):
        density_format("LOCPOT.gz")
    with pytest.raises(InputError, match="one of chgcar, cube, npz, qe, abinit; found 'xsf'"):
        density_format("rho.xsf", "xsf")


def test_files_that_cannot_be_opened_or_made(tmp_path: Path) -> None:
    from charge3net.io import read_density, write_density

    with pytest.raises(InputError, match=r"CHGCAR: cannot be read \(No such file"):
        read_density(tmp_path / "CHGCAR")
    (tmp_path / "CHGCAR").mkdir()
    with pytest.raises(InputError, match=r"CHGCAR: cannot be read|damaged"):
        read_density(tmp_path / "CHGCAR")
    with pytest.raises(InputError, match="CHGCAR: is a folder"):
        write_density(dft_files.density(), tmp_path / "CHGCAR")
    with pytest.raises(InputError, match=r"the folder .*none does not exist; make it first"):
        write_density(dft_files.density(), tmp_path / "none" / "rho.cube")
