"""What is written can be read back, by this package, pymatgen and ASE, whatever the structure, grid and values."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io import density_of, read_density, read_grid, read_structure

QUICK = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@contextmanager
def written(density: Density, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        density.write(path)
        yield path


@st.composite
def densities(draw: st.DrawFn, channels: int | None = None) -> Density:
    """Large and small cells, atoms far outside, runs of elements, long axes, values over many orders of magnitude."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([0.7, 5.0, 99.0, 1200.0, 40_000.0]))
    sign = draw(st.sampled_from([1.0, -1.0]))
    cell = size * sign * (np.eye(3) + 0.25 * rng.uniform(-1, 1, (3, 3)))
    atoms = draw(st.integers(1, 30))
    reach = draw(st.sampled_from([1.0, 12.0, 150.0, 2000.0]))
    positions = rng.uniform(-reach, reach, (atoms, 3)) @ cell
    numbers = rng.choice(draw(st.sampled_from([[1], [6, 7], list(range(1, 119))])), atoms)
    shape = draw(st.sampled_from([(1, 1, 1), (2, 3, 4), (5, 1, 7), (1, 1, 10_001), (101, 2, 1), (1, 1000, 3)]))
    count = channels or draw(st.integers(1, 2))
    values = rng.choice([-1.0, 1.0, 1.0], (count, *shape)) * 10.0 ** rng.uniform(*draw(
        st.sampled_from([(-3, 3), (-90, -60), (0, 0), (-120, 40)])), (count, *shape))  # fmt: skip
    title = draw(st.text(max_size=30))
    geometry = Geometry(numbers, positions, cell, np.ones(3, dtype=bool))
    return Density(geometry, Grid(cell, shape), values, provenance={"title": title})


def check_grid(density: Density, cell: np.ndarray, positions: np.ndarray, digits: float) -> None:
    scale = np.abs(density.grid.cell).max()
    np.testing.assert_allclose(cell, density.grid.cell, atol=digits * scale)
    np.testing.assert_allclose(positions, density.geometry.positions, atol=digits * np.abs(positions).max() + digits)


def check_values(found: np.ndarray, expected: np.ndarray, relative: float, smallest: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=relative, atol=smallest)


@QUICK
@given(densities())
def test_chgcar_comes_back(density: Density) -> None:
    with written(density, "CHGCAR") as path:
        again = read_density(path)
        assert read_grid(path).shape == density.grid.shape
        assert read_structure(path).numbers.tolist() == density.geometry.numbers.tolist()
    assert again.geometry.numbers.tolist() == density.geometry.numbers.tolist()
    check_grid(density, again.grid.cell, again.geometry.positions, 1e-10)
    check_values(again.values, density.values, 1e-10, 2e-98 / density.grid.volume)


@QUICK
@given(densities())
def test_pymatgen_reads_our_chgcar(density: Density) -> None:
    from pymatgen.io.vasp.outputs import Chgcar

    with written(density, "CHGCAR") as path, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Chgcar.from_file(str(path))
    assert theirs.structure.atomic_numbers == tuple(density.geometry.numbers.tolist())
    check_grid(density, theirs.structure.lattice.matrix, theirs.structure.cart_coords, 1e-10)
    check_values(theirs.data["total"] / density.grid.volume, density.values[0], 1e-10, 2e-98 / density.grid.volume)
    assert ("diff" in theirs.data) == (len(density.values) == 2)
    again = density_of(theirs)
    check_values(again.values, density.values, 1e-10, 2e-98 / density.grid.volume)


@QUICK
@given(densities())
def test_ase_reads_our_chgcar(density: Density) -> None:
    from ase.calculators.vasp import VaspChargeDensity

    with written(density, "CHG") as path:
        theirs = VaspChargeDensity(str(path))
    assert theirs.atoms[0].numbers.tolist() == density.geometry.numbers.tolist()
    check_grid(density, theirs.atoms[0].cell.array, theirs.atoms[0].positions, 1e-10)
    check_values(theirs.chg[0], density.values[0], 1e-10, 2e-98 / density.grid.volume)


@QUICK
@given(densities())
@example(
    Density(
        Geometry(np.array([3]), np.array([[1e5, -1e5, 1.0]]), np.eye(3) * 4, np.ones(3, dtype=bool)),
        Grid(np.eye(3) * 4, (2, 2, 2)),
        np.ones((1, 2, 2, 2)),
    )
)
def test_cube_comes_back_and_ase_and_pymatgen_read_it(density: Density) -> None:
    from ase.io.cube import read_cube
    from pymatgen.io.common import VolumetricData

    from charge3net.units import E_PER_BOHR3

    with written(density, "rho.cube") as path:
        again = read_density(path)
        assert read_grid(path).shape == density.grid.shape
        if len(density.values) == 1:
            with open(path) as file:
                theirs = read_cube(file)
            volumetric = VolumetricData.from_cube(str(path))
            assert theirs["atoms"].numbers.tolist() == density.geometry.numbers.tolist()
            check_values(theirs["data"] * E_PER_BOHR3, density.values[0], 1e-4, 2e-97)
            check_values(volumetric.data["total"] * E_PER_BOHR3, density.values[0], 1e-4, 2e-97)
            assert volumetric.structure.atomic_numbers == tuple(density.geometry.numbers.tolist())
    assert again.geometry.numbers.tolist() == density.geometry.numbers.tolist()
    check_grid(density, again.grid.cell, again.geometry.positions, 2e-8)
    check_values(again.values, density.values, 1e-5, 2e-97)


@QUICK
@given(densities(), st.sampled_from(["rho.npz", "rho.npz.gz"]))
def test_npz_keeps_every_bit(density: Density, name: str) -> None:
    with written(density, name) as path:
        again = read_density(path)
    np.testing.assert_array_equal(again.values, density.values)
    np.testing.assert_array_equal(again.geometry.positions, density.geometry.positions)


def test_json_of_the_materials_project(tmp_path: Path) -> None:
    """A Chgcar as their object store holds it, with and without spin; and the structure alone."""
    import gzip
    import json

    from monty.json import MontyEncoder
    from pymatgen.io.vasp.inputs import Poscar
    from pymatgen.io.vasp.outputs import Chgcar, Locpot

    from charge3net.errors import InputError
    from tests.helpers import dft_files

    density = dft_files.density(channels=2)
    volume = density.grid.volume
    poscar = Poscar(density.structure)
    chgcar = Chgcar(poscar, {"total": density.values[0] * volume, "diff": density.values[1] * volume})
    for content in (chgcar, {"data": chgcar, "fs_id": "x"}, [chgcar.as_dict()]):
        (tmp_path / "mp-1.json.gz").write_bytes(gzip.compress(json.dumps(content, cls=MontyEncoder).encode()))
        again = read_density(tmp_path / "mp-1.json.gz")
        np.testing.assert_allclose(again.values, density.values, rtol=1e-12)
        np.testing.assert_allclose(again.geometry.positions, density.geometry.positions, atol=1e-12)
        assert read_structure(tmp_path / "mp-1.json.gz").numbers.tolist() == density.geometry.numbers.tolist()
        assert read_grid(tmp_path / "mp-1.json.gz").shape == density.grid.shape
    (tmp_path / "s.json").write_text(density.structure.to_json())
    assert read_structure(tmp_path / "s.json").numbers.tolist() == density.geometry.numbers.tolist()
    with pytest.raises(InputError, match="expected the JSON of a pymatgen Chgcar"):
        read_density(tmp_path / "s.json")
    locpot = Locpot(poscar, {"total": np.ones((2, 2, 2))})
    with pytest.raises(InputError, match="a Locpot holds a potential, not a density"):
        density_of(locpot)
    with pytest.raises(InputError, match="json is only read; write chgcar, cube or npz"):
        density.write(tmp_path / "rho.json")


def test_volumetric_data_of_a_cube_file_is_recognised(tmp_path: Path) -> None:
    from pymatgen.io.common import VolumetricData

    path = Path(__file__).parent / "cases" / "plain.cube"
    density = density_of(VolumetricData.from_cube(str(path)))
    assert density.electrons() == pytest.approx(8.0, rel=1e-3)
    np.testing.assert_allclose(density.values, read_density(path).values, rtol=1e-6)
