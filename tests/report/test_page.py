"""The report: groups, sentences that follow the numbers, and a page that stands alone."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from charge3net.analysis.metrics import ErrorSums
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.data.splits import Split
from charge3net.data.store import Store
from charge3net.evaluation.materials import Evaluation, MaterialErrors
from charge3net.evaluation.run import TestSet
from charge3net.models.registry import build_model
from charge3net.report.findings import findings
from charge3net.report.gather import Comparison, TrainedModel, gather
from charge3net.train.runs import Run
from tests.helpers.evaluation import make_store

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")


def _run(lmax: int | None, seconds: float, curve: list[float], steps: int = 100, seed: int = 0) -> Run:
    name, hyperparameters = ("schnet", {"features": 8}) if lmax is None else ("charge3net", {"lmax": lmax, "mul": 16})
    card = ModelCard(name, hyperparameters, 4.0, 1, metrics={"val/emae": min(curve)}, training={"seed": seed})
    metrics = {"step": np.linspace(steps / len(curve), steps, len(curve)), "val/emae": np.array(curve)}
    return Run(
        Path(f"runs/{name}{lmax}{seed}"), f"{name}{lmax}{seed}", card, {}, {"seconds": seconds, "step": steps}, metrics
    )


def _evaluation(errors: list[float]) -> Evaluation:
    """Materials with these ε_mae in % beside a superposition of atoms at 10 %."""
    sums = [ErrorSums(10, e, 100.0, e**2, 0.0, e) for e in errors]
    baseline = ErrorSums(10, 10.0, 100.0, 100.0, 0.0, 10.0)
    made = [
        MaterialErrors(f"m{i}", "H2O", 3, 0.1, s, baseline, None, {1: s}, {1: baseline}, {}, 0.1, 0.1 * i)
        for i, s in enumerate(sums)
    ]
    return Evaluation(tuple(made), {}, {"name": "x"})


def _trained_model(label: str, runs: list[Run], errors: list[list[float]]) -> TrainedModel:
    keys = tuple(f"m{i}" for i in range(len(errors[0])))
    return TrainedModel(label, tuple(runs), tuple(_evaluation(e) for e in errors), keys)


def _subject(tmp_path: Path, models: list[TrainedModel]) -> Comparison:
    store, split = make_store(tmp_path / "store")
    order = sorted(models, key=lambda c: c.average.mean)
    n = len(order[0].keys)
    return Comparison(tuple(order), TestSet.of(store, split), np.full(n, 10.0), np.linspace(0.1, 0.2, n))


LOW = [4.0, 5.0, 6.0, 5.5, 4.5, 5.2]


def test_a_clear_difference_is_shown_and_a_small_one_is_not(tmp_path: Path) -> None:
    clear = [e - 2.0 + 0.1 * (i % 2) for i, e in enumerate(LOW)]
    unclear = [e + 0.3 * (-1) ** i for i, e in enumerate(LOW)]
    subject = _subject(
        tmp_path,
        [
            _trained_model("L0", [_run(0, 10.0, [9.0, 5.0])], [LOW]),
            _trained_model("L1", [_run(1, 20.0, [9.0, 5.0])], [unclear]),
            _trained_model("L2", [_run(2, 30.0, [9.0, 3.0])], [clear]),
        ],
    )
    found = findings(subject)
    shown, left = " ".join(found.shown), " ".join(found.open)
    assert "L2 predicts the 6 held-out structures" in found.shown[0]
    assert "The network with L = 2 has a lower error than that with L = 0 by 1.95 percentage points" in shown
    assert "The network with L = 1" in left
    assert "includes zero, so this is not significant" in left
    assert "one seed" in left
    assert "not at equal time (L = 0: 10 s, L = 1: 20 s, L = 2: 30 s)" in left
    assert "lowest at the last step" in left


def test_the_spread_between_seeds_counts(tmp_path: Path) -> None:
    lower = [e - 0.5 + 0.01 * i for i, e in enumerate(LOW)]
    scattered = [[e + shift for e in lower] for shift in (-0.8, 0.8)]
    runs = [_run(2, 30.0, [9.0, 3.0, 3.5], seed=s) for s in (0, 1)]
    base = [_run(0, 30.0, [9.0, 3.0, 3.5], seed=s) for s in (0, 1)]
    subject = _subject(tmp_path, [_trained_model("L0", base, [LOW, LOW]), _trained_model("L2", runs, scattered)])
    found = findings(subject)
    assert any("other seeds differ as much" in s for s in found.open)
    assert not any("percentage points (95" in s for s in found.shown)
    assert not any("last step" in s for s in found.open)


def test_a_worse_network_is_called_worse_and_unequal_steps_unfair(tmp_path: Path) -> None:
    worse = _trained_model("L0", [_run(0, 1.0, [9.0, 5.0], steps=50)], [[20.0, 30.0, 25.0]])
    other = _trained_model("L2", [_run(2, 1.0, [9.0, 5.0], steps=80)], [[21.0, 33.0, 24.0]])
    found = findings(_subject(tmp_path, [worse, other]))
    assert "0.4 times as much" in found.shown[0]
    assert "lower error for 0 of 3" in found.shown[0]
    assert any("numbers of steps, so they cannot be compared directly" in s for s in found.open)
    assert any("does not decrease steadily" in s for s in found.open)


def test_typical_structure_is_the_median(tmp_path: Path) -> None:
    subject = _subject(tmp_path, [_trained_model("a", [_run(None, 1.0, [1.0])], [[9.0, 1.0, 3.0, 2.0, 30.0]])])
    assert subject.typical() == "m2"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store, Split]:
    """Run folders as a training leaves them, of networks that have learned nothing."""
    folder = tmp_path_factory.mktemp("report")
    store, split = make_store(folder / "store")
    split.save(folder / "split.json")
    settings = {"lmax": 0, "mul": 4, "num_interactions": 1, "hidden": 4, "num_basis": 4}
    models = {
        "l0": ("charge3net", settings),
        "l1": ("charge3net", {**settings, "lmax": 1}),
        "flat": ("schnet", {"features": 4, "num_interactions": 1}),
    }
    for name, (architecture, hyperparameters) in models.items():
        torch.manual_seed(0)
        model = build_model(architecture, hyperparameters)
        run = folder / "runs" / name
        training = {"step": 20, "batch": [2, 50], "optim": {"lr": 0.0375}}
        card = ModelCard.of(model, [1, 3], {"split_hash": split.hash}, {"val/emae": 90.0}, training)
        save_model(run / "model", model, card)
        (run / "metrics.csv").write_text("step,train/loss,val/emae\n5,1.0,\n10,,99\n20,,90\n")
        (run / "config.json").write_text(json.dumps({"name": name, "data": {"store": "s"}, "resume": False}))
        (run / "summary.json").write_text(json.dumps({"seconds": 3.0, "step": 20}))
    command = ["evaluate", "--model", *(str(folder / "runs" / name) for name in models), "--data", str(store.path)]
    command += [
        "--split",
        str(folder / "split.json"),
        "-o",
        str(folder / "evaluation"),
        "--device",
        "cpu",
        "--no-figures",
    ]
    assert main(command) == 0
    return folder, store, split


class _Page(HTMLParser):
    """Collects addresses and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_whole_and_stands_alone(runs: tuple[Path, Store, Split], capsys: pytest.CaptureFixture[str]) -> None:
    folder = runs[0]
    command = ["report", "--runs", str(folder / "runs"), "--data", str(folder / "store")]
    command += ["--split", str(folder / "split.json"), "--evaluation", str(folder / "evaluation")]
    assert main([*command, "-o", str(folder / "report.html")]) == 0
    text = (folder / "report.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert len(page.addresses) == 7
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert text.count('<iframe title="isosurfaces"') == 2  # the density and its error, to be turned
    assert "http" not in re.sub(r"data:image[^\"]*", "", text)
    for expected in (
        "ChargE3Net L=1",
        "SchNet",
        "superposition of atomic densities",
        "Not significant",
        "charge3net evaluate --model",
        "0.0375",
    ):
        assert expected in text
    assert "25.00" in text  # the superposition of atoms is 25 % off by construction
    assert main([*command, "-o", str(folder / "report.txt")]) == 2
    assert not (folder / "report.txt").exists()


def test_runs_and_evaluations_must_belong_together(
    runs: tuple[Path, Store, Split], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, store, split = runs
    command = [
        "report",
        "--data",
        str(store.path),
        "--split",
        str(folder / "split.json"),
        "-o",
        str(tmp_path / "r.html"),
    ]
    assert main([*command, "--runs", str(folder / "runs"), "--evaluation", str(tmp_path)]) == 2
    assert "has no evaluation of" in capsys.readouterr().err
    assert main([*command, "--runs", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
    other, _ = make_store(tmp_path / "other", materials=7)
    with pytest.raises(ValueError, match="evaluate again"):
        gather(folder / "runs", folder / "evaluation", TestSet.of(other, split))
    assert not (tmp_path / "r.html").exists()
