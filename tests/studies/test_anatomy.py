"""The anatomy study end to end on Gaussian atoms, against the evaluation and sums by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from charge3net.data.splits import Split
from charge3net.errors import InputError
from charge3net.plot.isosurface import error_isosurfaces
from charge3net.studies import anatomy
from charge3net.studies.anatomy.config import Group
from charge3net.studies.anatomy.summary import sum_up
from tests.helpers.studies import count_models, errors_of, rattled_density, untrained_run, write_set

KEYS = ["t0", "t1", "t2"]
SPREAD = {"t0": 1.0, "t1": 2.0}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> anatomy.Config:
    folder = tmp_path_factory.mktemp("anatomy")
    contents = {"a": [1, 3], "b": [8, 3], "t0": [8, 1, 1], "t1": [8, 3, 3], "t2": [3, 1]}
    densities = {key: rattled_density(numbers, i) for i, (key, numbers) in enumerate(contents.items())}
    store, split = write_set(folder, densities, Split(("a",), ("b",), tuple(KEYS)))
    runs = [untrained_run(folder / f"run{seed}", split, seed) for seed in (0, 1)]
    rows = [{"key": key, "epsilon_mad": value} for key, value in SPREAD.items()]
    spread = {"code": "code 1", "mode": "PW", "functionals": ["LDA", "PBE"], "structures": rows}
    (folder / "functionals.json").write_text(json.dumps(spread))
    groups = {"cells": Group(str(split), [str(run) for run in runs])}
    return anatomy.Config(str(store), str(split), groups, str(folder / "functionals.json"))


@pytest.fixture(scope="module")
def result(config: anatomy.Config, tmp_path_factory: pytest.TempPathFactory) -> dict:
    return json.loads(json.dumps(anatomy.run(config, tmp_path_factory.mktemp("work"))))


def test_errors_are_those_of_the_evaluation(config: anatomy.Config, result: dict) -> None:
    group, runs = result["groups"]["cells"], config.groups["cells"].models
    expected = np.array([errors_of(Path(run), Path(config.store), KEYS) for run in runs])
    found = np.array([one["nmae_of_seeds"] for one in group["structures"]]).T
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    means = expected.mean(axis=0)
    summary = group["summary"]
    assert summary["nmae"]["mean"] == pytest.approx(means.mean(), rel=1e-4)
    assert summary["nmae"]["standard_error"] == pytest.approx(means.std(ddof=1) / np.sqrt(3), rel=1e-2)
    assert summary["seed_spread"] == pytest.approx(expected.mean(axis=1).std(ddof=1), rel=1e-2)
    assert summary["baseline"]["mean"] == pytest.approx(25.0, rel=1e-4)
    assert summary["ratio"] == pytest.approx(25.0 / means.mean(), rel=1e-3)
    assert summary["spread"]["mad"]["mean"] == 1.5
    assert summary["spread"]["nmae"]["mean"] == pytest.approx(means[:2].mean(), rel=1e-4)


def test_parts_of_the_error_add_up(result: dict) -> None:
    group = result["groups"]["cells"]
    for profile in (group["distance"], group["density"]):
        assert sum(profile["share"]) == pytest.approx(1.0, abs=1e-3)
        assert sum(profile["electrons"]) == pytest.approx(1.0, abs=1e-3)
        pooled = np.nansum(np.array(profile["relative"], dtype=float) * np.array(profile["electrons"]))
        by_element = [(row["mean"], row["electrons"]) for row in group["elements"].values()]
        held = np.array([electrons for _, electrons in by_element])
        assert pooled == pytest.approx(float(np.average([mean for mean, _ in by_element], weights=held)), rel=2e-3)
    assert {z: row["atoms"] for z, row in group["elements"].items()} == {"1": 3, "3": 3, "8": 2}
    assert held.sum() == pytest.approx(2 * 8 + 3 * 1 + 3 * 3, rel=1e-3)
    baseline = np.array(group["distance"]["baseline"], dtype=float)
    np.testing.assert_allclose(baseline[np.isfinite(baseline)], 25.0, rtol=1e-3)


def test_figures_and_text_follow_from_the_result(result: dict) -> None:
    drawn = anatomy.figures(result)
    assert set(drawn) == {"errors", "elements", "distances", "densities", "surfaces_cells"}
    text = anatomy.section(result, {name: f"{name}.png" for name in drawn})
    for name in drawn:
        assert f"({name}.png)" in text
    assert "seeds 0 and 1" in text
    assert "are 30.0 % on average" in text  # the last losses of the run folders, 0.2 and 0.4
    assert "0 of 2" in text  # random weights are no closer than functionals are


def test_a_finished_study_computes_nothing_again(
    config: anatomy.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_models(monkeypatch)
    first = anatomy.run(config, tmp_path)
    # each of two models loaded once, on three structures, and the first model again for three pictures
    assert counts == {"loaded": 2, "predicted": 9}
    counts.clear()
    monkeypatch.setattr("charge3net.studies.anatomy.measure.analyse_error", lambda *_: pytest.fail("computed again"))
    assert anatomy.run(config, tmp_path) == first
    assert not counts


def test_test_structures_that_were_trained_on_are_refused(config: anatomy.Config, tmp_path: Path) -> None:
    Split((*KEYS[:1], "b"), (), ("a",)).save(tmp_path / "other.json")
    run = untrained_run(tmp_path / "run", tmp_path / "other.json", 0)
    group = Group(config.groups["cells"].split, [str(run)])
    with pytest.raises(InputError, match="trained or chosen on 't0'"):
        anatomy.run(anatomy.Config(config.store, config.split, {"cells": group}, config.functionals), tmp_path)


def test_structures_outside_the_split_of_all_kinds_are_left_out(config: anatomy.Config, tmp_path: Path) -> None:
    Split(("a",), (), ("t1", "t2")).save(tmp_path / "whole.json")
    groups = {"cells": Group(config.groups["cells"].split, config.groups["cells"].models[:1])}
    found = anatomy.run(
        anatomy.Config(config.store, str(tmp_path / "whole.json"), groups, config.functionals), tmp_path
    )["groups"]["cells"]
    assert found["left_out"] == ["t0"]
    assert [one["key"] for one in found["structures"]] == ["t1", "t2"]


def test_a_file_without_a_spread_is_refused(config: anatomy.Config, tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(InputError, match="holds no spread"):
        anatomy.run(anatomy.Config(config.store, config.split, config.groups, str(tmp_path / "empty.json")), tmp_path)


def test_pooled_errors_by_hand() -> None:
    def one(key: str, held: float, wrong: float, shells: list[float]) -> dict:
        element = {"atoms": 1, "without_maximum": 0, "reference": held, "error": wrong, "baseline": None}
        parts = {"reference": shells, "error": [0.1 * shell for shell in shells], "baseline": None}
        density = {name: [0.0] * 34 + [held] for name in ("volume", "predicted", "reference", "error")}
        facts = {"key": key, "formula": "O", "atoms": 1, "nmae": [2.0, 4.0], "baseline": None, "astray": 0.0}
        return {**facts, "elements": {"8": element}, "distance": parts, "density": density}

    summed = sum_up([one("a", 10.0, 1.0, [1.0, 3.0]), one("b", 30.0, 1.0, [6.0])], {})
    assert summed["elements"]["8"]["mean"] == pytest.approx(5.0)
    assert summed["elements"]["8"]["standard_error"] == pytest.approx(2.5)  # residuals ±50 over a mean of 20
    assert summed["distance"]["electrons"] == [0.7, 0.3]
    assert summed["distance"]["relative"] == [10.0, 10.0]
    assert summed["distance"]["baseline"] is None
    assert summed["summary"]["seeds"] == [2.0, 4.0]
    assert "ratio" not in summed["summary"]


def test_an_error_below_the_level_has_no_surface() -> None:
    flat = rattled_density([8, 3])
    with pytest.raises(InputError, match="nowhere reaches"):
        error_isosurfaces([flat], ["too high"], [1e3])
