"""The study of learning curves: a killed sweep goes on, launchers, figures and text."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from charge3net.cli.main import main
from charge3net.errors import InputError
from charge3net.studies import find_study
from charge3net.studies.learning_curves import Config, run, section
from charge3net.studies.learning_curves.study import EXPERIMENT, varied
from charge3net.studies.learning_curves.summary import compare_runs, size_errors
from charge3net.studies.record import pictures_in
from charge3net.studies.training import sweep
from tests.helpers.evaluation import make_store
from tests.helpers.studies import TINY, config_of

ORDERS = [0, 1]


@pytest.fixture(scope="module")
def densities(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a store and its split, three training materials."""
    folder = tmp_path_factory.mktemp("densities")
    _, split = make_store(folder / "store", materials=7)
    split.save(folder / "split.json")
    return str(folder / "store"), str(folder / "split.json")


def _config(densities: tuple[str, str], **changed: Any) -> Config:
    settings = {"store": densities[0], "split": densities[1], "lmax": ORDERS, "baselines": []}
    return config_of("learning_curves", **{**settings, **changed})


def _arguments(densities: tuple[str, str], folder: Path) -> list[str]:
    overrides = ",".join(f'"{setting}"' for setting in TINY)
    return [
        "study",
        "learning_curves",
        f"store={densities[0]}",
        f"split={densities[1]}",
        "lmax=[0,1]",
        "baselines=[]",
        "sizes=[1,2,3]",
        "seeds=[0]",
        "draws=20",
        f"overrides=[{overrides}]",
        "-o",
        str(folder / "results"),
        "--work",
        str(folder / "work"),
    ]


def _contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """File → time of its last change and content."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_killed_sweep_finishes_only_what_is_missing(
    densities: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    runs = tmp_path / "work" / "runs"
    in_this_process: list[Any] = []
    monkeypatch.setattr("charge3net.studies.training.charge3net_command", in_this_process.append)
    asked = [EXPERIMENT, *varied("model.lmax", ORDERS, [1, 2, 3], [0]), *TINY]
    sweep(asked, str(runs), store=densities[0], split=densities[1], launcher=[])
    process = subprocess.Popen(
        [sys.executable, "-m", "charge3net.cli.main", *in_this_process[0]],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        until = time.monotonic() + 120
        while not list(runs.glob("*/summary.json")) and time.monotonic() < until and process.poll() is None:
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = [path.parent for path in runs.glob("*/summary.json")]
    assert 0 < len(finished) < 6
    assert {path.name for path in finished} <= {f"lmax={i},train_size={n},seed=0" for i in (0, 1) for n in (1, 2, 3)}
    before = {folder: _contents(folder) for folder in finished}

    monkeypatch.setattr("charge3net.studies.training.charge3net_command", lambda asked: main(list(asked)))
    assert main(_arguments(densities, tmp_path)) == 0
    assert len(list(runs.glob("*/summary.json"))) == 6
    for folder, contents in before.items():
        assert _contents(folder) == contents
    record = json.loads((tmp_path / "results" / "learning_curves" / "result.json").read_text())
    trained = {(r["model"], r["size"], r["seed"]) for r in record["result"]["runs"]}
    assert trained == {(f"ChargE3Net L={order}", size, 0) for order in (0, 1) for size in (1, 2, 3)}
    assert [p.name for p in pictures_in(tmp_path / "results" / "learning_curves")] == ["curves.svg", "orders.svg"]
    assert "| ChargE3Net L=1 |" in (tmp_path / "results.md").read_text()
    # the baseline of this store is 1.25 times the density
    assert record["result"]["data"]["superposition_nmae_percent"] == pytest.approx([25.0] * 3, abs=1e-3)


class _FakeExecutor:
    """Submitit's executor as far as the launcher uses it: keeps what would be submitted."""

    submitted: ClassVar[dict[str, Any]] = {}

    def __init__(self, cluster: str, **settings: Any) -> None:
        self.submitted.update(cluster=cluster, settings=settings)

    def update_parameters(self, **parameters: Any) -> None:
        self.submitted["parameters"] = parameters

    def map_array(self, function: Any, overrides: list[Any], *others: Any) -> list[Any]:
        from types import SimpleNamespace

        from hydra.core.utils import JobReturn, JobStatus

        self.submitted["members"] = [dict(o.split("=", 1) for o in member) for member in overrides]
        done = JobReturn(status=JobStatus.COMPLETED, _return_value=1.0)
        return [SimpleNamespace(results=lambda: [done]) for _ in overrides]


def test_the_sweep_is_composed_for_slurm(
    densities: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same arguments as the study's first step, with launcher=submitit; nothing is submitted."""
    submitit = pytest.importorskip("submitit")
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.setattr(submitit, "AutoExecutor", _FakeExecutor)
    asked: list[str] = []
    monkeypatch.setattr("charge3net.studies.training.charge3net_command", asked.extend)
    launcher = ["launcher=submitit", "hydra.launcher.partition=gpu", "runtime.devices=2", "data.batch_size=4"]
    config = _config(densities, sizes=[1, 2, 3], seeds=[0, 1], overrides=list(TINY[:4]), launcher=launcher)
    with pytest.raises(InputError, match="is not a run folder"):
        run(config, tmp_path)
    assert main(asked) == 0
    found = _FakeExecutor.submitted
    assert found["cluster"] == "slurm"
    assert found["settings"]["folder"].startswith(str(tmp_path / "runs"))
    slurm = found["parameters"]
    assert (slurm["slurm_partition"], slurm["timeout_min"], slurm["cpus_per_task"]) == ("gpu", 1440, 4)
    assert (slurm["nodes"], slurm["tasks_per_node"], slurm["gpus_per_node"]) == (1, 2, 2)
    chosen = {(m["model.lmax"], m["data.train_size"], m["seed"]) for m in found["members"]}
    assert chosen == {(name, size, seed) for name in "01" for size in "123" for seed in "01"}
    assert len(found["members"]) == 12
    assert all(member["data.store"] == densities[0] for member in found["members"])


def _runs(exponents: dict[str, float], seeds: int = 2) -> list[dict[str, Any]]:
    """Trainings whose errors follow power laws exactly, but for a factor of each material and 1 % between seeds."""
    materials = np.array([0.8, 1.0, 1.3, 0.9])
    common = {"steps": 8, "best_step": 8, "parameters": 10, "seconds": 60.0, "batch": [4, 400], "lr": 0.0125}
    return [
        {
            "model": name,
            "size": size,
            "seed": seed,
            "nmae_percent": (10 * size**-b * materials * 1.01**seed).tolist(),
            **common,
        }
        for name, b in exponents.items()
        for size in (10, 20, 40)
        for seed in range(seeds)
    ]


def test_text_says_what_the_numbers_say() -> None:
    runs = _runs({"ChargE3Net L=0": 0.1, "ChargE3Net L=1": 0.4, "PaiNN": 0.2})
    config = _config(("", ""), lmax=[0, 1], baselines=["c"], sizes=[10, 20, 40], draws=20)
    data = {
        "split": "split.json",
        "split_hash": "0" * 64,
        "store_hash": "1" * 64,
        "validation": 3,
        "keys": list("abcd"),
        "formulas": ["CO2", "CO2", "H2O", "H2O"],
        "superposition_nmae_percent": [20.0] * 4,
    }
    result = json.loads(json.dumps({"data": data, "runs": runs, **compare_runs(runs, config)}))
    assert [step["to"] for step in result["steps"]] == ["ChargE3Net L=1"]
    text = section(result, {"curves": "curves.png", "orders": "orders.png"})
    assert "3 models were trained on 10, 20 and 40 materials with 2 seeds, 18 trainings in total" in text
    assert "significantly lower in 3 of 3 comparisons" in text
    assert "4 test materials with 2 formulas" in text
    assert "| 10 | 0.0125 |" in text
    assert "| 0.400 (0.400 … 0.400) | 0.400, 0.400 |" in text
    # 10·40^−0.4·1.005 (mean of the factors is 1, of the seeds 1.005) = 2.298; 20 / 2.298 = 8.7
    assert "8.7 times the lowest error here (ChargE3Net L=1, 2.30 %)" in text
    assert set(find_study("learning_curves").module().figures(result)) == {"curves", "orders"}


def test_a_missing_seed_is_named() -> None:
    runs = _runs({"PaiNN": 0.2})
    with pytest.raises(InputError, match="seed 1 and 40 training materials"):
        size_errors(runs[:-1])


def test_learning_curves_need_sizes(densities: tuple[str, str], tmp_path: Path) -> None:
    config = _config(densities, sizes=[2, 3], seeds=[0])
    with pytest.raises(InputError, match="three training sizes"):
        run(config, tmp_path)


@pytest.mark.parametrize("study", ["learning_curves", "angular_dependence", "charge_transfer", "spin"])
def test_the_launcher_of_a_study_is_named_on_the_command_line(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A setting of a study may be called like a group of configs (conf/launcher, conf/experiment)."""
    launcher = 'launcher=["launcher=joblib","hydra.launcher.n_jobs=2"]'
    needed = ["alike=c"] if study == "spin" else []
    assert main(["study", study, "store=a", "split=b", *needed, launcher, "--show"]) == 0
    shown = capsys.readouterr().out
    assert "launcher:\n- launcher=joblib\n- hydra.launcher.n_jobs=2\n" in shown
    assert "store: a\n" in shown


def test_the_experiment_of_a_study_is_named_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["store=a", "split=b", "experiment=small"]
    for arguments in ([*settings, "--show"], ["--show", *settings], [settings[0], "--show", *settings[1:]]):
        assert main(["study", "angular_dependence", *arguments]) == 0
        assert "experiment: small\n" in capsys.readouterr().out
