"""The study of new compositions: its trainings, who may be tested, averages by hand, figures and text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charge3net.cli.main import main
from charge3net.data.splits import Split, read_split
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.studies import new_compositions
from charge3net.studies.new_compositions.config import Config, Network, TestKind
from charge3net.studies.new_compositions.measure import Seen, choose
from charge3net.studies.new_compositions.study import read_release
from charge3net.studies.new_compositions.summary import by_formula, gains, of_kind
from charge3net.studies.new_compositions.trainings import Training, arguments, planned, with_fraction
from tests.helpers.studies import config_of, count_models, errors_of, rattled_density, untrained_run, write_set

TRAIN = {"a": [1, 3], "b": [8, 3], "c": [3, 3, 8]}
TEST = {"t0": [8, 1, 1], "t1": [8, 3, 3], "t2": [8, 1, 1], "t3": [25, 8, 8], "t4": [25, 8]}
RELEASE = {
    "test": [{"key": k, "kind": "cells", "spread": 0.01, "error": 0.02, "sad": 0.25, "formula": "X"} for k in "abcde"],
    "summary": {
        "test": {
            "cells": {
                "entries": 5,
                "formulas": 3,
                "error_percent": 2.0,
                "by_formula_percent": 1.5,
                "sad_percent": 25.0,
                "below_sad": 4,
            }
        }
    },
    "uncertainty": {
        "test": {
            "all": {"entries": 5, "spearman": 0.8, "coverage": 0.9},
            "cells": {"entries": 5, "spearman": 0.7, "coverage": 0.8},
        }
    },
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two networks, the second with two seeds, a fraction and a lower rotation order; one kind of test structures."""
    densities = {key: rattled_density(numbers, i) for i, (key, numbers) in enumerate({**TRAIN, **TEST}.items())}
    split = Split(("a", "b"), ("c",), tuple(TEST))
    store, path = write_set(tmp_path / "set", densities, split)
    (tmp_path / "release.json").write_text(json.dumps(RELEASE))
    return Config(
        store=str(store),
        split=str(path),
        isolated_atoms=None,
        tests={"cells": TestKind(str(store), str(path), "any")},
        experiment="delta",
        networks={"plain": Network(["model=painn"], [0], 9, [0]), "delta": Network([], [0, 1], None, [])},
        reference="delta",
        compared="plain",
        steps=7,
        fractions=[0.5],
        fraction_kinds=["cells"],
        fraction_networks=["delta"],
        fraction_seeds=[0],
        orders=[0],
        order_seeds=[0],
        gain_kinds=["cells"],
        release=str(tmp_path / "release.json"),
        overrides=["runtime.threads=1"],
    )


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Trainings are replaced by random weights (L = 1, unless asked for another); returns the settings of each."""
    asked: list[dict[str, str]] = []

    def train(arguments: Sequence[str]) -> None:
        settings = dict(argument.split("=", 1) for argument in arguments[1:])
        asked.append(settings)
        order = int(settings.get("model.lmax", 1))
        folder = Path(settings["output"])
        untrained_run(folder, Path(settings["data.split"]), 10 * len(asked) + int(settings["seed"]), order)
        own = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**own, "seed": int(settings["seed"])}))
        summary = json.loads((folder / "summary.json").read_text())
        summary |= {"step": int(settings["train.max_steps"]), "processor_seconds": 30.0 * len(asked)}
        (folder / "summary.json").write_text(json.dumps(summary))

    monkeypatch.setattr("charge3net.studies.training.charge3net_command", train)
    return asked


def test_errors_are_those_of_the_evaluation_and_nothing_is_done_twice(
    config: Config, trained: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    result = new_compositions.run(config, work)
    names = [Path(settings["output"]).name for settings in trained]
    assert sorted(names) == [
        "delta,formulas=0.5,steps=7,seed=0",
        "delta,lmax=0,steps=7,seed=0",
        "delta,steps=7,seed=0",
        "delta,steps=7,seed=1",
        "plain,steps=7,seed=0",
        "plain,steps=9,seed=0",
    ]
    assert [settings["seed"] for settings in trained] == ["0"] * 5 + ["1"]  # first seeds of everything first
    row = next(row for row in result["tables"]["equal_steps"] if row["network"] == "delta")
    runs = [work / "runs" / f"delta,steps=7,seed={seed}" for seed in (0, 1)]
    expected = np.array([errors_of(run, Path(config.store), list(TEST)) for run in runs])
    found = row["kinds"]["cells"]
    assert found["seeds"] == pytest.approx(expected.mean(axis=1), rel=1e-4)
    means = expected.mean(axis=0)
    assert found["entry"]["mean"] == pytest.approx(means.mean(), rel=1e-4)
    each = [(means[0] + means[2]) / 2, means[1], means[3], means[4]]  # t0 and t2 are both H2O
    assert found["formula"]["mean"] == pytest.approx(np.mean(each), rel=1e-4)
    assert result["sad"]["cells"]["entry"]["mean"] == pytest.approx(25.0, rel=1e-4)
    assert result["pairs"]["equal_steps"]["cells"]["entry"]["count"] == 5
    assert result["gains"]["cells"]["orders"] == [0, 1]
    assert result["gains"]["cells"]["seeds"] == [0]
    counts = count_models(monkeypatch)
    trained.clear()
    assert json.dumps(new_compositions.run(config, work)) == json.dumps(result)
    assert not trained
    assert not counts


def test_figures_and_text_follow_from_the_result(config: Config, trained: list[dict[str, str]], tmp_path: Path) -> None:
    result = json.loads(json.dumps(new_compositions.run(config, tmp_path / "work")))
    drawn = new_compositions.figures(result)
    assert set(drawn) == {"errors", "formulas", "orders", "gain", "trust"}
    text = new_compositions.section(result, {name: f"{name}.svg" for name in drawn})
    for name in drawn:
        assert f"({name}.svg)" in text
    assert "2 models were trained on the same 2 structures of 2 formulas" in text
    assert "6 trainings, 630 s of processor time" in text or "6 trainings, 10 min of processor time" in text
    assert "| cells | 5 | 4 | 0 | 0 | 25.00 ± 0.00 | 25.00 ± 0.00 |" in text
    assert "| cells | 5 | 3 | 2.00 | 1.50 | 25.00 | 4 | 0.70 | 80 % |" in text
    assert "benchmark set v2 (5): 0.80, 90 %." in text


def test_a_study_of_one_network_has_its_page(config: Config, trained: list[dict[str, str]], tmp_path: Path) -> None:
    """Every part but the table of equal steps can be left out."""
    config.networks = {"delta": config.networks["delta"]}
    config.compared, config.release, config.orders, config.fractions = None, None, [], []
    result = json.loads(json.dumps(new_compositions.run(config, tmp_path / "work")))
    drawn = new_compositions.figures(result)
    assert set(drawn) == {"errors"}
    assert "Equal time" not in new_compositions.section(result, {"errors": "errors.svg"})


def test_the_settings_of_a_training(config: Config) -> None:
    plan = planned(config)
    assert plan["equal_time"] == [Training("plain", 9, 0)]
    assert plan["orders"] == [Training("delta", 7, 0, order=0)]
    found = arguments(config, plan["orders"][0], Path("part.json"))
    assert found[:4] == ["experiment=delta", "model.lmax=0", "train.max_steps=7", "seed=0"]
    assert found[-2:] == ["resume=true", "runtime.threads=1"]
    config.fraction_networks = ["nobody"]
    with pytest.raises(InputError, match="no network 'nobody'"):
        planned(config)


def test_the_default_settings_make_trainings(capsys: pytest.CaptureFixture[str]) -> None:
    """Every network of conf/study is composed by ``charge3net train`` with its settings."""
    config = config_of("new_compositions")
    assert {name for name, part in planned(config).items() if part} == {"equal_steps", "fractions", "orders"}
    seen = set()
    for training in planned(config)["equal_steps"]:
        if training.network not in seen:
            seen.add(training.network)
            assert main(["train", *arguments(config, training, Path("s.json")), "output=x", "-c", "job"]) == 0
    shown = capsys.readouterr().out
    for architecture in ("fitted_atoms", "delta_local", "schnet", "painn", "charge3net", "charge3net_delta"):
        assert f"architecture: {architecture}\n" in shown


def test_fractions_are_nested_and_keep_whole_formulas() -> None:
    formulas = {f"{formula}-{copy}": formula for formula in "ABCDEFGH" for copy in range(3)}
    split = Split((*formulas, "molecule"), ("v",), ("t",))
    half, quarter = (with_fraction(split, formulas, fraction, 0) for fraction in (0.5, 0.25))
    assert len(half.train) == 4 * 3 + 1
    assert len(quarter.train) == 2 * 3 + 1
    assert set(quarter.train) < set(half.train)
    assert "molecule" in quarter.train
    assert half.validation == ("v",)
    assert {key[0] for key in with_fraction(split, formulas, 0.5, 1).train} != {key[0] for key in half.train}
    with pytest.raises(InputError, match="no formula of 8"):
        with_fraction(split, formulas, 0.01, 0)


def test_structures_that_training_knows_are_not_tested(tmp_path: Path) -> None:
    """Of another store: the same structure, a known formula in other positions, a formula of validation, a new one."""
    train = write_set(
        tmp_path / "train",
        {"a": rattled_density([1, 3]), "v": rattled_density([8, 3])},
        Split(("a",), ("v",), ()),
    )
    other = {
        "same": rattled_density([1, 3]),
        "moved": rattled_density([1, 3], 5),
        "validated": rattled_density([8, 3], 6),
        "new": rattled_density([25, 3], 7),
    }
    store, _ = write_set(tmp_path / "other", other, Split((), (), tuple(other)))
    seen = Seen.of(Store(train[0]), read_split(train[1]))
    every = choose("other", TestKind(str(store), None, "any"), seen)
    assert every.test.keys == ("moved", "validated", "new")
    assert every.known == (True, False, False)
    assert every.left_out == 1
    assert choose("other", TestKind(str(store), None, "new"), seen).test.keys == ("new",)
    assert choose("other", TestKind(str(store), None, "known"), seen).test.keys == ("moved",)
    with pytest.raises(InputError, match="choose new, known or any"):
        choose("other", TestKind(str(store), None, "old"), seen)
    with pytest.raises(InputError, match="no structure of the test 'own'"):
        choose("own", TestKind(str(train[0]), None, "any"), seen)


def test_averages() -> None:
    errors = np.array([[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]])
    kind = {"formulas": ["A", "A", "B"], "sad": [2.0, None, 5.0], "zeta": [0.1, 0.2, 0.3]}
    np.testing.assert_allclose(by_formula(errors[0], kind["formulas"]), [2.0, 5.0])
    found = of_kind(errors, kind)
    assert found["entry"]["mean"] == 3.5
    assert found["formula"]["mean"] == 4.0  # (1.5 + 3.5) / 2 = 2.5 and 5.5
    assert found["seeds"] == [3.0, 4.0]
    assert found["seeds_by_formula"] == [3.5, 4.5]
    assert (found["below_sad"], found["with_sad"]) == (1, 2)


def test_gains_take_the_seeds_that_both_orders_have() -> None:
    def run(order: int, seed: int, errors: list[float]) -> dict[str, Any]:
        return {"order": order, "seed": seed, "errors": {"k": errors}}

    kind = {"formulas": list("ABCD"), "zeta": [0.1, 0.2, 0.3, 0.4]}
    low = [run(0, 0, [2.0, 3.0, 4.0, 5.0])]
    high = [run(4, 0, [1.0, 1.0, 1.0, 1.0]), run(4, 1, [9.0, 9.0, 9.0, 9.0])]
    found = gains(low, high, kind, "k")
    assert found["gain"] == [1.0, 2.0, 3.0, 4.0]
    assert found["rho"]["rho"] == pytest.approx(1.0)
    assert found["helped"] == 4


def test_a_file_that_is_no_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match=r"other\.json is not what data_prep\.shipped_models\.release writes"):
        read_release(tmp_path / "other.json")
