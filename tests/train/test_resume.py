"""A run that was stopped and resumed gives, bit for bit, what an uninterrupted one gives."""

from __future__ import annotations

import copy
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from charge3net.checkpoints import load_card
from charge3net.errors import InputError
from charge3net.train.callbacks import Interrupted
from charge3net.train.config import TrainConfig
from charge3net.train.module import DensityTask
from charge3net.train.run import train
from charge3net.train.run_folder import read_metrics


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, happens: Any) -> None:
    """Let something happen, once, inside training step number ``step`` (the first is 1)."""
    original, done = DensityTask.training_step, []

    def training_step(self: DensityTask, batch: Any, batch_idx: int) -> Any:
        loss = original(self, batch, batch_idx)
        if self.global_step + 1 == step and not done:
            done.append(True)
            happens()
        return loss

    monkeypatch.setattr(DensityTask, "training_step", training_step)


def crash() -> None:
    raise RuntimeError("power failure")


def state(folder: str) -> dict[str, Any]:
    return torch.load(Path(folder) / "resume.ckpt", weights_only=True)


def log_without_rates(folder: str) -> list[dict[str, str]]:
    rows = read_metrics(Path(folder) / "metrics.csv")
    return [{k: v for k, v in row.items() if k != "train/structures_per_s"} for row in rows]


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Exactly equal, through dicts and lists."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{i}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


def assert_same_runs(straight: str, resumed: str) -> None:
    a, b = state(straight), state(resumed)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loss_window", "global_step"):
        assert_same(a[part], b[part], part)
    assert log_without_rates(straight) == log_without_rates(resumed)
    for name in ("model", "last"):
        files = [Path(run) / name / "model.safetensors" for run in (straight, resumed)]
        assert files[0].read_bytes() == files[1].read_bytes()


def two_parts(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, step: int, happens: Any, error: Any) -> None:
    """Train in one go, and into ``output + "-resumed"`` with something happening at a step; compare."""
    parts = copy.deepcopy(config)
    parts.output += "-resumed"
    train(config)
    at_step(monkeypatch, step, happens)
    with pytest.raises(error):
        train(parts)
    assert not (Path(parts.output) / "summary.json").exists()
    parts.resume = True
    summary = train(parts)
    assert summary["step"] == config.train.max_steps
    assert_same_runs(config.output, parts.output)


@pytest.mark.parametrize(
    ("step", "number"),
    [(4, signal.SIGTERM), (5, signal.SIGINT), (11, signal.SIGINT)],
)
def test_signal(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, step: int, number: signal.Signals) -> None:
    # val_every is 5 and log_every 2: at a logged step, where a validation is due, between two lines of the log.
    before = signal.getsignal(number)
    config.train.ema = 0.9
    two_parts(config, monkeypatch, step, lambda: signal.raise_signal(number), Interrupted)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("step", [3, 7])
def test_signal_with_workers(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    config.data.workers = 2
    two_parts(config, monkeypatch, step, lambda: signal.raise_signal(signal.SIGTERM), Interrupted)


@pytest.mark.parametrize(("save_every", "step"), [(None, 9), (2, 10), (1, 3)])
def test_crash(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, save_every: int | None, step: int) -> None:
    config.train.save_every = save_every
    two_parts(config, monkeypatch, step, crash, RuntimeError)


def test_longer_training_is_the_same_as_long_training(config: TrainConfig) -> None:
    parts = copy.deepcopy(config)
    parts.output += "-resumed"
    parts.train.max_steps, config.train.max_steps = 10, 15
    train(config)
    train(parts)
    parts.train.max_steps, parts.resume = 15, True
    train(parts)
    assert_same_runs(config.output, parts.output)


def test_resume_into_another_folder(config: TrainConfig, tmp_path: Path) -> None:
    config.train.max_steps = 10
    train(config)
    other = copy.deepcopy(config)
    other.resume, other.output, other.train.max_steps = config.output, str(tmp_path / "other"), 12
    train(other)
    assert state(other.output)["global_step"] == 12
    # the folder holds the whole run: its log from the first step, and the best weights of both parts
    rows = read_metrics(Path(other.output) / "metrics.csv")
    assert [int(row["step"]) for row in rows] == [2, 4, 5, 6, 8, 10, 12]
    lowest = min(float(row["val/emae"]) for row in rows if "val/emae" in row)
    best = state(other.output)["callbacks"]["RunCheckpoints"]["best"]
    assert best["val/emae"] == pytest.approx(lowest, rel=1e-6)
    assert load_card(other.output).metrics["val/emae"] == pytest.approx(lowest, rel=1e-6)
    with pytest.raises(InputError, match="holds a run already; continue it with resume=true"):
        train(replace(other, output=other_run(config, tmp_path)))


def other_run(config: TrainConfig, tmp_path: Path) -> str:
    """A finished run of three steps."""
    short = copy.deepcopy(config)
    short.output, short.train.max_steps, short.train.val_every = str(tmp_path / "short"), 3, 3
    train(short)
    return short.output


def test_resume_with_other_settings_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    config.train.max_steps = 5
    train(config)
    other = copy.deepcopy(config)
    other.resume, other.output, other.train.max_steps = config.output, str(tmp_path / "other"), 12
    other.optim.lr, other.loss.name, other.model["features"] = 1e-4, "mse", 16
    listed = r"loss\.name is mse, was l1; model\.features is 16, was 8; optim\.lr is 0\.0001, was 0\.01\."
    with pytest.raises(InputError, match=listed):
        train(other)
    # the checkpoint alone knows its settings, too
    (tmp_path / "alone").mkdir()
    other.resume = str(shutil.copy(Path(config.output) / "resume.ckpt", tmp_path / "alone"))
    with pytest.raises(InputError, match=listed):
        train(other)
    assert not Path(other.output).exists()
    # one of an older version does not; then config.json beside it counts
    checkpoint = torch.load(other.resume, weights_only=True)
    del checkpoint["callbacks"]["RunCheckpoints"]["settings"]
    torch.save(checkpoint, other.resume)
    with pytest.raises(InputError, match="its settings are recorded neither in it nor in"):
        train(other)
    shutil.copy(Path(config.output) / "config.json", tmp_path / "alone")
    with pytest.raises(InputError, match=listed):
        train(other)
    other.optim.lr, other.loss.name, other.model["features"] = 0.01, "l1", 8
    train(other)
    # what is recorded is what the optimiser has
    assert state(other.output)["optimizer_states"][0]["param_groups"][0]["initial_lr"] == 0.01
    assert load_card(other.output).training["optim"]["lr"] == 0.01


def test_resume_with_other_data_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    config.train.max_steps = 5
    train(config)
    split = json.loads(Path(config.data.split).read_text())
    split["validation"] = split["validation"][:2]
    other = copy.deepcopy(config)
    other.resume, other.data.split = True, str(tmp_path / "other.json")
    Path(other.data.split).write_text(json.dumps(split))
    with pytest.raises(InputError, match="holds a run with another split"):
        train(other)
    other.train.max_steps = 10
    with pytest.raises(InputError, match=r"cannot resume: validation materials \(hash\)"):
        train(other)
    moved = shutil.copy(config.data.split, tmp_path / "moved.json")
    config.data.split = str(moved)
    assert train(config)["skipped"]


def test_patience_may_change(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config.optim.lr, config.train.patience, config.train.val_every = 1e-12, 30, 2
    monkeypatch.setattr(
        "charge3net.train.module.structure_sums", lambda p, t, o: (torch.ones(len(o) - 1).double(),) * 2
    )
    config.train.max_steps = 6
    train(config)
    config.train.max_steps, config.train.patience, config.resume = 100, 4, True
    assert train(config)["step"] == 10  # the best at step 2, then four


def test_what_a_kill_left_is_removed(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    at_step(monkeypatch, 7, crash)
    with pytest.raises(RuntimeError, match="power failure"):
        train(config)
    folder = Path(config.output)
    before = {path.name for path in folder.iterdir()}
    (folder / ".model-x1" / "new").mkdir(parents=True)
    for name in (".resume.ckpt.partial", ".metrics.csv.123.part", ".config.json.7.part"):
        (folder / name).write_text("half")
    config.resume = True
    train(config)
    assert {path.name for path in folder.iterdir()} == {*before, "summary.json"}


def test_best_metric_survives(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    at_step(monkeypatch, 7, crash)
    with pytest.raises(RuntimeError, match="power failure"):
        train(config)
    path = Path(config.output) / "resume.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["callbacks"]["RunCheckpoints"]["best"]["val/emae"] = 1e-6  # nothing that follows is better
    torch.save(checkpoint, path)
    before = (Path(config.output) / "model" / "model.json").read_text()
    config.resume = True
    summary = train(config)
    assert summary["best"]["val/emae"] == 1e-6
    assert summary["best"]["step"] == 5
    assert (Path(config.output) / "model" / "model.json").read_text() == before


def test_early_stop_state_survives(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config.optim.lr, config.train.patience, config.train.val_every = 1e-12, 3, 2  # nothing falls
    config.train.max_steps = 100
    two_parts_early(config, monkeypatch)


def two_parts_early(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "charge3net.train.module.structure_sums", lambda p, t, o: (torch.ones(len(o) - 1).double(),) * 2
    )
    at_step(monkeypatch, 5, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted):
        train(config)
    config.resume = True
    summary = train(config)
    # the first validation, at step 2, is the best; three without improvement follow
    assert (summary["step"], summary["stopped"]) == (8, "early")
    assert train(config)["skipped"]


def test_finished_run_is_skipped(config: TrainConfig) -> None:
    first = train(config)
    before = (Path(config.output) / "metrics.csv").stat().st_mtime_ns
    second = train(config)
    assert second == {**first, "skipped": True}
    assert (Path(config.output) / "metrics.csv").stat().st_mtime_ns == before


def test_folder_with_another_run(config: TrainConfig) -> None:
    train(config)
    config.optim.lr = 0.005
    with pytest.raises(InputError, match=r"optim\.lr is 0\.005, was 0\.01"):
        train(config)


def test_unfinished_run_needs_resume(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    at_step(monkeypatch, 7, crash)
    with pytest.raises(RuntimeError, match="power failure"):
        train(config)
    with pytest.raises(InputError, match="resume=true"):
        train(config)


def test_resume_from_nothing(config: TrainConfig, tmp_path: Path) -> None:
    config.resume = str(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no resume\.ckpt"):
        train(config)
    assert not Path(config.output).exists()


def test_damaged_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    damaged = tmp_path / "resume.ckpt"
    damaged.write_bytes(b"PK nothing")
    config.resume = str(damaged)
    with pytest.raises(InputError, match="damaged"):
        train(config)
    assert not Path(config.output).exists()
