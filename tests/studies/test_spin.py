"""The study of spin: cases with errors known in closed form, sites that symmetry makes equal, and the whole of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charge3net.analysis.moments import sphere_moments
from charge3net.checkpoints import ModelCard, save_model
from charge3net.data.splits import Split
from charge3net.data.store import Store, StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.models.charge3net import ChargE3Net
from charge3net.predict.predictor import Predictor
from charge3net.studies import spin
from charge3net.studies.spin import study
from charge3net.studies.spin.measure import case_of
from charge3net.studies.spin.summary import average, chosen
from charge3net.train.config import TrainConfig
from tests.helpers.evaluation import CELL
from tests.helpers.gaussians import gaussian_density
from tests.helpers.studies import config_of, count_models

RATES = {0: 0.01, 1: 0.02}
WIDTHS = {24: 0.35, 26: 0.3}


def magnetic_store(folder: Path, materials: int = 4) -> Store:
    """CrFe cells, rattled; the magnetisation is 0.1 of the density on chromium, −0.05 on iron, or the opposite."""
    rng = np.random.default_rng(0)
    with StoreWriter(folder) as writer:
        for i in range(materials):
            positions = np.array([[0.1, 0.1, 0.1], [2.2, 1.7, 2.1]]) + rng.normal(0, 0.1, (2, 3))
            geometry = Geometry(np.array([24, 26]), positions, CELL, np.ones(3, dtype=bool))
            grid = Grid(CELL, (16, 14, 18))
            atoms = [Geometry(geometry.numbers[[j]], positions[[j]], CELL, geometry.pbc) for j in range(2)]
            one, other = (gaussian_density(atom, grid, WIDTHS).total for atom in atoms)
            values = np.stack([one + other, (-1) ** i * 0.1 * (one - 0.5 * other)])
            writer.add(f"m{i}", Density(geometry, grid, values), baseline=1.25 * values[0])
    return Store(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return magnetic_store(tmp_path_factory.mktemp("spin") / "store")


@pytest.mark.parametrize("key", ["m0", "m1"])
def test_case_of_a_scaled_and_flipped_magnetisation(store: Store, key: str) -> None:
    entry = store[key]
    predicted = Density(entry.geometry, entry.grid, entry.values * np.array([1.02, -0.9])[:, None, None, None])
    case = case_of(entry, predicted)
    assert case.alignment == "antiparallel"
    assert case.total == pytest.approx(2.0, rel=1e-4)
    assert case.baseline == pytest.approx(25.0, rel=1e-4)
    assert case.unsigned == pytest.approx(10.0, rel=1e-4)
    assert case.signed == pytest.approx(190.0, rel=1e-4)
    # 24 and 26 electrons, 0.1 and −0.05 of them; chromium's is the larger moment and comes out up
    assert case.cell == pytest.approx((2.4 - 1.3, 0.9 * (2.4 - 1.3)), rel=2e-3)
    assert case.atoms[0] == pytest.approx([2.4, -1.3], abs=0.12)
    assert case.atoms[1] == pytest.approx([0.9 * moment for moment in case.atoms[0]], rel=1e-4)


def test_case_without_moments_has_no_error_of_them(store: Store, tmp_path: Path) -> None:
    values = np.array(store["m0"].values)
    values[1] = 0.0
    with StoreWriter(tmp_path / "store") as writer:
        writer.add("m", Density(store["m0"].geometry, store["m0"].grid, values))
    entry = Store(tmp_path / "store")["m"]
    case = case_of(entry, Density(entry.geometry, entry.grid, entry.values))
    assert (case.alignment, case.signed, case.unsigned) == ("none", None, None)
    with pytest.raises(InputError, match="two channels"):
        case_of(entry, Density(entry.geometry, entry.grid, entry.values[:1]))


def test_average_over_seeds_then_structures() -> None:
    def cases(*errors: float | None) -> list[dict[str, Any]]:
        groups = ("distortion", "distortion", "composition")
        rows = enumerate(zip(groups, errors, strict=True))
        return [{"key": str(i), "group": g, "alignment": "parallel", "unsigned": e} for i, (g, e) in rows]

    found = average([cases(1.0, 4.0, 9.0), cases(3.0, 8.0, None)], "unsigned", chosen("distortion"))
    assert found == {"mean": 4.0, "standard_error": 2.0, "seeds": [2.5, 5.5], "structures": 2}
    assert average([cases(1.0, 4.0, None)], "unsigned", chosen("composition")) is None


def test_sites_that_symmetry_makes_equal_get_equal_moments() -> None:
    """A centred cell of one element: exchanging its two atoms is a translation of the structure."""
    torch.manual_seed(0)
    model = ChargE3Net(lmax=2, mul=12, num_interactions=2, hidden=8, channels=2).double()
    cell = np.diag([2.9, 2.9, 3.3])
    geometry = Geometry(np.array([24, 24]), np.stack([np.zeros(3), 0.5 * np.diag(cell)]), cell, np.ones(3, dtype=bool))
    grid = Grid(cell, (12, 12, 14))
    density = Predictor(model).predict(geometry, grid=grid, symmetry=False)
    assert density.spin is not None
    one, other = sphere_moments(density.spin, grid, geometry)
    assert abs(one) > 1e-4
    assert other == pytest.approx(one, rel=1e-6)


def fake_sweep(
    settings: list[str], output: str, orders: list[int], rates: dict[int, float], seeds: list[int], **data: Any
) -> None:
    """Run folders as training would leave them, with first weights."""
    (lmax,) = orders
    assert rates == RATES
    for seed in seeds:
        torch.manual_seed(seed)
        model = ChargE3Net(lmax=lmax, mul=8, num_interactions=1, hidden=8, channels=2)
        folder = Path(output) / f"seed={seed}"
        save_model(folder / "model", model, ModelCard.of(model, [24, 26], {}))
        config = TrainConfig(seed=seed, model={"architecture": "charge3net", **model.hyperparameters()})
        (folder / "config.json").write_text(json.dumps(config.as_dict()))
        (folder / "summary.json").write_text(json.dumps({"step": 5, "seconds": 1.0, "parameters": 100}))
        (folder / "metrics.csv").write_text("step,val/emae\n5,1.0\n")


def test_study(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "sweep_orders", fake_sweep)
    Split(("m0",), ("m1",), ("m2",)).save(tmp_path / "split.json")
    Split(("m0",), ("m1",), ("m3",)).save(tmp_path / "alike.json")
    paths = {"store": str(store.path), "split": str(tmp_path / "split.json"), "alike": str(tmp_path / "alike.json")}
    config = config_of("spin", **paths, lmax=[0, 1], rates=RATES, seeds=[0, 1], signed_seeds=[0])
    result = json.loads(json.dumps(spin.run(config, tmp_path / "work")))
    assert [(v["lmax"], v["loss"], v["seeds"]) for v in result["variants"]] == [
        (0, "unsigned_l1", [0, 1]),
        (1, "unsigned_l1", [0, 1]),
        (1, "l1", [0]),
    ]
    groups = {case["key"]: case["group"] for case in result["variants"][0]["cases"][0]}
    assert groups == {"m0": "trained", "m2": "distortion", "m3": "alike"}
    counts = count_models(monkeypatch)
    assert json.loads(json.dumps(spin.run(config, tmp_path / "work"))) == result
    assert not counts, "no model is loaded for finished structures"
    figures = spin.figures(result)
    assert set(figures) == {"errors", "moments", "maps"}
    text = spin.section(result, {name: f"{name}.png" for name in figures})
    assert "| L = 1 | new distortions |" in text
    assert "m3" in text
    assert "maps.png" in text


def test_study_refuses_a_store_that_lacks_what_the_split_names(store: Store, tmp_path: Path) -> None:
    Split(("m0",), ("m1",), ("m9",)).save(tmp_path / "split.json")
    path = str(tmp_path / "split.json")
    with pytest.raises(InputError, match="m9"):
        spin.run(config_of("spin", store=str(store.path), split=path, alike=path), tmp_path)
