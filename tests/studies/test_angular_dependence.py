"""The study of angular dependence: from trainings to the page, and its statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from charge3net.analysis.angular import angular_variation
from charge3net.cli.main import main
from charge3net.data.splits import Split, read_split
from charge3net.data.store import Store, StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.studies.angular_dependence import Config, run
from charge3net.studies.angular_dependence.summary import groups, noise
from charge3net.studies.record import pictures_in
from charge3net.studies.training import sweep_orders
from charge3net.train.runs import find_runs
from tests.helpers.evaluation import make_store
from tests.helpers.studies import TINY, config_of, count_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with five test materials of two kinds."""
    folder = tmp_path_factory.mktemp("densities")
    store, _ = make_store(folder / "store", materials=8)
    keys = store.keys()
    Split(tuple(keys[:2]), (keys[2],), tuple(keys[3:])).save(folder / "split.json")
    Split(tuple(keys[:1]), (), tuple(keys[3:7])).save(folder / "first" / "split.json")
    Split(tuple(keys[1:2]), (), tuple(keys[7:])).save(folder / "second" / "split.json")
    return folder


def test_from_trainings_to_the_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("skimage")
    monkeypatch.setattr("charge3net.studies.training.charge3net_command", lambda asked: main(list(asked)))
    monkeypatch.setattr("charge3net.plot.isosurface.RESOLUTION", 12)
    overrides = ",".join(f'"{setting}"' for setting in TINY)
    arguments = [
        "study",
        "angular_dependence",
        f"store={folder / 'store'}",
        f"split={folder / 'split.json'}",
        "kinds=[first,second]",
        "fitted=[first]",
        "high=1",
        f"overrides=[{overrides}]",
        "rates={0:0.003,1:0.007}",
        "-o",
        str(tmp_path / "results"),
        "--work",
        str(tmp_path / "work"),
    ]
    assert main(arguments) == 0
    results = tmp_path / "results" / "angular_dependence"
    found = json.loads((results / "result.json").read_text())["result"]
    pictures = {"gain", "gain_fitted", "methods", "profiles", "highest_zeta", "lowest_zeta"}
    assert {path.stem for path in pictures_in(results)} == pictures
    assert [(run["order"], run["seed"]) for run in found["runs"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    rates = {run.path.name: run.config["optim"]["lr"] for run in find_runs(tmp_path / "work" / "runs")}
    names = ("lmax=0,seed=0", "lmax=0,seed=1", "lmax=1,seed=0", "lmax=1,seed=1")
    assert rates == dict(zip(names, (0.003, 0.003, 0.007, 0.007), strict=True))
    assert [run["lr"] for run in found["runs"]] == list(rates.values())
    store = Store(folder / "store")
    for material in found["materials"]:
        density = store[material["key"]].density()
        assert material["zeta"] == pytest.approx(angular_variation(density))
        assert material["zeta_published"] == pytest.approx(angular_variation(density, method="published"))
        assert material["superposition"] == pytest.approx(25.0, abs=1e-3)  # 1.25 times the density
        evaluation = next((tmp_path / "work" / "evaluations").glob("*lmax=1,seed=1*")) / "materials.jsonl"
        total = next(json.loads(s) for s in evaluation.read_text().splitlines() if f'"{material["key"]}"' in s)["total"]
        assert material["high"][1] == pytest.approx(100 * total["absolute"] / total["reference"], abs=1e-3)
    assert [(group["name"], group["count"]) for group in found["groups"]] == [("first", 4), ("second", 1), ("all", 5)]
    assert [(material["key"], material["kind"]) for material in found["fitted"]] == [("m0", "first")]
    ordered = sorted(found["materials"], key=lambda material: material["zeta"])
    assert [extreme["key"] for extreme in found["extremes"]] == [ordered[-1]["key"], ordered[0]["key"]]
    text = (tmp_path / "results.md").read_text()
    assert all(f"results/angular_dependence/{name}." in text for name in pictures)
    assert "## Angular dependence\n" in text
    counts = count_models(monkeypatch)
    assert main([*arguments, "--label", "once more"]) == 0
    assert not counts, "no model is loaded for finished evaluations"
    assert (
        json.loads((results.with_name("angular_dependence-once_more") / "result.json").read_text())["result"] == found
    )
    text = (tmp_path / "results.md").read_text()
    assert all(f"results/angular_dependence/{name}." in text for name in pictures)
    assert all(f"results/angular_dependence-once_more/{name}." in text for name in pictures)
    assert "## Angular dependence\n" in text
    assert "## Angular dependence: once more\n" in text
    monkeypatch.setattr("charge3net.studies.angular_dependence.run", lambda config, work: pytest.fail("a wrong label"))
    assert main([*arguments, "--label", "a/b"]) == 2
    assert main([*arguments, "--label", "once_more"]) == 2  # would be the folder of "once more"
    again, out = ["study", "page"], ["-o", str(tmp_path / "results")]
    (results / "gain.svg").unlink()
    for useless in (["seeds=[0]"], ["--label", "once more"], ["--show"]):
        assert main([*again, *useless, *out]) == 2
    assert not (results / "gain.svg").exists()
    assert main([*again, *out]) == 0
    assert (results / "gain.svg").exists()
    assert (tmp_path / "results.md").read_text() == text
    written = (results / "result.json").read_text()
    (results / "result.json").write_text(written.replace('"lr": ', '"rate": '))
    assert main([*again, *out]) == 2
    assert "lacks 'lr'" in capsys.readouterr().err
    assert (tmp_path / "results.md").read_text() == text


def _materials(kinds: str, zeta: list[float], low: list[list[float]], high: list[list[float]]) -> list[dict[str, Any]]:
    return [
        {"kind": k, "zeta": z, "zeta_published": z + 0.01, "superposition": 20.0, "low": one, "high": other}
        for k, z, one, other in zip(kinds, zeta, low, high, strict=True)
    ]


def test_correlations_are_scipys_of_the_means_over_seeds() -> None:
    rng = np.random.default_rng(0)
    zeta, low = rng.uniform(0, 1, 14), rng.uniform(3, 5, (14, 2))
    high = low - rng.uniform(0, 2, (14, 2))
    found = groups(_materials("aaaaaaabbbbbbb", zeta.tolist(), low.tolist(), high.tolist()))
    assert [group["name"] for group in found] == ["a", "b", "all"]
    for group, chosen in zip(found, (slice(0, 7), slice(7, 14), slice(None)), strict=True):
        gain = (low - high).mean(axis=1)[chosen]
        relative = (100 * (low - high) / low).mean(axis=1)[chosen]
        assert group["gain"]["rho"] == pytest.approx(stats.spearmanr(zeta[chosen], gain).statistic)
        assert group["relative_gain"]["rho"] == pytest.approx(stats.spearmanr(zeta[chosen], relative).statistic)
        assert group["low"]["mean"] == pytest.approx(low[chosen].mean())
        assert group["zeta_difference"]["mean"] == pytest.approx(0.01)
        assert group["zeta_agreement"]["rho"] == pytest.approx(1.0)
    assert len(groups(_materials("aaaa", zeta[:4].tolist(), low[:4].tolist(), high[:4].tolist()))) == 1


def test_noise_of_a_gain() -> None:
    first = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    same = noise(np.stack([first, first + 0.5]))
    assert same is not None
    assert (same["agreement"], same["ceiling"]) == pytest.approx((1.0, 1.0))
    assert same["median_deviation"] == pytest.approx(0.5 / np.sqrt(2))
    second = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 6.0])  # Spearman 1 − 6·4/(6·35) = 31/35
    other = noise(np.stack([first, second]))
    assert other is not None
    assert other["agreement"] == pytest.approx(31 / 35)
    assert other["ceiling"] == pytest.approx(np.sqrt(62 / 66))  # √(2r/(1 + r))
    opposite = noise(np.stack([first, first[::-1]]))
    assert opposite is not None
    assert opposite["ceiling"] == 0.0
    assert noise(first[None]) is None


def test_dense_materials_are_left_out_of_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cubes of 1.5 Å with one atom have 3.4 Å³ for it, of 1.7 Å 4.9 Å³."""
    with StoreWriter(tmp_path / "store") as writer:
        for i, side in enumerate([1.5, 1.7] * 3):
            cell = side * np.eye(3)
            geometry = Geometry(np.array([1]), np.zeros((1, 3)), cell, np.ones(3, dtype=bool))
            writer.add(f"m{i}", Density(geometry, Grid(cell, (3, 3, 3)), np.full((1, 3, 3, 3), 0.5)))
    Split(("m0", "m1"), ("m2", "m3"), ("m4", "m5")).save(tmp_path / "split.json")
    asked: list[str] = []
    monkeypatch.setattr("charge3net.studies.training.charge3net_command", asked.extend)
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(InputError, match="holds no run"):  # the commands of this test train nothing
        run(_config(tmp_path, min_volume=4.0), work)
    assert f"data.split={work / 'split.json'}" in asked
    assert read_split(work / "split.json") == Split(("m1",), ("m3",), ("m5",))
    with pytest.raises(InputError, match="leaves a part of the split empty"):
        run(_config(tmp_path, min_volume=5.0), work)


def test_a_test_material_needs_a_kind(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="test part of no kind"):
        run(_config(folder, kinds=["first"]), tmp_path)
    with pytest.raises(InputError, match="fitted names 'solids'"):
        run(_config(folder, kinds=["first", "second"], fitted=["solids"]), tmp_path)
    with pytest.raises(InputError, match="low < high"):
        run(_config(folder, high=0), tmp_path)
    with pytest.raises(InputError, match="no learning rate for L = 2"):
        run(_config(folder, high=2, rates={0: 0.01}), tmp_path)


def test_settings_of_the_user_outweigh_the_rates(folder: Path, tmp_path: Path) -> None:
    rates = {0: 0.0123456789, 1: 0.2}
    data = {"store": str(folder / "store"), "split": str(folder / "split.json"), "launcher": []}
    settings = ["experiment=study/angular_dependence", *TINY]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charge3net.studies.training.charge3net_command", lambda asked: main(list(asked)))
        sweep_orders(settings, str(tmp_path / "by_rate"), [0], rates, [0], **data)
        sweep_orders([*settings, "optim.lr=0.003"], str(tmp_path / "by_user"), [1], rates, [0], **data)
    found = {path: find_runs(tmp_path / path)[0].config["optim"]["lr"] for path in ("by_rate", "by_user")}
    assert found == {"by_rate": 0.0123456789, "by_user": 0.003}


def _config(folder: Path, **changed: Any) -> Config:
    settings = {
        "store": str(folder / "store"),
        "split": str(folder / "split.json"),
        "kinds": [],
        "experiment": "angular_dependence",
        "low": 0,
        "high": 4,
        "rates": {0: 0.01, 4: 0.01},
        "seeds": [0],
        "min_volume": None,
    }
    return config_of("angular_dependence", **{**settings, **changed})
