"""ABINIT's density files, held to what ABINIT's own cut3d reads in them (tests/io/golden_abinit)."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.grid import Grid
from charge3net.io import read_density, read_grid, read_structure
from charge3net.io.abinit import write_abinit

GOLDEN = Path(__file__).parent / "golden_abinit"


@pytest.mark.parametrize("name", ["si", "h"])
def test_structure_and_electrons(name: str) -> None:
    density = read_density(GOLDEN / f"{name}_DEN")
    expected = {"si": (8.0, [14, 14], (10, 10, 10)), "h": (1.0, [1], (8, 8, 10))}[name]
    assert density.electrons() == pytest.approx(expected[0], abs=1e-10)
    assert density.provenance["electrons_expected"] == expected[0]
    assert (density.geometry.numbers.tolist(), density.grid.shape) == expected[1:]
    assert read_grid(GOLDEN / f"{name}_DEN").same_as(density.grid)
    np.testing.assert_array_equal(read_structure(GOLDEN / f"{name}_DEN").positions, density.geometry.positions)


def test_values_are_those_of_cut3d() -> None:
    density, cube = read_density(GOLDEN / "si_DEN"), read_density(GOLDEN / "si.cube")
    assert density.grid.same_as(cube.grid)
    np.testing.assert_allclose(density.total, cube.total, atol=4e-6)  # six decimals in e/bohr³
    np.testing.assert_allclose(density.geometry.positions, cube.geometry.positions, atol=1e-6)


def test_spin_is_up_minus_down() -> None:
    density, cube = read_density(GOLDEN / "h_DEN"), read_density(GOLDEN / "h_magnetisation.cube")
    assert density.spin is not None
    np.testing.assert_allclose(density.spin, cube.total, atol=4e-6)
    assert density.magnetisation() == pytest.approx(1.0, abs=1e-10)


def test_potentials_are_named() -> None:
    potential = read_density(GOLDEN / "si_DEN").provenance["potentials"]["Si"]
    assert potential["valence"] == 4.0
    assert potential["md5"] == hashlib.md5((GOLDEN / "Si.pbe-q4.gth").read_bytes()).hexdigest()
    energy = read_density(GOLDEN / "si_DEN").provenance["energy"]
    assert energy == pytest.approx(-7.4359914273839 * 27.211386245988, abs=1e-9)  # ETOT of the last step


@pytest.mark.parametrize("name", ["si", "h"])
def test_own_density_gives_the_file_back(name: str, tmp_path: Path) -> None:
    template = GOLDEN / f"{name}_DEN"
    density = read_density(template)
    factor = write_abinit(tmp_path / "x_DEN", template, replace(density, values=density.values * 1.25))
    assert factor == pytest.approx(0.8)
    again = read_density(tmp_path / "x_DEN")
    np.testing.assert_allclose(again.values[0], density.values[0], rtol=1e-12)
    assert (tmp_path / "x_DEN").stat().st_size == template.stat().st_size
    head = template.stat().st_size - len(density.values) * (density.total.size * 8 + 8)
    assert (tmp_path / "x_DEN").read_bytes()[:head] == template.read_bytes()[:head]


def test_spin_run_with_a_density_alone_starts_unpolarised(tmp_path: Path) -> None:
    density = read_density(GOLDEN / "h_DEN")
    write_abinit(tmp_path / "x_DEN", GOLDEN / "h_DEN", Density(density.geometry, density.grid, density.total))
    assert read_density(tmp_path / "x_DEN").magnetisation() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("damage", ["cut", "head only", "text", "nan", "potential"])
def test_damage_is_an_error_in_one_sentence(damage: str, tmp_path: Path) -> None:
    content = (GOLDEN / "si_DEN").read_bytes()
    if damage == "cut":
        content = content[:-64]
    elif damage == "head only":
        content = content[: -(8000 + 8)]
    elif damage == "nan":
        content = content[:-100] + np.array([np.nan]).tobytes() + content[-92:]
    elif damage == "text":
        content = b"no density\n" * 100
    else:  # fform 102
        content = content.replace(np.array([52, 16], "<i4").tobytes(), np.array([102, 16], "<i4").tobytes(), 1)
    (tmp_path / "x_DEN").write_bytes(content)
    with pytest.raises(InputError, match="x_DEN"):
        read_density(tmp_path / "x_DEN")


def test_another_grid_is_refused(tmp_path: Path) -> None:
    density = read_density(GOLDEN / "si_DEN")
    other = Density(density.geometry, Grid(density.grid.cell, (4, 4, 4)), np.ones((4, 4, 4)))
    with pytest.raises(InputError, match="another grid"):
        write_abinit(tmp_path / "x_DEN", GOLDEN / "si_DEN", other)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("abinit") is None, reason="ABINIT (Debian: abinit) is not installed")
def test_abinit_starts_from_the_file(tmp_path: Path) -> None:
    """Wavefunctions at the exact density, then the run: done after the steps that its criterion asks for."""
    for file in ("Si.pbe-q4.gth", "si_DEN"):
        shutil.copy(GOLDEN / file, tmp_path)
    write_abinit(tmp_path / "start_DEN", GOLDEN / "si_DEN", read_density(GOLDEN / "si_DEN"))
    text = (
        (GOLDEN / "si.abi").read_text().replace("toldfe", "toldfe2").replace("nstep", "nstep2").replace("prtwf 0", "")
    )
    text += 'ndtset 2 getden_filepath "start_DEN"\niscf1 -2 tolwfr1 1e-9 nstep1 50 getwfk2 1\n'
    (tmp_path / "x.abi").write_text(text)
    done = subprocess.run(["abinit", "x.abi"], cwd=tmp_path, capture_output=True, text=True)
    energies = [float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith(" ETOT")]
    assert len(energies) <= 4
    assert energies[0] == pytest.approx(-7.4359914273839, abs=1e-8)
