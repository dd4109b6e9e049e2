"""Files that people really have, and the right answer for each: read, read with a warning, or refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from charge3net.errors import InputError
from charge3net.io import read_density, read_structure, read_structures
from charge3net.io.cif import read_cif
from charge3net.io.files import Source
from charge3net.io.plausible import what_looks_wrong
from tests.helpers import dft_files

CASES = Path(__file__).parent / "cases"

# name, atomic numbers, volume (Å³; 0 for a molecule), pattern of the warning ("" for none)
STRUCTURES = [
    ("journal.cif", [11] * 4 + [17] * 4, 5.64**3, ""),
    ("textfield.cif", [6, 8], 216.0, ""),
    ("occ_dot.cif", [6, 8], 216.0, ""),
    ("attached.cif", [6, 8], 216.0, r"4 hydrogen atoms are attached .*\n.*declares 'C1 H4 O1' \(Z = 1\), but C1 O1"),
    ("hall_only.cif", [6, 6, 8, 8], 216.0, ""),
    ("symmetry_lost.cif", [11, 17], 5.64**3, r"names no symmetry.*\n.*declares 'Na4 Cl4' \(Z = 4\), but Na1 Cl1"),
    ("too_many.cif", [6, 8], 216.0, "lists 2 symmetry operations, its space group has 1"),
    ("d.cif", [3] * 4 + [1] * 4, 5.64**3, ""),
    ("good.xyz", [11, 17], 5.64**3, ""),
    ("stars.xyz", [11, 17], 5.64**3, ""),
    ("lower.xyz", [11, 17], 5.64**3, ""),
    ("wrap20.vasp", [11, 17] * 12, 4.0 * 4.2 * 4.4, ""),
    ("POSCAR_CNC", [6, 7, 6], 216.0, ""),
    ("count_too_small.vasp", [8], 17.606, "there are lines after the last atom, the first is '0.023085103054"),
    ("two_structures.vasp", [8, 12], 17.606, "there are lines after the last atom, the first is 'MgO'"),
    ("dsgdb9nsd_1.xyz", [6, 1, 1, 1, 1], 0.0, ""),
    ("trailtext.xyz", [8, 1, 1], 0.0, "text after frame 1 was ignored: 'notes: optimised at B3LYP'"),
    ("mode_misspelt", [8, 12], 17.606, "'Cirect' is neither Direct nor Cartesian"),
]


@pytest.mark.parametrize(("name", "numbers", "volume", "warning"), STRUCTURES)
def test_structures(
    name: str, numbers: list[int], volume: float, warning: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = CASES / name
    if name == "mode_misspelt":
        path = tmp_path / "CHGCAR_mode_misspelt"
        path.write_bytes((CASES / name).read_bytes())
    (geometry,) = read_structures(path)
    assert geometry.numbers.tolist() == numbers
    assert geometry.volume == pytest.approx(volume, abs=1e-3)
    assert bool(geometry.pbc.all()) == (volume > 0)
    if warning:
        assert re.search(warning, caplog.text)
        assert str(path) in caplog.text
    else:
        assert not caplog.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("OH_lost.cif", "site O1: 'OH' is not a chemical element"),
        ("dots_H.cif", r"site H1 has no coordinates \(\. \. \.\)"),
        ("q.cif", "site Q1: a dummy or ghost atom"),
        ("badframe.xyz", "frame 2, atom 2 of 2: expected 7 columns, found 6"),
        ("lattice_quote_lost.extxyz", "the Lattice of frame 1 must be nine numbers"),
        ("count2.xyz", r"frame 1 has a line left over: 'H -0.24 0.93 0'"),
        ("Z0.cube", "atom 1 has the atomic number 0: a dummy or ghost atom"),
    ],
)
def test_structures_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_structure(CASES / name)
    assert str(error.value).startswith(str(CASES / name))


@pytest.mark.parametrize(
    ("name", "electrons", "wrong"),
    [
        ("CHGCAR_sum", 8.0, ""),
        ("plain.cube", 8.0, ""),
        ("angstrom_comment.cube", 8.0, ""),
        ("full_vectors.cube", 2688.0, "∫ρ is 2688 e where the atoms have 8"),
        ("rhoV.cube", 3991.0, "divided by the volume it fits: values that are ρ·V"),
    ],
)
def test_densities(name: str, electrons: float, wrong: str) -> None:
    density = read_density(CASES / name)
    assert density.electrons() == pytest.approx(electrons, rel=1e-3)
    assert wrong in what_looks_wrong(density)
    assert bool(what_looks_wrong(density)) == bool(wrong)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lattice_four_numbers", r"expected lattice vector 1 \(3 numbers\), found '0.0 0.0240"),
        ("no_point", "expected numbers with a decimal point in the grid 8 x 8 x 8, found '0715445277607E"),
    ],
)
def test_densities_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_density(CASES / name, "chgcar")


def test_an_orbital_or_a_difference_is_recognised_by_its_sign(tmp_path: Path) -> None:
    density = dft_files.density(shape=(6, 6, 6))
    values = density.values - density.values.mean()
    density = type(density)(density.geometry, density.grid, values)
    assert "% of Σ|ρ| is negative" in what_looks_wrong(density)


@pytest.mark.parametrize(
    "change",
    [
        ("_cell_length_a 5.64", "_cell_length_a 5.64(2)"),  # an uncertainty
        ("0.5 0.5 0.5 1.0", "0.5 0.5 0.5 0.9995"),  # refined occupancy
        ("'F m -3 m'", "'Fm-3m'"),
        ("Cl1 Cl- 0.5 0.5 0.5", "Cl1 Cl- 0.50003 0.5 0.49997"),  # rounded special position
        ("data_I", "data_I\n_publ_note\n;\nloop_\n;"),
        ("_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225", "_space_group_IT_number 225"),
        ("_symmetry_space_group_name_H-M 'F m -3 m'", "_space_group_name_Hall '-F 4 2 3'"),
    ],
)
def test_neighbours_of_a_cif(tmp_path: Path, change: tuple[str, str]) -> None:
    text = (CASES / "journal.cif").read_text()
    assert change[0] in text
    (tmp_path / "a.cif").write_text(text.replace(*change))
    geometry = read_structure(tmp_path / "a.cif")
    assert geometry.numbers.tolist() == [11] * 4 + [17] * 4
    salt = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    fractional = np.round((geometry.positions @ np.linalg.inv(geometry.cell)) * 1e3) / 1e3 % 1.0
    assert sorted(map(tuple, fractional[:4].tolist())) == sorted(map(tuple, salt.tolist()))
    assert sorted(map(tuple, fractional[4:].tolist())) == sorted(
        map(tuple, ((salt + np.array([0.5, 0, 0])) % 1).tolist())
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.0\nCl1", "0.5\nCl1", "partial occupation"),
        ("_cell_length_b 5.64\n", "", "lacks _cell_length_b"),
        ("_cell_angle_beta 90", "_cell_angle_beta 200", "no cell has"),
        ("Na1 Na+ 0 0 0", "Na1 Na+ 0 0 ?", "has no coordinates"),
        ("Na1 Na+ 0 0 0 1.0", "Na1 Na+ 0 0 0", "Wrong number of values"),
        ("_atom_site_fract_x\n", "_atom_site_fract_y\n", "cannot be read as CIF"),
    ],
)
def test_broken_cifs(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (CASES / "journal.cif").read_text()
    assert old in text
    (tmp_path / "a.cif").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_structure(tmp_path / "a.cif")


@pytest.mark.parametrize("number", [2, 5, 14, 62, 63, 88, 141, 146, 155, 166, 167, 176, 194, 205, 216, 227, 229, 230])
def test_symmetry_is_pymatgens(number: int) -> None:
    """One general and one special position of a space group, against pymatgen's own tables."""
    import io

    from pymatgen.core import Lattice, Structure
    from pymatgen.io.cif import CifWriter
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
    from pymatgen.symmetry.groups import SpaceGroup

    a, b, c, alpha, beta, gamma = {
        "triclinic": (5, 6, 7, 80, 85, 95), "monoclinic": (5, 6, 7, 90, 100, 90), "orthorhombic": (5, 6, 7, 90, 90, 90),
        "tetragonal": (5, 5, 7, 90, 90, 90), "trigonal": (5, 5, 7, 90, 90, 120), "hexagonal": (5, 5, 7, 90, 90, 120),
        "cubic": (7, 7, 7, 90, 90, 90),
    }[SpaceGroup.from_int_number(number).crystal_system]  # fmt: skip
    lattice = Lattice.from_parameters(a, b, c, alpha, beta, gamma)
    expected = Structure.from_spacegroup(number, lattice, ["Si", "O"], [[0.13, 0.21, 0.34], [0, 0, 0]])
    assert SpacegroupAnalyzer(expected).get_space_group_number() == number
    text = str(CifWriter(expected, symprec=1e-4))
    (geometry,) = read_cif(Source(io.BytesIO(text.encode()), "x.cif"))
    found = geometry.to_structure()
    assert found.composition == expected.composition
    assert found.volume == pytest.approx(expected.volume, rel=1e-6)
    np.testing.assert_allclose(_shells(found), _shells(expected), atol=2e-3)


def _shells(structure: object) -> np.ndarray:
    """Sorted distances between atoms, which know no origin."""
    return np.sort(structure.distance_matrix.ravel())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2\n\nH 0 0 0\nX 0 0 1\n", "frame 1, atom 2 of 2: the site 'X' is a dummy or ghost atom"),
        ("2\n\nH 0 0 0\n0 0 0 1\n", "0 is not an atomic number; a dummy or ghost atom"),
        ("1\nLATTICE=\"1 2\"\nH 0 0 0\n", "the Lattice of frame 1 must be nine numbers"),
        ("1\nLattice= 5 0 0 0 5 0 0 0 5\nH 0 0 0\n", "the Lattice of frame 1 must be nine numbers"),
        ("1\npbc=\"T T T\"\nH 0 0 0\n", r"frame 1 is periodic \(pbc\) but has no Lattice"),
        ("1\nProperties=species:S:1:velo:R:3\nH 0 0 0\n", "must name the species and three columns of pos"),
        ("1\n\nH 0 0 1_0\n", "frame 1, atom 1 of 1"),
        ("99999999\n\nH 0 0 0\n", "announces 99999999 atoms, more than the file can hold"),
        ("-1\n\nH 0 0 0\n", "expected the number of atoms of frame 1, found '-1'"),
        ("1\n\nH 0 0 0\n1\n\nH 0 0\n", "frame 2, atom 1 of 1: expected 4 columns, found 3"),
    ],
)  # fmt: skip
def test_broken_xyz(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.xyz").write_text(text)
    with pytest.raises(InputError, match=message):
        read_structures(tmp_path / "a.xyz")


def test_deuterium_and_tritium_are_hydrogen_everywhere(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("3\n\nD 0 0 0\nT 0 0 1\nO 0 1 0\n")
    assert read_structure(tmp_path / "a.xyz").numbers.tolist() == [1, 1, 8]
    (tmp_path / "POSCAR").write_text(dft_files.head("D T\n"))
    assert read_structure(tmp_path / "POSCAR").numbers.tolist() == [1, 1, 1]


def test_dummies_of_pymatgen_and_ase_are_named() -> None:
    from ase import Atoms
    from pymatgen.core import DummySpecies, Lattice, Structure

    from charge3net import Geometry

    structure = Structure(Lattice.cubic(4), ["Na", DummySpecies("Q")], [[0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(InputError, match=r"site 1 \(Q0\+\) is a dummy or ghost atom"):
        Geometry.of(structure)
    with pytest.raises(InputError, match=r"site 1 \(X\) is a dummy or ghost atom"):
        Geometry.of(Atoms("HX", positions=[[0, 0, 0], [0, 0, 1]]))
    nearly = Structure(Lattice.cubic(4), [{"Na": 0.9995}], [[0, 0, 0]])
    assert Geometry.of(nearly).numbers.tolist() == [11]
    assert Geometry.of(Atoms("CH4", positions=np.eye(5, 3))).formula == "CH4"
    assert Geometry.of(Atoms("C6H6", positions=np.arange(36.0).reshape(12, 3))).formula == "C6H6"
    assert (
        Geometry.of(Atoms("C6H6", positions=np.arange(36.0).reshape(12, 3), cell=np.eye(3), pbc=True)).formula == "HC"
    )


def test_velocities_and_other_blocks_of_vasp_are_no_leftovers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for tail in ("\n  0.0 0.0 0.0\n" * 1, "\nCartesian\n 0 0 0\n", "\nLattice velocities and vectors\n 1\n", "\n\n\n"):
        (tmp_path / "CONTCAR").write_text(dft_files.head() + tail)
        read_structure(tmp_path / "CONTCAR")
    assert not caplog.text


def test_names_from_a_file_do_not_break_the_line_of_a_message(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"numbers": np.ones(1, dtype=int), "dens\nity\x1b": np.ones(1)})
    with pytest.raises(InputError, match="lacks the array 'positions'") as error:
        read_density(tmp_path / "a.npz")
    assert str(error.value).isprintable()
