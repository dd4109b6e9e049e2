"""What VASP's files say about potentials, grids and occupancies. The real files are in CHARGE3NET_SHARED."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io import read_density, read_grid
from charge3net.io.vasp import (
    VaspPotential,
    read_vasp_grid,
    read_vasp_potentials,
    same_structure,
    spherical_augmentation,
    spherical_places,
    valence_electrons,
)


def potcar(title: str, valence: float, cutoff: float, parts: list[tuple[int, int]]) -> str:
    """The lines of a POTCAR that are read, made up."""
    nonlocal_parts = "".join(f" Non local Part\n           {l}           {n}   1.9\n  1.0 2.0\n" for l, n in parts)
    return (
        f"  {title}\n   {valence}\n parameters from PSCTR are:\n   TITEL  = {title}\n"
        f"   POMASS =   28.085; ZVAL   =    {valence:.3f}    mass and valenz\n"
        f"   ENMAX  =  {cutoff}; ENMIN  =  184.009 eV\n local part\n 1.0\n{nonlocal_parts} End of Dataset\n"
    )


SILICON = potcar("PAW_PBE Si 05Jan2001", 4.0, 245.345, [(0, 2), (1, 2)])
OXYGEN = potcar("PAW_PBE O 08Apr2002", 6.0, 400.0, [(0, 2), (1, 2)])
LITHIUM = potcar("PAW_PBE Li_sv 10Sep2004", 3.0, 499.034, [(0, 2), (1, 1)])
VASPRUN = """<?xml version="1.0"?><modeling><atominfo><array name="atomtypes" ><dimension dim="1">type</dimension>
<field type="int">atomspertype</field><field type="string">element</field><field>mass</field><field>valence</field>
<field type="string">pseudopotential</field><set>
<rc><c>   2</c><c>Si</c><c>     28.08500000</c><c>      4.00000000</c><c>  PAW_PBE Si 05Jan2001        </c></rc>
</set></array></atominfo><calculation>"""
CUBE = Geometry(np.array([14, 8]), np.array([[0.0, 0, 0], [2, 2, 2]]), np.eye(3) * 4, np.ones(3, bool))


def test_potcar(tmp_path: Path) -> None:
    (tmp_path / "POTCAR").write_text(SILICON + LITHIUM)
    found = read_vasp_potentials(tmp_path / "POTCAR")
    assert found["Si"] == VaspPotential("PAW_PBE Si 05Jan2001", "Si", 4.0, 245.345, (0, 0, 1, 1))
    assert found["Li"].channels == (0, 0, 1)


@pytest.mark.parametrize(
    ("name", "text", "valence"),
    [("vasprun.xml", VASPRUN, 4.0), ("POTCAR.spec", "PAW_PBE Si 05Jan2001\n", None), ("POTCAR.spec", "Si_GW\n", None)],
)
def test_other_files(name: str, text: str, valence: float | None, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    found = read_vasp_potentials(tmp_path / name)
    assert (list(found), found["Si"].valence) == (["Si"], valence)


def test_valence(tmp_path: Path) -> None:
    (tmp_path / "POTCAR").write_text(SILICON + OXYGEN)
    potentials = read_vasp_potentials(tmp_path / "POTCAR")
    assert valence_electrons(CUBE, potentials) == 10.0
    assert valence_electrons(CUBE, {**potentials, "O": VaspPotential("O", "O")}) is None
    with pytest.raises(InputError, match="not of O"):
        valence_electrons(CUBE, {"Si": potentials["Si"]})


@pytest.mark.parametrize(
    "text",
    [
        "no potential\n",
        SILICON + SILICON.replace("05Jan", "06Jan"),
        "  TITEL = PAW Si\n",
        "\n",
        '<modeling><array name="atomtypes"></array>',
        '<modeling><array name="atomtypes"><field>a</field><set><rc><c>1</c></rc></set></array>',
        '<modeling><array name="atomtypes"><set><rc><c>1</c></rc></array>',
    ],
)
def test_other_texts_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "POTCAR").write_text(text)
    with pytest.raises(InputError, match="POTCAR"):
        read_vasp_potentials(tmp_path / "POTCAR")


def test_grid_of_an_incar_is_that_of_the_real_file(shared: Path, tmp_path: Path) -> None:
    """Si2: VASP's defaults, ENCUT = ENMAX of the potential and PREC = Normal."""
    real = read_grid(shared / "real" / "CHGCAR.Si2")
    (tmp_path / "POTCAR").write_text(SILICON)
    (tmp_path / "INCAR").write_text("SYSTEM = x\nISMEAR = 0\n")
    grid = read_vasp_grid(tmp_path / "INCAR", real.cell, read_vasp_potentials(tmp_path / "POTCAR"))
    assert grid.shape == real.shape == (32, 32, 32)


def test_an_encut_gives_the_grid_of_the_real_file(shared: Path, tmp_path: Path) -> None:
    """LiCoO2: its ENCUT is not known; 530 eV with PREC = Normal gives all three numbers, 520 eV does not."""
    real = read_grid(shared / "real" / "CHGCAR.LiCoO2_spin.gz")
    (tmp_path / "INCAR").write_text("ENCUT = 530\nPREC = N\n")
    assert read_vasp_grid(tmp_path / "INCAR", real.cell).shape == real.shape
    (tmp_path / "INCAR").write_text("ENCUT = 520\nPREC = N\n")
    assert read_vasp_grid(tmp_path / "INCAR", real.cell).shape != real.shape


def test_grids_of_incar_and_outcar(tmp_path: Path) -> None:
    cell = np.eye(3) * 4.0
    (tmp_path / "INCAR").write_text("NGXF = 40 ; NGYF = 42\nNGZF = 48\n")
    assert read_vasp_grid(tmp_path / "INCAR", cell).shape == (40, 42, 48)
    (tmp_path / "OUTCAR").write_text(
        "   dimension x,y,z NGX =    20 NGY =   20 NGZ =   20\n   dimension x,y,z NGXF=    40 NGYF=   40 NGZF=   48\n"
    )
    assert read_vasp_grid(tmp_path / "OUTCAR", cell).shape == (40, 40, 48)
    for text, message in (("PREC = Accurate\n", "ENCUT"), ("ENCUT = 400\nPREC = High\n", "PREC = High")):
        (tmp_path / "INCAR").write_text(text)
        with pytest.raises(InputError, match=message):
            read_vasp_grid(tmp_path / "INCAR", cell)
    (tmp_path / "OUTCAR").write_text("vasp\n")
    with pytest.raises(InputError, match="NGXF"):
        read_vasp_grid(tmp_path / "OUTCAR", cell)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("ENCUT = 5.2d2", "ENCUT = 520"),
        ("encut=520 eV ! of the POTCAR", "ENCUT = 520"),
        ("ENCUT = 520; PREC = .ACCURATE.", "ENCUT = 520\nPREC = Accurate"),
        ("#ENCUT = 300\nENCUT = 520\nENCUT = 520", "ENCUT = 520"),
        ("NGXF = 40 ! a\nNGYF=42.0\nNGZF=48; ENCUT = 520", "NGXF = 40\nNGYF = 42\nNGZF = 48"),
    ],
)
def test_ways_to_write_an_incar(text: str, same: str, tmp_path: Path) -> None:
    shapes = []
    for one in (text, same):
        (tmp_path / "INCAR").write_text(one)
        shapes.append(read_vasp_grid(tmp_path / "INCAR", np.eye(3) * 5.43).shape)
    assert shapes[0] == shapes[1]
    assert min(shapes[0]) >= 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ENCUT = high", "ENCUT = high is no number"),
        ("ENCUT = 300\nENCUT = 400", "ENCUT twice"),
        ("ENCUT = 300\nNGXF = 40", "not NGXF, NGYF and NGZF"),
        ("ENCUT = 300\nNGX = 20\nNGY = 20\nNGZ = 20", "not NGXF, NGYF and NGZF"),
        ("NGXF = 40.5\nNGYF = 40\nNGZF = 40", "not NGXF, NGYF and NGZF"),
        ("ENCUT =", "has no ENCUT"),
    ],
)
def test_an_incar_that_names_no_grid_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "INCAR").write_text(text)
    with pytest.raises(InputError, match=message):
        read_vasp_grid(tmp_path / "INCAR", np.eye(3) * 5.43)


def test_same_structure() -> None:
    moved = Geometry(CUBE.numbers, CUBE.positions + np.array([0.1, 0, 4.0]), CUBE.cell * 1.01, CUBE.pbc)
    assert same_structure(CUBE, moved)
    far = Geometry(CUBE.numbers, CUBE.positions + np.array([[0, 0, 0], [0.3, 0, 0]]), CUBE.cell, CUBE.pbc)
    assert not same_structure(CUBE, far)
    assert not same_structure(CUBE, Geometry(CUBE.numbers[::-1], CUBE.positions, CUBE.cell, CUBE.pbc))
    assert not same_structure(CUBE, CUBE.with_cell(CUBE.cell * 1.05))


def test_places_of_spherical_numbers() -> None:
    assert spherical_places((0, 0, 1, 1)) == ([0, 1, 8, 15, 21, 27], 33)
    assert spherical_places((0, 0, 1))[1] == 15
    assert spherical_places((2, 2, 1, 1, 0, 0))[1] == 138


def test_order_of_occupancies_in_real_files(shared: Path) -> None:
    """Silicon near its ideal place and oxygen: the largest numbers of each block stand where L = 0 is expected."""
    for file, z, largest in (("CHGCAR.Si2", 14, 5), ("CHGCAR.LiCoO2_spin.gz", 8, 3)):
        density = read_density(shared / "real" / file)
        block = density.augmentation[0].split("augmentation occupancies")[
            int(np.flatnonzero(density.geometry.numbers == z)[0]) + 1
        ]
        values = np.abs([float(word) for word in block.split()[2:35]])
        places = spherical_places((0, 0, 1, 1))[0]
        assert set(np.argsort(-values)[:largest]) <= set(places)


def test_spherical_averages(shared: Path) -> None:
    donor = read_density(shared / "real" / "CHGCAR.Si2")
    potentials = {"Si": VaspPotential("PAW_PBE Si", "Si", 4.0, 245.0, (0, 0, 1, 1))}
    three = Geometry(np.array([14] * 3), np.zeros((3, 3)) + np.arange(3)[:, None], np.eye(3) * 5, np.ones(3, bool))
    (text,) = spherical_augmentation(donor, three, potentials, 1)
    blocks = text.split("augmentation occupancies")[1:]
    assert [block.split()[:2] for block in blocks] == [["1", "33"], ["2", "33"], ["3", "33"]]
    values = np.array([float(word) for word in blocks[1].split()[2:]])
    np.testing.assert_allclose(
        values[[0, 1, 8, 15, 21, 27]], [1.647330, -1.254009, 0.2695703, 2.776717, -1.352976, 0.1709787]
    )
    assert np.count_nonzero(values) == 6
    with pytest.raises(InputError, match="fits the potentials"):
        spherical_augmentation(donor, three, {"Si": VaspPotential("x", "Si", 4.0, 245.0, (0, 0, 1))}, 1)
    with pytest.raises(InputError, match="magnetisation"):
        spherical_augmentation(donor, three, potentials, 2)
    with pytest.raises(InputError, match="augmentation of O"):
        spherical_augmentation(donor, CUBE, potentials, 1)


def test_imaginary_parts_belong_to_their_atom() -> None:
    """Files of spin-orbit runs have a second block for each atom."""
    potentials = {"Si": VaspPotential("x", "Si", 4.0, 245.0, (0,)), "O": VaspPotential("x", "O", 6.0, 400.0, (0,))}
    blocks = [("", 1, 3.0), (" (imaginary part)", 1, 7.0), ("", 2, 5.0), (" (imaginary part)", 2, 9.0)]
    text = "".join(f"augmentation occupancies{part} {atom:3d} {1:3d}\n {value}\n" for part, atom, value in blocks)
    both = Geometry(np.array([14, 8]), np.array([[0.0] * 3, [2.0] * 3]), np.eye(3) * 5, np.ones(3, bool))
    donor = Density(both, Grid(both.cell, (2, 2, 2)), np.ones((2, 2, 2)), (text,))
    (written,) = spherical_augmentation(donor, both, potentials, 1)
    assert [float(line) for line in written.splitlines()[1::2]] == [3.0, 5.0]


def test_written_augmentation_is_read_back(shared: Path, tmp_path: Path) -> None:
    donor = read_density(shared / "real" / "CHGCAR.Si2")
    potentials = {"Si": VaspPotential("PAW_PBE Si", "Si", 4.0, 245.0, (0, 0, 1, 1))}
    text = spherical_augmentation(donor, donor.geometry, potentials, 1)
    Density(donor.geometry, donor.grid, donor.total, text).write(tmp_path / "CHGCAR")
    assert read_density(tmp_path / "CHGCAR").augmentation == text
