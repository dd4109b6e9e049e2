"""charge3net data export: an entry of a store as a file that other programs read."""

from __future__ import annotations

import numpy as np
import pytest
from ase.io.cube import read_cube_data

from charge3net.cli.main import main
from charge3net.data.store import StoreWriter
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid


@pytest.fixture
def store(tmp_path):
    geometry = Geometry(np.array([8, 6]), np.array([[0.0, 0, 0], [1.1, 0, 0]]), np.eye(3) * 4.0, np.ones(3, bool))
    values = np.random.default_rng(0).uniform(0.1, 1.0, (1, 3, 4, 5)).astype(np.float32)
    density = Density(geometry, Grid(geometry.cell, (3, 4, 5)), values)
    with StoreWriter(tmp_path / "store") as writer:
        writer.add("CO", density, baseline=values[0] * 0.5)
        writer.add("bare", density)
    return tmp_path / "store", values[0]


@pytest.mark.parametrize(("option", "factor"), [([], 1.0), (["--baseline"], 0.5)])
def test_ase_reads_the_exported_cube(store, tmp_path, option, factor):
    folder, values = store
    assert main(["data", "export", str(folder), "CO", "-o", str(tmp_path / "rho.cube"), *option]) == 0
    with open(tmp_path / "rho.cube") as file:
        found, atoms = read_cube_data(file)
    np.testing.assert_allclose(found, values * factor * 0.529177210903**3, rtol=1e-5)
    assert atoms.get_chemical_symbols() == ["O", "C"]


@pytest.mark.parametrize(
    ("arguments", "said"), [(["nothing"], "no entry 'nothing'"), (["bare", "--baseline"], "no superp")]
)
def test_what_is_not_there_is_said(store, tmp_path, capsys, arguments, said):
    assert main(["data", "export", str(store[0]), *arguments, "-o", str(tmp_path / "rho.cube")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "rho.cube").exists()
