"""The study of derivatives: Gaussians have the derivatives of Gaussians by every way; a run from end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from charge3net.checkpoints import ModelCard, save_model
from charge3net.data.splits import Split
from charge3net.data.store import Store, StoreWriter
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io import read_density
from charge3net.models.charge3net import ChargE3Net
from charge3net.studies import fields
from charge3net.studies.fields.measure import Protocol, check_by_differences, measure_structure, write_cubes
from charge3net.studies.fields.slices import cut, pack_slice, unpack_slice
from charge3net.units import BOHR
from tests.helpers.gaussians import ALPHA, GaussianAtoms, gaussian_density, superposition
from tests.helpers.studies import config_of, count_models

CELL = np.array([[5.0, 0.0, 0.0], [0.6, 5.4, 0.0], [0.2, -0.4, 5.2]])
MOLECULE = Geometry(
    np.array([8, 6, 1]), np.array([[1.2, 2.0, 2.6], [2.3, 2.4, 2.6], [2.9, 3.3, 2.6]]), CELL, np.ones(3, bool)
)
PROTOCOL = Protocol(floor=0.05, points=400, differences=20, step=1e-3, seed=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Gaussians on every atom; the superposition stored beside them is half of that."""
    path, grid = tmp_path_factory.mktemp("data") / "store", Grid(CELL, (24, 26, 25))
    density = gaussian_density(MOLECULE, grid)
    with StoreWriter(path) as writer:
        for key in ("a", "b"):
            assert writer.add(key, density, baseline=0.5 * density.total)
    return Store(path)


def test_every_way_gives_the_derivatives_of_gaussians(store):
    found = measure_structure(GaussianAtoms(), store["a"], PROTOCOL)
    model, half = found["errors"]["model"], found["errors"]["superposition"]
    assert found["points"] == 400 < found["inside"]
    for name in ("density", "gradient", "hessian", "lambda1", "lambda3"):
        assert model[name] < 1e-4, name
        assert half[name] == pytest.approx(0.5, abs=1e-4)
    assert model["sign"] > 0.99
    assert model["iri"] < 1e-3
    assert model["dori"] < 1e-3
    assert half["dori"] < 1e-3, "DORI does not depend on a factor"
    for how in ("errors_of_grid", "errors_of_long_waves"):
        assert found[how]["model"]["hessian"] < 1e-4
    assert found["errors_of_long_waves"]["superposition"]["hessian"] == pytest.approx(0.5, abs=1e-4)
    assert found["differences"]["points"] + found["differences"]["across_cutoff"] <= 20
    assert found["differences"]["hessian"]["largest"] < 1e-5
    assert found["jumps"]["places"] == 0 or found["jumps"]["largest"] < 1e-3


def test_points_at_a_cutoff_are_counted_and_left_out():
    model = GaussianAtoms(dtype=torch.float64)
    alone = Geometry(np.array([6]), np.array([[10.0, 10.0, 10.0]]), np.eye(3) * 20, np.ones(3, bool))
    away = np.array([0.05, 1.0, 3.9985, 4.0015, 4.5])[:, None] * np.array([1.0, 0.0, 0.0])
    found = check_by_differences(model, alone, alone.positions[0] + away, 1e-3)
    assert (found["points"], found["across_cutoff"], found["near_atom"]) == (2, 2, 1)
    assert found["gradient"]["largest"] < 1e-8
    assert model.dtype == torch.float64


def test_cubes_hold_the_fields_in_their_own_units(store, tmp_path):
    write_cubes(GaussianAtoms(), store["a"], 0.05, tmp_path)
    assert len(list(tmp_path.glob("*.cube"))) == 12
    true = superposition(MOLECULE, store["a"].grid.points()).reshape(store["a"].grid.shape)
    inside = true > 0.05
    density = read_density(tmp_path / "model_density.cube")
    np.testing.assert_allclose(density.total[inside], true[inside], rtol=1e-4)
    for who in ("dft", "model"):
        # read_density takes what stands in the file for e/Bohr³
        lambda2 = read_density(tmp_path / f"{who}_lambda2.cube").total * BOHR**3
        voxel = np.unravel_index(np.argmax(true), true.shape)
        assert lambda2[voxel] == pytest.approx(-2 * ALPHA * true[voxel], rel=0.2), "near the peak of a Gaussian"
        iri = read_density(tmp_path / f"{who}_iri.cube").total * BOHR**3
        assert iri[~inside] == pytest.approx(5.0)
        assert "interaction region" in (tmp_path / f"{who}_iri.cube").read_text().splitlines()[0]


def test_a_slice_shows_both_and_survives_json(store):
    made = cut(GaussianAtoms(), store["a"], 0.05, 6.0)
    again = unpack_slice(json.loads(json.dumps(pack_slice(made))))
    assert set(again.numbers) == {1, 6, 8}
    np.testing.assert_allclose(again.places, made.places, atol=1e-4)
    for who in ("dft", "model"):
        for name, values in made.maps[who].items():
            np.testing.assert_allclose(again.maps[who][name], values, rtol=2e-3, atol=1e-4)
    dft, model = made.maps["dft"]["density"], made.maps["model"]["density"]
    assert 0.1 < np.isfinite(dft).mean() < 0.9
    np.testing.assert_allclose(model, dft, rtol=2e-2)


def test_from_settings_to_the_page(store, tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = ChargE3Net(lmax=1, mul=8, hidden=8, num_basis=4)
    save_model(tmp_path / "model", network, ModelCard.of(network))
    Split(("b",), (), ("a",)).save(tmp_path / "split.json")
    config = config_of("fields", 
        checkpoint=str(tmp_path / "model"), store=str(store.path), split=str(tmp_path / "split.json"), drawn=["a"],
        floor=0.05, points=40, differences=4,
    )  # fmt: skip
    result = json.loads(json.dumps(fields.run(config, tmp_path)))
    assert [one["key"] for one in result["structures"]] == ["a"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    counts = count_models(monkeypatch)
    assert json.loads(json.dumps(fields.run(config, tmp_path))) == result
    assert not counts, "no model is loaded for finished structures"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before, "finished ones stay"
    figures = fields.figures(result)
    assert set(figures) == {"errors", "slice_1"}
    text = fields.section(result, {name: f"{name}.png" for name in figures})
    error = 100 * result["structures"][0]["errors"]["model"]["gradient"]
    assert f"| ∇ρ, relative L1 (%) | {error:.2f} | " in text
    assert " | 50.00 |\n" in text
    assert "the training set of this model is not known" in text


def test_mistakes_are_named(store, tmp_path):
    with pytest.raises(InputError, match="add keys="):
        fields.run(config_of("fields", checkpoint="x", store=str(store.path)), tmp_path)
    with pytest.raises(InputError, match="no entry 'c'"):
        fields.run(config_of("fields", checkpoint="x", store=str(store.path), keys=["c"]), tmp_path)
    with pytest.raises(InputError, match="must be positive"):
        fields.run(config_of("fields", checkpoint="x", store=str(store.path), keys=["a"], floor=0.0), tmp_path)
