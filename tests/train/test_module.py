"""What a run does with its numbers: optimiser, averages, validation, logs, checkpoints."""

from __future__ import annotations

import copy
import csv
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from charge3net.checkpoints import load_model
from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.models.registry import build_model
from charge3net.train.config import TrainConfig
from charge3net.train.datamodule import DensityDataModule
from charge3net.train.logger import MetricsCsv
from charge3net.train.losses import L1
from charge3net.train.module import DensityTask
from charge3net.train.run import train
from charge3net.train.run_folder import read_metrics
from tests.helpers.wandb_file import records


def data_of(config: TrainConfig) -> DensityDataModule:
    data = config.data
    return DensityDataModule(
        data.store, data.split, 3.0, batch_size=2, probes=20, validation_probes=40, seed=config.seed
    )


def plain_loop(config: TrainConfig) -> tuple[DensityModel, list[float], DensityModel]:
    """The same training without Lightning: weights, loss of every step, mean of the weights, step t as t(t+1)…(t+8)."""
    torch.manual_seed(config.seed)
    settings = dict(config.model)
    model = build_model(settings.pop("architecture"), settings)
    after: list[list[Tensor]] = []
    adam = torch.optim.Adam(model.parameters(), lr=config.optim.lr)
    losses, batches = [], iter(data_of(config).train_loader())
    for step in range(config.train.max_steps):
        batch = next(batches)
        adam.param_groups[0]["lr"] = config.optim.lr * 0.96 ** (step / config.optim.schedule.beta)
        loss = (model(batch) - batch.target).abs().mean()
        adam.zero_grad()
        loss.backward()
        if config.train.clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.train.clip)
        adam.step()
        losses.append(float(loss.detach()))
        after.append([weight.detach().clone() for weight in model.parameters()])
    mean = copy.deepcopy(model)
    counts = [math.prod(range(step + 1, step + 10)) for step in range(len(after))]
    with torch.no_grad():
        for i, average in enumerate(mean.parameters()):
            weighted = [count * weights[i] for count, weights in zip(counts, after, strict=True)]
            average.copy_(torch.stack(weighted).sum(0) / sum(counts))
    return model, losses, mean


def emae_by_hand(model: DensityModel, config: TrainConfig) -> tuple[float, float]:
    """Mean and standard error of ε_mae in % over the validation materials, in numpy."""
    values = []
    for batch in data_of(config).validation_loader():
        with torch.no_grad():
            prediction = model(batch).double().numpy()
        target = batch.target.double().numpy()
        values.append(100 * np.abs(prediction - target).sum() / np.abs(target).sum())
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize("clip", [None, 0.05])
def test_against_a_plain_loop(config: TrainConfig, clip: float | None) -> None:
    config.train.clip = clip
    summary = train(config)
    model, losses, _ = plain_loop(config)
    last, card = load_model(Path(config.output) / "last")
    for ours, theirs in zip(last.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    rows = {int(row["step"]): row for row in read_metrics(Path(config.output) / "metrics.csv")}
    assert sorted(rows) == [2, 4, 5, 6, 8, 10, 12]  # log_every 2, val_every 5 and one at the end
    for step in (2, 4, 6, 8, 10, 12):
        assert float(rows[step]["train/loss"]) == pytest.approx(np.mean(losses[step - 2 : step]), rel=1e-4)
        assert float(rows[step]["train/lr"]) == pytest.approx(0.01 * 0.96 ** ((step - 1) / 10), rel=1e-6)
    mean, error = emae_by_hand(last, config)
    assert card.metrics["val/emae"] == pytest.approx(mean, rel=1e-5)
    assert card.metrics["val/emae_se"] == pytest.approx(error, rel=1e-4)
    assert summary["latest"]["val/emae"] == card.metrics["val/emae"]
    validated = {step: float(row["val/emae"]) for step, row in rows.items() if "val/emae" in row}
    assert sorted(validated) == [5, 10, 12]
    best = min(validated, key=lambda step: validated[step])
    assert summary["best"]["step"] == best
    assert load_model(config.output)[1].training["step"] == best


def test_averaged_weights(config: TrainConfig) -> None:
    config.train.ema = 0.99999  # longer than the run, which is all run-in
    train(config)
    _, _, mean = plain_loop(config)
    last, _ = load_model(Path(config.output) / "last")
    for ours, theirs in zip(last.parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_decay_of_averaged_weights(config: TrainConfig) -> None:
    model = build_model("schnet", {"features": 4, "num_interactions": 1})
    task = DensityTask(model, L1(), config.optim, lambda step: 1.0, ema=0.5)
    before = [p.clone() for p in task.weights_for_use.parameters()]
    with torch.no_grad():
        for p in model.parameters():
            p += 1.0
    task._advance_average(100)
    for ours, old in zip(task.weights_for_use.parameters(), before, strict=True):
        torch.testing.assert_close(ours, old + 0.5)


def test_divergence_is_said(config: TrainConfig) -> None:
    config.optim.lr, config.train.val_every = 1e30, 3
    with pytest.raises(InputError, match=r"training diverged: .* after step 3; lower optim\.lr"):
        train(config)
    assert not (Path(config.output) / "model").exists()


def test_early_stop_keeps_the_best(config: TrainConfig) -> None:
    # Adam moves weights by lr: far too large a step never improves on the first validation for long
    config.train.max_steps, config.train.val_every, config.train.patience = 400, 2, 2
    config.optim.lr = 0.5
    summary = train(config)
    assert summary["stopped"] == "early"
    rows = read_metrics(Path(config.output) / "metrics.csv")
    validated = [(int(row["step"]), float(row["val/emae"])) for row in rows if "val/emae" in row]
    best = min(validated, key=lambda pair: pair[1])
    assert validated[-1][0] == summary["step"] == best[0] + 2 * config.train.patience
    assert summary["best"]["step"] == best[0]


def test_float64(config: TrainConfig) -> None:
    config.runtime.precision, config.train.max_steps = "float64", 2
    train(config)
    state = torch.load(Path(config.output) / "resume.ckpt", weights_only=True)["state_dict"]
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float64}


def test_tensorboard(config: TrainConfig) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config.logger.tensorboard, config.train.max_steps = True, 4
    train(config)
    events = EventAccumulator(str(Path(config.output) / "tensorboard"))
    events.Reload()
    with (Path(config.output) / "metrics.csv").open() as file:
        written = {int(row["step"]): float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]}
    assert {e.step: e.value for e in events.Scalars("train/loss")} == pytest.approx(written, rel=1e-6)


def test_tensorboard_has_the_settings(config: TrainConfig) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    config.logger.tensorboard, config.train.max_steps = True, 4
    summary = train(config)
    events = EventAccumulator(str(Path(config.output) / "tensorboard"))
    events.Reload()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["optim.lr"].number_value == 0.01
    assert settings["model.architecture"].string_value == "schnet"
    assert settings["train.max_steps"].number_value == 4
    assert events.Scalars("best/emae")[-1].value == pytest.approx(summary["best"]["val/emae"], rel=1e-6)


def wandb_run(output: str) -> dict[str, list[Any]]:
    """Kind → records of the last part of an offline run of Weights & Biases, whose service writes a little later."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        path = max(Path(output).glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)
        found: dict[str, list[Any]] = {}
        for record in records(path):
            kind = record.WhichOneof("record_type")
            found.setdefault(kind, []).append(getattr(record, kind))
        if "exit" in found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"the run in {output} was not finished")


def values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_wandb_offline(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    config.logger.wandb = config.logger.offline = True
    config.logger.group, config.logger.tags = "small ones", ["a", "b"]
    config.train.max_steps = 5
    summary = train(config)
    found = wandb_run(config.output)
    run = found["run"][0]
    assert (run.display_name, run.run_group, list(run.tags)) == ("tiny", "small ones", ["a", "b"])
    settings = values(run.config.update)
    assert {name: settings[name] for name in config.as_dict()} == json.loads(json.dumps(config.as_dict()))
    curve = {
        row["trainer/global_step"]: row["train/loss"]
        for row in (values(history.item) for history in found["history"])
        if "train/loss" in row
    }
    rows = read_metrics(Path(config.output) / "metrics.csv")
    assert curve == pytest.approx({int(row["step"]): float(row["train/loss"]) for row in rows if "train/loss" in row})
    final: dict[str, Any] = {}
    for part in found["summary"]:
        final |= values(part.update)
    assert final["best/emae"] == pytest.approx(summary["best"]["val/emae"])
    assert final["parameters"] == summary["parameters"]
    model = next(artifact for artifact in found["artifact"] if artifact.type == "model")
    assert {entry.path for entry in model.manifest.contents} == {"model.json", "model.safetensors"}
    assert [end.exit_code for end in found["exit"]] == [0]
    # continued: the same run
    config.resume, config.train.max_steps = True, 7
    train(config)
    again = wandb_run(config.output)
    assert again["run"][0].run_id == run.run_id
    assert [end.exit_code for end in again["exit"]] == [0]
    steps = [values(history.item)["trainer/global_step"] for history in again["history"]]
    assert min(steps) > 5


def test_wandb_of_a_run_that_fails_is_finished(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    config.logger.wandb = config.logger.offline = True
    config.optim.lr, config.train.val_every = 1e30, 3
    with pytest.raises(InputError, match="training diverged"):
        train(config)
    assert [end.exit_code for end in wandb_run(config.output)["exit"]] == [1]


def test_wandb_missing(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config.logger.wandb = True
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", False)
    with pytest.raises(InputError, match=r"pip install 'charge3net\[wandb\]'"):
        train(config)
    assert not Path(config.output).exists()


def test_wandb_is_not_imported_unless_chosen(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "wandb"]:
        monkeypatch.delitem(sys.modules, name)
    config.train.max_steps = 1
    train(config)
    assert "wandb" not in sys.modules


def test_log_grows_columns_and_rewinds(tmp_path: Path) -> None:
    def rows() -> list[dict[str, Any]]:
        return list(csv.DictReader((tmp_path / "metrics.csv").open()))

    log = MetricsCsv(tmp_path / "metrics.csv")
    log.rewind(0)
    log.log_metrics({"a": 1.0}, 1)
    log.log_metrics({"a": 2.0}, 2)
    log.log_metrics({"b": 0.125}, 2)  # the same line, a new column
    log.log_metrics({"b": 3.0}, 3)
    expected = [("1", "1", ""), ("2", "2", "0.125"), ("3", "", "3")]
    assert [(row["step"], row["a"], row["b"]) for row in rows()] == expected
    again = MetricsCsv(tmp_path / "metrics.csv")
    again.rewind(2)
    again.log_metrics({"a": 5.0, "b": 6.0}, 3)
    assert [(row["step"], row["a"], row["b"]) for row in rows()] == [*expected[:2], ("3", "5", "6")]
