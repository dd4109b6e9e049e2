"""What a model says of its errors, beside the true ones: in the log, the tables, the text and the figure."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charge3net.cli.evaluate import format_expected
from charge3net.cli.main import main
from charge3net.data.splits import Split
from charge3net.data.store import Store
from charge3net.density import Density
from charge3net.evaluation.expectations import Expectation, Honesty
from charge3net.evaluation.files import EvaluationLog, read_evaluation, write_evaluation
from charge3net.evaluation.materials import Evaluation, MaterialErrors, evaluate
from charge3net.grid import Grid
from tests.helpers.evaluation import Scaled, make_store

#: True error, expected error, low and high end in %: the second is outside.
TOLD = {"m3": (2.0, 1.5, 1.0, 2.5), "m4": (4.0, 2.0, 1.5, 3.0), "m5": (9.0, 8.0, 6.0, 12.0)}


class Telling(Scaled):
    """Predicts the density times a factor, and says what it expects."""

    def predict(self, structure: Any, *, grid: Grid) -> Density:
        density = super().predict(structure, grid=grid)
        _, expected, low, high = TOLD[self.asked[-1]]
        said = {"relative_spread": 0.01, "distance": 0.7, "group": "new", "flags": ["Li is rare"]}
        said |= {"expected_percent": expected, "low_percent": low, "high_percent": high}
        return replace(density, provenance={"uncertainty": said, "electron_error": -0.002})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Split]:
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture
def found(data: tuple[Store, Split]) -> list[MaterialErrors]:
    store, _ = data
    factors = {key: 1.0 + true / 100.0 for key, (true, *_) in TOLD.items()}
    return list(evaluate(Telling(store, factors), store, list(TOLD)))


def test_expectations_come_from_the_provenance(found: list[MaterialErrors]) -> None:
    said = found[1].expectation
    assert (said.expected_percent, said.low_percent, said.high_percent) == (2.0, 1.5, 3.0)
    assert (said.spread_percent, said.distance, said.group) == (pytest.approx(1.0), 0.7, "new")
    assert said.valence_error_percent == pytest.approx(-0.2)
    assert said.flags == ("Li is rare",)
    assert Expectation.of({}) == Expectation()


def test_coverage_and_rank(found: list[MaterialErrors]) -> None:
    honesty = Honesty.of(found * 2)
    assert honesty is not None
    assert honesty.count == 6
    assert honesty.coverage == pytest.approx(2 / 3)
    assert honesty.rank is not None
    assert honesty.rank.rho == pytest.approx(1.0)
    silent = [replace(material, expectation=Expectation()) for material in found]
    assert Honesty.of(silent) is None
    assert "expected_error" not in Evaluation(tuple(silent)).summary()


def test_files_and_text(found: list[MaterialErrors], tmp_path: Path) -> None:
    log = EvaluationLog(tmp_path, {"weights": "w"})
    for material in found:
        log.append(material)
    evaluation = Evaluation(tuple(found), {}, {"name": "telling", "keys": list(TOLD)})
    write_evaluation(evaluation, tmp_path)
    assert read_evaluation(tmp_path).materials == evaluation.materials
    with (tmp_path / "evaluation.csv").open() as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    assert [float(rows["m5"][f"{name}_nmae_percent"]) for name in ("expected", "low", "high")] == [8.0, 6.0, 12.0]
    assert (rows["m5"]["group"], rows["m5"]["flags"]) == ("new", "Li is rare")
    summary = json.loads((tmp_path / "evaluation.json").read_text())["summary"]
    assert summary["expected_error"]["coverage_of_90_percent_interval"] == pytest.approx(2 / 3)
    lines = format_expected(evaluation).splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["m5", "m4", "m3"]
    assert "4.000*" in lines[3]
    assert "67 % of 3 true errors in the 90 % interval" in lines[-2]


def test_a_log_of_before_has_no_expectations(found: list[MaterialErrors], tmp_path: Path) -> None:
    log = EvaluationLog(tmp_path, {"weights": "w"})
    log.append(found[0])
    head, line = log.path.read_text().splitlines()
    old = {name: value for name, value in json.loads(line).items() if name != "expectation"}
    log.path.write_text(f"{head}\n{json.dumps(old)}\n")
    assert EvaluationLog(tmp_path, {"weights": "w"}).finished["m3"].expectation == Expectation()


def test_figure(found: list[MaterialErrors], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    log = EvaluationLog(tmp_path / "told", {"weights": "w"})
    for material in found:
        log.append(material)
    write_evaluation(Evaluation(tuple(found), {}, {"name": "telling"}), tmp_path / "told")
    assert main(["plot", "expected", str(tmp_path / "told"), "-o", str(tmp_path / "a.svg")]) == 0
    assert (tmp_path / "a.svg").stat().st_size > 5000
    silent = tuple(replace(material, expectation=Expectation()) for material in found)
    log = EvaluationLog(tmp_path / "silent", {"weights": "w"})
    for material in silent:
        log.append(material)
    write_evaluation(Evaluation(silent, {}, {"name": "silent"}), tmp_path / "silent")
    assert main(["plot", "expected", str(tmp_path / "silent"), "-o", str(tmp_path / "b.svg")]) == 2
    assert "no expected errors" in capsys.readouterr().err


def test_points_and_intervals_of_the_figure() -> None:
    pytest.importorskip("matplotlib")
    from charge3net.plot import expected_errors

    values = np.array([[2.0, 1.5, 1.0, 2.5], [4.0, 2.0, 1.5, 3.0]])
    (ax,) = expected_errors({"new": values, "crystals": values / 2}, "title").axes
    drawn = [container.lines[0].get_xydata() for container in ax.containers]
    np.testing.assert_allclose(drawn[0], values[:, [1, 0]])
    assert ax.get_legend_handles_labels()[1][1:] == [
        "new: 2, 50 % in the interval",
        "crystals: 2, 50 % in the interval",
    ]
