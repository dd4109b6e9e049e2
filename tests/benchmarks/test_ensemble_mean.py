"""Rules for the mean of an ensemble: errors by hand, and every choice of three members."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ensemble_mean
from benchmarks.record import ROOT
from benchmarks.table import RESULTS
from benchmarks.table import ensemble_mean as shown
from charge3net import Predictor
from charge3net.data.splits import Split
from tests.helpers.studies import rattled_density, untrained_run, write_set


def test_a_member_that_is_far_off_spoils_the_mean_alone() -> None:
    total = np.full((1, 1, 2), 0.5)
    members = np.stack([total, total + 0.01, total - 0.01])
    members[2, 0, 0, 1] = 4.0
    found = ensemble_mean.rules(members, total)
    assert found["mean"][0] == pytest.approx(100.0 * abs(0.01 + 3.5) / 3.0)
    assert found["median"][0] == pytest.approx(1.0)  # 0.01 of 0.5 at one of two points
    limit = 0.05 * np.sqrt(0.51 + 0.02)
    assert found["limit 0.05"][0] == pytest.approx(100.0 * (0.0 + 0.01 + 0.01 + limit) / 3.0)


def test_every_choice_has_its_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    densities = {key: rattled_density([1, 3], i) for i, key in enumerate("abc")}
    write_set(tmp_path, densities, Split(("a",), ("b", "c"), ()))
    Split(("a",), ("b", "c"), ()).save(tmp_path / "crystals" / "split.json")
    monkeypatch.setattr(ensemble_mean, "KINDS", ("crystals",))
    runs = [untrained_run(tmp_path / str(seed), tmp_path / "split.json", seed) for seed in range(4)]
    members = [Predictor.from_checkpoint(run) for run in runs]
    found = ensemble_mean.measure(members, tmp_path)
    assert set(found) == {"0", "1", "2", "3", "0 1 2", "0 1 3", "0 2 3", "1 2 3", "0 1 2 3"}
    alone = []
    for key in "bc":
        truth = densities[key].total.astype(float)
        predicted = members[3].predict(densities[key].geometry, grid=densities[key].grid).total
        alone.append(100.0 * np.abs(predicted - truth).sum() / truth.sum())
    assert found["3"]["crystals"]["alone"]["error"] == pytest.approx(np.mean(alone), abs=1e-3)
    assert found["3"]["crystals"]["alone"]["largest"] == pytest.approx(max(alone), abs=1e-2)
    lines = shown({"choices": found})
    assert [line.split("|")[1].strip() for line in lines[2:-2]] == ["1"] + ["3"] * 6 + ["4"] * 6


def test_what_cannot_be_measured_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path, {"a": rattled_density([1, 3], 0)}, Split((), ("a",), ()))
    runs = [str(untrained_run(tmp_path / str(seed), tmp_path / "split.json", seed)) for seed in range(3)]
    for folder, members, reason in [
        (tmp_path, runs[:2], "three members or more, found 2"),
        (tmp_path / "empty", runs, "is not a store"),
        (tmp_path, runs, "crystals"),  # no split of a kind
        (tmp_path, [*runs, str(tmp_path / "empty")], "no such file or folder"),
    ]:
        with pytest.raises(SystemExit) as refused:
            ensemble_mean.main([str(folder), *members, "--out", str(tmp_path / "out.json")])
        assert refused.value.code == 2
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_the_page_has_rows_of_the_committed_result() -> None:
    lines = shown(json.loads((RESULTS / "ensemble_mean.json").read_text(encoding="utf-8")))
    page = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")
    start = page.index(lines[0])
    table = page[start : page.index("\n\n", start)].splitlines()
    assert len(table) == 7
    assert set(table) <= set(lines)
