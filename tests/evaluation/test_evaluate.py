"""Evaluation: numbers known in closed form, files, resuming, comparison, the command line."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from charge3net.analysis.metrics import ErrorSums
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.data.splits import Split
from charge3net.data.store import Store
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.evaluation.comparison import comparison_rows
from charge3net.evaluation.files import EvaluationLog, read_evaluation, write_evaluation
from charge3net.evaluation.materials import Evaluation, evaluate, material_errors
from charge3net.evaluation.run import TestSet, caveats_of
from charge3net.grid import Grid
from charge3net.models.registry import build_model
from charge3net.train.runs import unique_names
from tests.helpers.evaluation import Scaled, make_store


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Split]:
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, data: tuple[Store, Split]) -> Path:
    torch.manual_seed(0)
    model = build_model("schnet", {"features": 8, "num_interactions": 1})
    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(folder, model, ModelCard.of(model, [1, 3], {"split_hash": data[1].hash}))
    return folder


def test_a_scaled_density_has_the_error_of_its_scale(data: tuple[Store, Split]) -> None:
    store, split = data
    factors = {key: 1.0 + 0.01 * (i + 1) * (-1) ** i for i, key in enumerate(store.keys())}
    materials = list(evaluate(Scaled(store, factors), store, split.test, angular=True))
    assert [m.key for m in materials] == list(split.test)
    for m in materials:
        entry, error = store[m.key], factors[m.key] - 1.0
        assert m.total.nmae == pytest.approx(100 * abs(error), rel=1e-4)
        assert m.total.electron_error(m.voxel_volume) == pytest.approx(error * entry.electrons, rel=1e-4)
        assert m.total.largest == pytest.approx(abs(error) * entry.values.max(), rel=1e-4)
        assert m.baseline is not None
        assert m.baseline.nmae == pytest.approx(25.0, rel=1e-4)
        assert m.total.voxels == 14 * 12 * 16
        assert set(m.elements) == {1, 3}
        assert sum(e.absolute for e in m.elements.values()) == pytest.approx(m.total.absolute)
        for sums in m.elements.values():
            assert sums.nmae == pytest.approx(100 * abs(error), rel=1e-4)
        assert sum(m.parity.values()) == m.total.voxels
        assert m.zeta is not None
        assert 0.0 < m.zeta < 0.5


def test_electrons_near_an_element_are_its_own(data: tuple[Store, Split]) -> None:
    """Gaussians of 1 and 3 electrons that hardly overlap: the voxels of an element hold its electrons."""
    store, split = data
    (material,) = evaluate(Scaled(store, dict.fromkeys(store.keys(), 1.0)), store, split.test[:1])
    held = {z: sums.reference * material.voxel_volume for z, sums in material.elements.items()}
    assert held[1] == pytest.approx(1.0, abs=0.15)
    assert held[3] == pytest.approx(3.0, abs=0.15)


def test_magnetisation(tmp_path: Path) -> None:
    store, split = make_store(tmp_path / "spin", spin=True)
    (material,) = evaluate(Scaled(store, dict.fromkeys(store.keys(), 0.9)), store, split.test[:1])
    assert material.spin is not None
    assert material.unsigned_spin is not None
    assert material.spin.nmae == pytest.approx(10.0, rel=1e-4)
    assert material.unsigned_spin.nmae == pytest.approx(10.0, rel=1e-4)


def test_magnetisation_up_to_its_sign() -> None:
    target = np.array([1.0, -2.0, 0.0, 1.0])
    found = ErrorSums.unsigned(np.array([-1.0, 1.5, 0.0, 0.5]), target)  # of −m̂: 0, 0.5, 0, 1.5
    assert found.absolute == pytest.approx(2.0)
    assert found.nmae == pytest.approx(50.0)
    assert ErrorSums.of(np.array([-1.0, 1.5, 0.0, 0.5]), target).absolute == pytest.approx(6.0)


def test_a_failure_is_reported_and_the_others_are_kept(data: tuple[Store, Split]) -> None:
    store, split = data
    predictor = Scaled(store, dict.fromkeys(store.keys(), 1.1), broken=split.test[1])
    failed: dict[str, str] = {}
    materials = list(evaluate(predictor, store, split.test, on_failure=failed.__setitem__))
    assert [m.key for m in materials] == [split.test[0], split.test[2]]
    assert list(failed) == [split.test[1]]
    with pytest.raises(InputError, match="not finite"):
        list(evaluate(predictor, store, split.test))
    with pytest.raises(InputError, match="nothing"):
        list(evaluate(predictor, store, ["nothing"]))


def test_another_grid_is_refused(data: tuple[Store, Split]) -> None:
    entry = data[0]["m0"]
    grid = Grid(entry.grid.cell, (14, 12, 18))
    with pytest.raises(InputError, match="m0: the prediction has grid"):
        material_errors(entry, Density(entry.geometry, grid, np.ones((1, 14, 12, 18))), 0.0)


def test_files_hold_what_was_found(data: tuple[Store, Split], tmp_path: Path) -> None:
    store, split = data
    factors = dict(zip(split.test, (1.02, 1.04, 1.09), strict=True))
    log = EvaluationLog(tmp_path, {"weights": "w"})
    for material in evaluate(Scaled(store, factors), store, split.test):
        log.append(material)
    evaluation = Evaluation(tuple(log.finished.values()), {}, {"name": "scaled", "keys": list(split.test)})
    write_evaluation(evaluation, tmp_path)
    with (tmp_path / "evaluation.csv").open() as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    for key, factor in factors.items():
        assert float(rows[key]["nmae_percent"]) == pytest.approx(100 * (factor - 1), rel=1e-4)
        assert rows[key]["zeta"] == ""
    with (tmp_path / "elements.csv").open() as file:
        assert [row["element"] for row in csv.DictReader(file)] == ["H", "Li"]
    summary = json.loads((tmp_path / "evaluation.json").read_text())["summary"]
    assert summary["nmae_percent"]["mean"] == pytest.approx(5.0, rel=1e-4)
    assert summary["nmae_percent"]["standard_error"] == pytest.approx(np.std([2, 4, 9], ddof=1) / np.sqrt(3), rel=1e-3)
    assert summary["baseline_nmae_percent"]["mean"] == pytest.approx(25.0, rel=1e-4)
    again = read_evaluation(tmp_path)
    assert again.materials == evaluation.materials
    assert again.facts == evaluation.facts
    assert not list(tmp_path.glob("*.part"))


def test_log_resumes_after_a_crash_and_refuses_another_model(data: tuple[Store, Split], tmp_path: Path) -> None:
    store, split = data
    predictor = Scaled(store, dict.fromkeys(store.keys(), 1.1))
    log = EvaluationLog(tmp_path, {"weights": "w"})
    log.append(next(iter(evaluate(predictor, store, split.test))))
    with log.path.open("a") as file:
        file.write('{"key": "m9", "formu')  # the power went out here
    resumed = EvaluationLog(tmp_path, {"weights": "w"})
    assert list(resumed.finished) == [split.test[0]]
    assert resumed.finished == log.finished
    before = log.path.read_bytes()
    with pytest.raises(InputError, match="another model"):
        EvaluationLog(tmp_path, {"weights": "other"})
    assert log.path.read_bytes() == before


def _evaluation(name: str, store: Store, split: Split, factors: tuple[float, ...]) -> Evaluation:
    predictor = Scaled(store, dict(zip(split.test, factors, strict=True)))
    return Evaluation(tuple(evaluate(predictor, store, split.test)), {}, {"name": name})


def test_comparison_is_paired_over_materials(data: tuple[Store, Split]) -> None:
    worse = _evaluation("worse", *data, (1.03, 1.05, 1.11))
    better = _evaluation("better", *data, (1.02, 1.035, 1.10))
    rows = comparison_rows([worse, better])
    assert [row["model"] for row in rows] == ["better", "worse"]
    assert rows[0]["difference"] is None
    difference = np.array([1.0, 1.5, 1.0])
    assert rows[1]["difference"] == pytest.approx(difference.mean(), rel=1e-3)
    half = 4.3026527 * difference.std(ddof=1) / np.sqrt(3)  # Student's t, two degrees of freedom
    assert rows[1]["difference_low"] == pytest.approx(difference.mean() - half, rel=1e-2)


def test_every_formula_counts_once(data: tuple[Store, Split]) -> None:
    store, split = data
    found = _evaluation("one", store, split, (1.01, 1.02, 1.06))
    renamed = [replace(material, formula=name) for material, name in zip(found.materials, ("A", "A", "B"), strict=True)]
    average = Evaluation(tuple(renamed)).nmae_by_formula()
    assert average.count == 2
    assert average.mean == pytest.approx((1.5 + 6.0) / 2, rel=1e-4)
    assert Evaluation(tuple(renamed)).summary()["nmae_by_formula_percent"]["mean"] == average.mean


def test_caveats(data: tuple[Store, Split], checkpoint: Path) -> None:
    from charge3net.checkpoints import load_card

    store, split = data
    card = load_card(checkpoint)
    assert caveats_of(card, TestSet.of(store, split)) == []
    assert "training materials" in caveats_of(card, TestSet.of(store, split, "train"))[0]
    assert "validation part" in caveats_of(card, TestSet.of(store, split, "validation"))[0]
    assert "no split" in caveats_of(card, TestSet.of(store, None))[0]
    other = Split(split.train[:1], split.validation, split.test)
    assert "another split" in caveats_of(card, TestSet.of(store, other))[0]
    assert "not known" in caveats_of(None, TestSet.of(store, split))[0]
    with pytest.raises(InputError, match="'gone' and 0 more"):
        TestSet.of(store, Split(("m0",), (), ("gone",)))


def test_names_are_the_shortest_that_differ() -> None:
    assert unique_names(["runs/a", "runs/b"]) == ["a", "b"]
    assert unique_names(["x/0/model", "x/1/model"]) == ["0-model", "1-model"]
    with pytest.raises(InputError, match="twice"):
        unique_names(["runs/a", "runs/a"])


def test_command_line(
    data: tuple[Store, Split], checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, split = data
    split.save(tmp_path / "split.json")
    command = [
        "evaluate",
        "--model",
        str(checkpoint),
        "--data",
        str(store.path),
        "--split",
        str(tmp_path / "split.json"),
    ]
    command += ["-o", str(tmp_path / "out"), "--device", "cpu", "--zeta"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "SchNet" in out
    assert "warning" not in err
    names = {"materials.jsonl", "evaluation.csv", "elements.csv", "evaluation.json"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names | {"parity.png", "errors.png", "elements.png"}
    evaluation = read_evaluation(tmp_path / "out")
    assert evaluation.facts["data"]["store_hash"] == store.hash()
    assert evaluation.facts["model"]["parameters"] > 0
    # The numbers are those of a prediction made and compared by hand.
    from charge3net.predict.predictor import Predictor

    entry = store[split.test[0]]
    predicted = Predictor.from_checkpoint(checkpoint, device="cpu").predict(entry.geometry, shape=entry.grid.shape)
    expected = 100 * np.abs(predicted.total - entry.values[0]).sum() / np.abs(entry.values[0]).sum()
    assert evaluation.materials[0].total.nmae == pytest.approx(expected, rel=1e-5)
    # A second call finds everything done.
    before = (tmp_path / "out" / "materials.jsonl").read_bytes()
    assert main([*command, "--no-figures"]) == 0
    assert (tmp_path / "out" / "materials.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere", "--data", "STORE", "-o", "OUT"], "nowhere"),
        (["--model", "MODEL", "--data", "nowhere", "-o", "OUT"], "nowhere"),
        (["--model", "MODEL", "--data", "STORE", "--split", "none.json", "-o", "OUT"], "none.json"),
        (["--model", "MODEL", "MODEL", "--data", "STORE", "-o", "OUT"], "twice"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str],
    message: str,
    data: tuple[Store, Split],
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = {"STORE": str(data[0].path), "MODEL": str(checkpoint), "OUT": str(tmp_path / "out")}
    assert main(["evaluate", *(place.get(a, a) for a in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("charge3net evaluate: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_chunks_of_voxels_give_the_whole(data: tuple[Store, Split], monkeypatch: pytest.MonkeyPatch) -> None:
    entry = data[0]["m1"]
    predicted = Density(entry.geometry, entry.grid, entry.values * np.linspace(0.9, 1.2, 16, dtype=np.float32))
    whole = material_errors(entry, predicted, 0.0)
    monkeypatch.setattr("charge3net.evaluation.materials.CHUNK", 101)
    pieces = material_errors(entry, predicted, 0.0)
    assert pieces.parity == whole.parity
    for z, sums in whole.elements.items():
        assert pieces.elements[z].voxels == sums.voxels
        assert pieces.elements[z].absolute == pytest.approx(sums.absolute, rel=1e-12)
        assert pieces.baseline_elements[z].signed == pytest.approx(whole.baseline_elements[z].signed, rel=1e-12)
