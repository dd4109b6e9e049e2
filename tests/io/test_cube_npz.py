"""Cube files against ASE and pymatgen and by hand; npz archives."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.grid import Grid
from charge3net.io import read_density, read_density_stream, read_grid, read_structure, write_density, write_field
from tests.helpers import dft_files

BOHR = 0.529177210903  # CODATA 2018, Å


def cube_text(natoms: str = "2", extra: str = "", sign: int = 1, values: str | None = None) -> str:
    """H and O on a 2 × 2 × 3 grid of steps 0.5, 1 and 2 (Bohr or Å)."""
    axes = "".join(
        f"{sign * n:5d} {' '.join(f'{step * (i == k):.6f}' for k in range(3))}\n"
        for i, (n, step) in enumerate(zip((2, 2, 3), (0.5, 1.0, 2.0), strict=True))
    )
    atoms = "    1 1.0 0.0 0.0 0.0\n    8 8.0 0.5 1.0 1.5\n"
    values = values or "\n".join(" ".join(f"{3 * row + k:.5E}" for k in range(3)) for row in range(4))
    return f"made up\nby hand\n  {natoms}  -1.0 0.5 0.25\n{axes}{atoms}{extra}{values}\n"


@pytest.mark.parametrize(("sign", "length"), [(1, BOHR), (-1, 1.0)])
def test_units_origin_and_order(tmp_path: Path, sign: int, length: float) -> None:
    path = tmp_path / "rho.cube"
    path.write_text(cube_text(sign=sign))
    density = read_density(path)
    assert density.grid.shape == (2, 2, 3)
    np.testing.assert_allclose(density.grid.cell, np.diag([1.0, 2.0, 6.0]) * length)
    np.testing.assert_allclose(density.grid.origin, np.array([-1.0, 0.5, 0.25]) * length)
    np.testing.assert_allclose(density.geometry.positions[1], np.array([0.5, 1.0, 1.5]) * length)
    assert density.geometry.numbers.tolist() == [1, 8]
    np.testing.assert_allclose(density.total.ravel() * BOHR**3, np.arange(12.0), rtol=1e-14)
    if sign == 1:  # the sum over voxels of e/Bohr³ times 1 Bohr³ per voxel
        assert density.electrons() == pytest.approx(66.0)


def test_negative_number_of_atoms_announces_data_sets(tmp_path: Path) -> None:
    path = tmp_path / "rho.cube"
    path.write_text(cube_text("-2", "    1   1\n"))
    assert read_density(path).values.shape == (1, 2, 2, 3)
    path.write_text(cube_text("-2", "    1   33\n"))
    with pytest.raises(InputError, match="holds orbital 33, not a density"):
        read_density(path)
    pairs = " ".join(f"{n}.0 {-n}.0" for n in range(12))
    path.write_text(cube_text("-2", "  2\n 10 11\n", values=pairs))
    density = read_density(path)
    np.testing.assert_allclose(density.spin, -density.total)
    np.testing.assert_allclose(density.total.ravel() * BOHR**3, np.arange(12.0))
    path.write_text(cube_text("-2", "    3  1 2 3\n", values=pairs))
    with pytest.raises(InputError, match="holds 3 data sets"):
        read_density(path)


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 12), (4, 2, 7), (5, 1, 1)])
def test_ase_and_pymatgen_read_what_we_write(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    from ase.io.cube import read_cube_data
    from pymatgen.io.common import VolumetricData

    density = dft_files.density(shape=shape)
    path = tmp_path / "rho.cube"
    write_density(density, path)
    data, atoms = read_cube_data(str(path))
    np.testing.assert_allclose(data, density.total * BOHR**3, rtol=6e-6)
    np.testing.assert_allclose(atoms.positions, density.geometry.positions, atol=1e-8)
    np.testing.assert_allclose(atoms.cell.array, dft_files.CELL, atol=1e-8)
    np.testing.assert_allclose(VolumetricData.from_cube(str(path)).data["total"], data, rtol=1e-12)
    again = read_density(path)
    np.testing.assert_allclose(again.values, density.values, rtol=6e-6)
    assert again.electrons() == pytest.approx(density.electrons(), rel=6e-6)


def test_we_read_what_ase_writes(tmp_path: Path) -> None:
    from ase.build import molecule
    from ase.io.cube import write_cube

    atoms = molecule("H2O", vacuum=1.5)
    data = np.random.default_rng(1).random((4, 5, 6)) - 0.2
    with open(tmp_path / "rho.cube", "w") as stream:
        write_cube(stream, atoms, data)
    density = read_density(tmp_path / "rho.cube")
    np.testing.assert_allclose(density.total * BOHR**3, data, rtol=1e-6)
    np.testing.assert_allclose(density.geometry.positions, atoms.positions, atol=1e-6)


@pytest.mark.parametrize("name", ["rho.cube", "rho.npz", "rho.cube.gz", "rho.npz.xz"])
@pytest.mark.parametrize("channels", [1, 2])
def test_round_trip_keeps_spin_origin_and_periodicity(tmp_path: Path, name: str, channels: int) -> None:
    density = dft_files.density(channels=channels)
    geometry = replace(density.geometry, pbc=np.array([True, False, True]))
    grid = Grid(dft_files.CELL, dft_files.SHAPE, np.array([0.5, -1.0, 2.0]))
    density = Density(geometry, grid, density.values)
    write_density(density, tmp_path / name)
    again = read_density(tmp_path / name)
    assert again.grid.same_as(grid, 1e-10)
    assert read_grid(tmp_path / name).same_as(grid, 1e-10)
    assert again.geometry.pbc.tolist() == [True, False, True]
    assert read_structure(tmp_path / name).numbers.tolist() == [3, 8, 8]
    np.testing.assert_allclose(again.values, density.values, rtol=6e-6 if "cube" in name else 0)


def test_npz_keeps_everything(tmp_path: Path) -> None:
    density = dft_files.density(channels=2, dtype=np.float32)
    part = Grid(dft_files.CELL / 2, dft_files.SHAPE)
    density = Density(density.geometry, part, density.values, ("total ü\n", "spin\n"), {"model": "m", "steps": 3})
    write_density(density, tmp_path / "rho.npz")
    again = read_density(tmp_path / "rho.npz")
    assert again.values.dtype == np.float32
    assert np.array_equal(again.values, density.values)
    assert np.array_equal(again.grid.cell, part.cell)
    assert np.array_equal(again.geometry.cell, dft_files.CELL)
    assert again.augmentation == density.augmentation
    assert again.provenance["model"] == "m"
    with np.load(tmp_path / "rho.npz") as archive:  # numpy alone opens it
        assert archive["density"].shape == (2, *dft_files.SHAPE)
        assert json.loads(str(archive["meta"])) == {"model": "m", "steps": 3}


def test_entries_of_the_open_dft_sets(shared: Path) -> None:
    for path in [*sorted((shared / "dft" / "crystals").glob("*.npz"))[:3], shared / "dft/molecules/g2-C2H4.npz"]:
        density = read_density(path)
        with np.load(path) as archive:
            assert density.electrons() == pytest.approx(float(archive["n_electrons"]), abs=1e-3)
            assert density.geometry.numbers.tolist() == archive["numbers"].tolist()
        assert density.provenance["xc"] == "PBE"
        assert Grid.like(path).shape == density.grid.shape


def test_zlib_files_are_read(tmp_path: Path) -> None:
    path = dft_files.write_chgcar(tmp_path / "CHGCAR")
    packed = zlib.compress(path.read_bytes())
    (tmp_path / "1.CHGCAR.zz").write_bytes(packed)
    assert np.array_equal(read_density(tmp_path / "1.CHGCAR.zz").values, read_density(path).values)
    (tmp_path / "1.CHGCAR.zz").write_bytes(packed[:-30])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_density(tmp_path / "1.CHGCAR.zz")
    with pytest.raises(InputError, match=r"\.zz files are only read"):
        write_density(dft_files.density(), tmp_path / "2.CHGCAR.zz")


@pytest.mark.parametrize("suffix", [".gz", ".zz"])
def test_compressed_files_are_read_with_and_without_isal(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = dft_files.write_chgcar(tmp_path / "CHGCAR").read_bytes()
    expected = read_density(tmp_path / "CHGCAR").values
    path = tmp_path / f"CHGCAR{suffix}"
    for library in ("installed", "standard"):
        if library == "standard":
            monkeypatch.setattr("charge3net.io.files.compression.unpack_gzip", gzip)
            monkeypatch.setattr("charge3net.io.files.compression.unpack_zlib", zlib)
        halves = plain[:2000], plain[2000:]  # gzip allows several members in one file
        packed = b"".join(map(gzip.compress, halves)) if suffix == ".gz" else zlib.compress(plain)
        path.write_bytes(packed)
        np.testing.assert_array_equal(read_density(path).values, expected)
        for damaged in (packed[:-30], packed[:60] + bytes(40) + packed[100:], b"no compressed file"):
            path.write_bytes(damaged)
            with pytest.raises(InputError, match="damaged or cut short"):
                read_density(path)


def test_members_of_a_tar_archive(tmp_path: Path) -> None:
    """As the QM9 and NMC sets are published: a tar of compressed CHGCARs."""
    import lz4.frame

    plain = dft_files.write_chgcar(tmp_path / "CHGCAR").read_bytes()
    contents = {"1.CHGCAR.lz4": lz4.frame.compress(plain), "2.CHGCAR.zz": zlib.compress(plain), "3.CHGCAR": plain}
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    expected = np.array([float(word) for word in dft_files.body(dft_files.values()).split()]) / dft_files.VOLUME
    with tarfile.open(tmp_path / "set.tar") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            density = read_density_stream(stream, member.name)
            np.testing.assert_allclose(density.total.ravel(order="F"), expected, rtol=1e-14)
            assert density.provenance["file"] == member.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("one line", "the file ends where a second line"),
        (cube_text("two"), r"expected the number of atoms and the origin \(4 numbers\), found 'two"),
        (cube_text("3"), r"expected atom 3 of 3 \(5 numbers\), found '0\.0"),
        (cube_text("0"), "needs 12 numbers, the line with the last one has more|at least one atom"),
        (cube_text("-2"), "a negative number of atoms announces a list of data sets"),
        (cube_text().rsplit("\n", 3)[0], "the grid 2 x 2 x 3 needs 12 numbers, the file ends after 6"),
        (cube_text() + "1.0\n", "more numbers than the 12"),
        (cube_text().replace("    2 0.000000 1", "   -2 0.000000 1"), "mix lengths in Bohr and in Å"),
        (cube_text().replace("8 8.0", "800 8.0"), "atom 2 has the atomic number 800: no element"),
        (cube_text(values="nan " * 12), "number 1 of the grid 2 x 2 x 3 is nan"),
    ],
)
def test_broken_cubes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rho.cube"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_density(path)
    assert str(error.value).startswith(str(path))


def test_broken_archives(tmp_path: Path) -> None:
    path = tmp_path / "rho.npz"
    write_density(dft_files.density(), path)
    whole = path.read_bytes()
    with np.load(path) as archive:
        arrays = dict(archive)

    def refused(message: str) -> None:
        with pytest.raises(InputError, match=message) as error:
            read_density(path)
        assert str(error.value).startswith(str(path))

    path.write_bytes(whole[: len(whole) // 2])
    refused("expected a NumPy archive")
    path.write_text("no archive")
    refused("expected a NumPy archive")
    np.savez(path, **{key: value for key, value in arrays.items() if key != "cell"})
    refused("lacks the array 'cell'; it has density, ")
    np.savez(path, **(arrays | {"density": np.full(dft_files.SHAPE, np.nan)}))
    refused("'density' holds NaN or infinity")
    np.savez(path, **(arrays | {"density": np.ones(5)}))
    refused(r"'density' must be floats \[nx, ny, nz\], found float64 \[5\]")
    np.savez(path, **(arrays | {"numbers": np.array([3, 8, 800])}))
    refused("atomic numbers must be 0 … 118, found 3 … 800")
    np.savez(path, **(arrays | {"meta": np.array([object()])}), allow_pickle=True)
    refused("'meta' cannot be read")  # objects would be pickles, which run code


def test_any_field_is_written_as_it_is(tmp_path: Path) -> None:
    from ase.io.cube import read_cube_data

    grid = Grid(dft_files.CELL, dft_files.SHAPE)
    field = np.random.default_rng(0).normal(size=grid.shape)
    write_field(field, dft_files.density().geometry, grid, tmp_path / "dori.cube", "DORI, 0 ... 1")
    found, atoms = read_cube_data(str(tmp_path / "dori.cube"))
    np.testing.assert_allclose(found, field, rtol=6e-6)
    np.testing.assert_allclose(atoms.positions, dft_files.density().geometry.positions, atol=1e-6)
    assert (tmp_path / "dori.cube").read_text().startswith("DORI, 0 ... 1\n")
    with pytest.raises(InputError, match=r"ends in \.cube"):
        write_field(field, dft_files.density().geometry, grid, tmp_path / "dori.npz", "DORI")
    with pytest.raises(InputError, match=r"dori\.cube"):
        write_field(field * np.nan, dft_files.density().geometry, grid, tmp_path / "dori.cube", "DORI")
