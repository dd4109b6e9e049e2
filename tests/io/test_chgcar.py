"""CHGCAR and kin against pymatgen, ASE, real files, and files made by hand."""

from __future__ import annotations

import gzip
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io import read_density, read_grid, read_magnetisation_vector, write_density
from tests.helpers import dft_files


def body_lines(data: bytes, shape: bytes) -> list[bytes]:
    """Everything from the first line of the grid's shape on; blanks around the numbers of voxels do not count."""
    lines = data.split(b"\n")
    start = next(i for i, line in enumerate(lines) if line.split() == shape.split())
    return [line if b"." in line or b"a" in line else b" ".join(line.split()) for line in lines[start:]]


@pytest.mark.parametrize(
    ("name", "electrons", "shape"), [("CHGCAR.Si2", 8.0, "32 32 32"), ("CHGCAR.LiCoO2_spin.gz", 48.0, "56 32 60")]
)
def test_real_files_hold_their_electrons_and_come_back_byte_for_byte(
    shared: Path, tmp_path: Path, name: str, electrons: float, shape: str
) -> None:
    density = read_density(shared / "real" / name)
    assert density.electrons() == pytest.approx(electrons, abs=5e-4)
    write_density(density, tmp_path / "CHGCAR")
    opened = gzip.open if name.endswith(".gz") else open
    with opened(shared / "real" / name, "rb") as stream:
        original = stream.read()
    assert body_lines((tmp_path / "CHGCAR").read_bytes(), shape.encode()) == body_lines(original, shape.encode())
    again = read_density(tmp_path / "CHGCAR")
    np.testing.assert_allclose(again.geometry.positions, density.geometry.positions, atol=1e-12)
    assert np.array_equal(again.geometry.cell, density.geometry.cell)
    assert again.augmentation == density.augmentation


@pytest.mark.parametrize("name", ["CHGCAR.Si2", "CHGCAR.LiCoO2_spin.gz"])
def test_real_files_read_as_pymatgen_and_ase_read_them(shared: Path, tmp_path: Path, name: str) -> None:
    from ase.calculators.vasp import VaspChargeDensity
    from pymatgen.io.vasp.outputs import Chgcar

    path = shared / "real" / name
    density = read_density(path)
    theirs = Chgcar.from_file(str(path))
    volume = theirs.structure.volume
    np.testing.assert_allclose(density.total * volume, theirs.data["total"], rtol=1e-14)
    np.testing.assert_allclose(density.geometry.positions, theirs.structure.cart_coords, atol=1e-12)
    assert density.geometry.numbers.tolist() == list(theirs.structure.atomic_numbers)
    assert (density.spin is not None) == theirs.is_spin_polarized
    plain = tmp_path / "CHGCAR"
    plain.write_bytes(gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes())
    ase = VaspChargeDensity(str(plain))
    np.testing.assert_allclose(density.total, ase.chg[0], rtol=1e-14)
    if density.spin is not None:
        np.testing.assert_allclose(density.spin * volume, theirs.data["diff"], rtol=1e-14)
        np.testing.assert_allclose(density.spin, ase.chgdiff[0], rtol=1e-14)
        assert 0 < np.abs(density.spin).max() < 1e-9  # LiCoO2 is not magnetic: the block holds what is left of zero
        assert density.augmentation[1].split() == ase.augdiff.split()
    assert density.augmentation[0].split() == ase.aug.split()


def test_what_we_write_is_what_pymatgen_reads(tmp_path: Path) -> None:
    from pymatgen.io.vasp.outputs import Chgcar

    density = dft_files.density(channels=2)
    write_density(density, tmp_path / "CHGCAR")
    theirs = Chgcar.from_file(str(tmp_path / "CHGCAR"))
    np.testing.assert_allclose(theirs.data["total"], density.total * dft_files.VOLUME, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(theirs.data["diff"], density.spin * dft_files.VOLUME, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(theirs.structure.lattice.matrix, dft_files.CELL, atol=1e-13)
    np.testing.assert_allclose(theirs.structure.cart_coords, density.geometry.positions, atol=1e-13)


def test_values_are_divided_by_the_volume_and_first_axis_is_fastest(tmp_path: Path) -> None:
    path = tmp_path / "CHGCAR"
    numbers = " ".join(map(str, range(1, 61)))
    path.write_text(dft_files.head() + "\n 3 4 5\n" + numbers + "\n")
    density = read_density(path)
    assert density.grid.volume == pytest.approx(dft_files.VOLUME, rel=1e-14)
    assert density.total[0, 0, 0] * dft_files.VOLUME == pytest.approx(1)
    assert density.total[1, 0, 0] * dft_files.VOLUME == pytest.approx(2)
    assert density.total[0, 1, 0] * dft_files.VOLUME == pytest.approx(4)
    assert density.total[0, 0, 1] * dft_files.VOLUME == pytest.approx(13)
    assert density.electrons() == pytest.approx(60 * 61 / 2 / 60)
    assert density.total.flags.c_contiguous


@pytest.mark.parametrize("moments", [False, True])
def test_spin_augmentation_and_moments_are_kept(tmp_path: Path, moments: bool) -> None:
    path = dft_files.write_chgcar(tmp_path / "CHGCAR", spin=True, moments=moments)
    density = read_density(path)
    assert density.augmentation == (
        dft_files.augmentation(0.0) + (dft_files.MOMENTS if moments else ""),
        dft_files.augmentation(10.0),
    )
    np.testing.assert_allclose(density.spin * dft_files.VOLUME, dft_files.values(1), rtol=1e-10)
    write_density(density, tmp_path / "CHGCAR.again")
    lines = [body_lines(p.read_bytes(), b"3 4 5") for p in (path, tmp_path / "CHGCAR.again")]
    assert lines[0] == lines[1]


def test_other_columns_give_the_same_numbers(tmp_path: Path) -> None:
    """CHG's ten columns, ASE's leading digit, Windows line ends, D exponents, three-digit exponents, one per line."""
    numbers = np.round(dft_files.values(), 14).ravel(order="F")
    layouts = {
        "CHG": "".join("".join(f"{x:12.4G}" for x in numbers[i : i + 10]) + "\n" for i in range(0, len(numbers), 10)),
        "ase": "".join("".join(f" {x:17.10E}" for x in numbers[i : i + 5]) + "\n" for i in range(0, 60, 5)),
        "dos": dft_files.body(dft_files.values()).replace("\n", "\r\n"),
        "D": dft_files.body(dft_files.values()).replace("E", "D"),
        "column": "\n".join(map(repr, numbers.tolist())),
        "long": dft_files.body(dft_files.values()).replace("E-12", "-112").replace("E-11", "-111"),
        "spaced": dft_files.body(dft_files.values()).replace("\n", " \n", 3),
    }
    for name, text in layouts.items():
        path = tmp_path / f"CHGCAR_{name}"
        path.write_bytes((dft_files.head() + "\n 3 4 5\n" + text).encode())
        expected = np.array([float(x) for x in dft_files.body(dft_files.values()).split()])
        if name == "long":
            expected = np.where(np.abs(expected) < 1e-11, expected * 1e-100, expected)
        found = read_density(path).total.ravel(order="F") * dft_files.VOLUME
        rtol = 1e-3 if name == "CHG" else 1e-9
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=0 if name in ("D", "dos", "spaced") else 1e-13)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".lz4"])
def test_compressed_round_trip(tmp_path: Path, suffix: str) -> None:
    density = read_density(dft_files.write_chgcar(tmp_path / "CHGCAR", spin=True))
    write_density(density, tmp_path / f"CHGCAR{suffix}")
    assert (tmp_path / f"CHGCAR{suffix}").read_bytes() != (tmp_path / "CHGCAR").read_bytes()
    again = read_density(tmp_path / f"CHGCAR{suffix}")
    np.testing.assert_allclose(again.values, density.values, rtol=1e-15)
    assert again.augmentation == density.augmentation


def test_memory_beyond_the_grid_is_small(tmp_path: Path) -> None:
    """Reading and writing hold the values once, and a few MB whatever the size."""
    density = dft_files.density(channels=2, shape=(100, 90, 80))
    tracemalloc.start()
    try:
        write_density(density, tmp_path / "CHGCAR")
        assert tracemalloc.get_traced_memory()[1] < 20e6
        tracemalloc.reset_peak()
        values = read_density(tmp_path / "CHGCAR").values
        assert tracemalloc.get_traced_memory()[1] < 1.5 * values.nbytes + 10e6  # the first channel is copied once
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(values, density.values, rtol=1e-9, atol=1e-12)
    (tmp_path / "CHGCAR.huge").write_text(dft_files.head() + "\n 3000000 3000000 3000000\n 1.0\n")
    with pytest.raises(InputError, match="grid 3000000 x 3000000 x 3000000 needs 27000000000000000000 numbers"):
        read_density(tmp_path / "CHGCAR.huge")


def broken(name: str) -> str:
    """Text of a file that is wrong in one way."""
    head, shape, body = dft_files.head(), "\n 3 4 5\n", dft_files.body(dft_files.values())
    aug = dft_files.augmentation(0.0)
    return {
        "binary": "\x1f\x8b\0\0 binary",
        "no_grid": head,
        "head_only": "title\n1.0\n",
        "short": head + shape + body[:500],
        "cut_number": head + shape + body[:-2],
        "long": head + shape + body + " 1.0 2.0 3.0 4.0\n",
        "long_line": head + shape + body.rstrip("\n") + " 0.1\n",
        "stars": head + shape + body.replace(body[18:36], " " + "*" * 17),
        "nan": head + shape + body.replace(body[18:36], "               NaN"),
        "word": head + shape + body.replace(body[18:36], "             hello"),
        "aug_short": head + shape + body + aug[:-20],
        "aug_missing": head + shape + body + aug[: aug.index("augmentation occupancies   3")],
        "aug_header": head + shape + body + " augmentation occupancies\n 1 1 1 1\n",
        "aug_gap": head + shape + body + aug.replace("E+00\n", "E+00\nwhat\n", 1).replace("   5\n", "   6\n"),
        "second": head + shape + body + aug + " 3 4 6\n" + body,
        "second_short": head + shape + body + aug + " 3 4 5\n" + body[:364],
        "moments": head + shape + body + aug + dft_files.MOMENTS,
        "three": head + (shape + body) * 3,
        "five": head + (shape + body) * 5,
        "aug_swapped": head + shape + body + aug.replace("occupancies   2", "occupancies   3", 1),
        "aug_twice": head + shape + body + aug.replace("occupancies   2", "occupancies   1", 1),
        "aug_number": head + shape + body + aug.replace("E+00", "E+00.1", 1),
        "moments_doubled": head + shape + body + aug + dft_files.MOMENTS * 2 + shape + body,
        "line_doubled": head + shape + body + body[:91].replace("\n", "")[:54] + "\n" + shape + body,
        "frames": head + shape + body + head + shape + body,
    }[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("binary", r"expected a title, found binary"),
        ("no_grid", r"the file ends where the grid"),
        ("head_only", r"the file ends where lattice vector 1 was expected"),
        ("short", r"the grid 3 x 4 x 5 needs 60 numbers, the file ends within a number"),
        ("cut_number", r"needs 60 numbers, the file ends within a number"),
        ("long", r"more numbers than the grid has voxels: 4 follow the last one"),
        ("long_line", r"needs 60 numbers, the line with the last one has more"),
        ("stars", r"needs 60 numbers, found '\*+' \(a number too wide for its column\) after 1"),
        ("nan", r"number 2 of the grid 3 x 4 x 5 is nan; expected finite numbers"),
        ("word", r"needs 60 numbers, found 'hello' after 1"),
        ("aug_short", r"the augmentation of atom 3 of 3 lacks \d numbers? where the file ends"),
        ("aug_missing", r"augmentation of 3 atoms was expected, found that of atoms up to 2"),
        ("aug_header", r"expected 'augmentation occupancies ATOM COUNT' for atom 1, found 'augmentation"),
        ("aug_gap", r"the augmentation of atom 2 lacks 1 numbers, found 'what'|found 'what'"),
        ("second", r"expected another grid of 3 x 4 x 5 voxels, found 3 x 4 x 6"),
        ("second_short", r"the magnetisation on the grid 3 x 4 x 5 needs 60 numbers, the file ends after 20"),
        ("moments", r"expected the magnetisation grid after the atoms' moments, but the file ends"),
        ("three", r"holds three grids; one, two \(spin\) or four"),
        ("five", r"more than four grids"),
        ("aug_swapped", r"the augmentation of atom 2 is missing: expected atom 2, found 3"),
        ("aug_twice", r"the augmentation of atom 1 is out of order or occurs twice: expected atom 2, found 1"),
        ("aug_number", r"found|expected"),
        ("moments_doubled", r"expected 3 moments of atoms before the next grid, found 6"),
        ("line_doubled", r"more numbers than the grid has voxels"),
        ("frames", r"expected augmentation, a second grid or the end of the file after the grid, found 'a title'"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / "CHGCAR"
    path.write_text(broken(name))
    with pytest.raises(InputError, match=message) as error:
        read_density(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_the_truncated_real_file(shared: Path) -> None:
    with pytest.raises(InputError, match=r"CHGCAR\.truncated: expected 'augmentation occupancies ATOM COUNT'"):
        read_density(shared / "real" / "CHGCAR.truncated")


def test_a_real_file_cut_anywhere_is_refused(shared: Path, tmp_path: Path) -> None:
    data = (shared / "real" / "CHGCAR.Si2").read_bytes()
    start_of_augmentation = data.index(b"augmentation")
    cuts = [10, 150, 230, 300, 5_000, 300_000, start_of_augmentation - 1000, start_of_augmentation + 40, len(data) - 40]
    for cut in cuts:
        (tmp_path / "CHGCAR").write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"CHGCAR: "):
            read_density(tmp_path / "CHGCAR")
        (tmp_path / "CHGCAR.gz").write_bytes(gzip.compress(data)[: cut // 10 + 5])
        with pytest.raises(InputError, match=r"damaged or cut short"):
            read_density(tmp_path / "CHGCAR.gz")


def test_grid_like_reads_the_head_only(tmp_path: Path) -> None:
    path = tmp_path / "AECCAR0"
    path.write_text(dft_files.head() + "\n 30 40 50\n not a number")
    grid = Grid.like(path)
    assert grid.shape == (30, 40, 50)
    np.testing.assert_allclose(grid.cell, dft_files.CELL)
    with pytest.raises(InputError, match="No such file"):
        read_grid(tmp_path / "CHGCAR.none")


def test_runs_of_elements_keep_their_order(tmp_path: Path) -> None:
    """VASP pairs the atoms of POSCAR, POTCAR and CHGCAR by order."""
    from ase.calculators.vasp import VaspChargeDensity
    from pymatgen.io.vasp.inputs import Poscar

    density = dft_files.density()
    geometry = replace(density.geometry, numbers=np.array([8, 3, 8]))
    write_density(replace(density, geometry=geometry), tmp_path / "CHGCAR")
    again = read_density(tmp_path / "CHGCAR")
    assert again.geometry.numbers.tolist() == [8, 3, 8]
    np.testing.assert_allclose(again.geometry.positions, geometry.positions, atol=1e-12)
    poscar = Poscar.from_str((tmp_path / "CHGCAR").read_text().split("\n\n")[0])
    assert (poscar.site_symbols, poscar.natoms) == (["O", "Li", "O"], [1, 1, 1])
    assert VaspChargeDensity(tmp_path / "CHGCAR").atoms[0].numbers.tolist() == [8, 3, 8]


def test_of_a_noncollinear_file_the_total_and_the_vector_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, values = tmp_path / "CHGCAR", [dft_files.values() * factor for factor in (1.0, 0.1, -0.2, 0.3)]
    aug = dft_files.augmentation(0.0)
    path.write_text(dft_files.head() + "".join("\n 3 4 5\n" + dft_files.body(one) + aug for one in values))
    density = read_density(path)
    assert "non-collinear" in caplog.text
    assert density.values.shape == (1, 3, 4, 5)
    path.with_name("CHGCAR.total").write_text(dft_files.head() + "\n 3 4 5\n" + dft_files.body(values[0]) + aug)
    np.testing.assert_array_equal(density.values, read_density(path.with_name("CHGCAR.total")).values)
    vector = read_magnetisation_vector(path)
    np.testing.assert_allclose(vector, density.total * np.array([0.1, -0.2, 0.3])[:, None, None, None], atol=1e-10)
    assert read_grid(path).shape == (3, 4, 5)
    with pytest.raises(InputError, match="holds 1 grids; a magnetisation vector needs the four"):
        read_magnetisation_vector(path.with_name("CHGCAR.total"))


def test_interleaved_species_with_augmentation_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "CHGCAR"
    text = dft_files.head("  O Li O\n", " 1 1 1") + "\n 3 4 5\n" + dft_files.body(dft_files.values())
    path.write_text(text + dft_files.augmentation(0.0))
    density = read_density(path)
    write_density(density, tmp_path / "CHGCAR.again")
    again = read_density(tmp_path / "CHGCAR.again")
    assert again.geometry.numbers.tolist() == [8, 3, 8]
    assert again.augmentation == density.augmentation


def test_a_box_with_an_origin_is_moved_to_the_corner(tmp_path: Path) -> None:
    """A molecule without a cell on a box around it: the box becomes the cell, distances to the voxels stay."""
    density = dft_files.density()
    origin = np.array([-1.0, 2.0, 0.5])
    molecule = Geometry(density.geometry.numbers, density.geometry.positions, np.zeros((3, 3)), np.zeros(3, bool))
    boxed = Density(molecule, Grid(dft_files.CELL, dft_files.SHAPE, origin), density.values)
    write_density(boxed, tmp_path / "CHGCAR")
    again = read_density(tmp_path / "CHGCAR")
    before = boxed.grid.points()[17] - boxed.geometry.positions
    after = again.grid.points()[17] - again.geometry.positions
    np.testing.assert_allclose(after, before, atol=1e-12)


def test_what_a_chgcar_cannot_hold_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    density = dft_files.density()
    part = replace(density, grid=Grid(dft_files.CELL / 2, dft_files.SHAPE))
    with pytest.raises(InputError, match=r"CHGCAR: a CHGCAR holds the whole cell"):
        write_density(part, tmp_path / "CHGCAR")
    unknown = replace(density, geometry=replace(density.geometry, numbers=np.array([0, 8, 8])))
    with pytest.raises(InputError, match=r"an element for every atom"):
        write_density(unknown, tmp_path / "CHGCAR")
    values = density.values.copy()
    values[0, 1, 2, 3] = np.nan
    for name in ("CHGCAR", "rho.cube", "rho.npz", "CHGCAR.gz"):
        with pytest.raises(InputError, match=r"finite numbers.*can be written|only finite"):
            write_density(replace(density, values=values), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_replaced_whole_stays(tmp_path: Path) -> None:
    density = dft_files.density()
    write_density(density, tmp_path / "CHGCAR")
    before = (tmp_path / "CHGCAR").read_bytes()
    with pytest.raises(InputError):
        write_density(replace(density, values=density.values * np.inf), tmp_path / "CHGCAR")
    assert (tmp_path / "CHGCAR").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["CHGCAR"]


@pytest.mark.parametrize("channels", [1, 2])
def test_large_grids_come_back(tmp_path: Path, channels: int) -> None:
    """More values than a block, a slab and a large page hold; a last line that is short."""
    shape = (83, 81, 79)
    density = dft_files.density(channels, shape)
    rng = np.random.default_rng(1)
    density.values[...] = rng.integers(-(10**6), 10**6, (channels, *shape)) / 1024.0 / density.grid.volume
    write_density(density, tmp_path / "CHGCAR")
    found = read_density(tmp_path / "CHGCAR")
    assert found.values.shape == (channels, *shape)
    assert found.values.flags.c_contiguous
    np.testing.assert_allclose(found.values, density.values, rtol=1e-10)
