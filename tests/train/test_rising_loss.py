"""A collapsed training is said: the losses of one that did collapse, of one that did not, and a run."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from charge3net.train.config import ScheduleConfig, TrainConfig
from charge3net.train.rising_loss import RisingLoss
from charge3net.train.run import describe, train

#: train/loss every 200 steps of a training of Δ-ChargE3Net that collapsed between steps 1 600 and 1 800.
COLLAPSED = [0.0578, 0.0575, 0.0537, 0.0510, 0.0446, 0.0426, 0.0384, 0.0339, 0.0626, 0.0709, 0.0694]

#: … of one that did not.
SOUND = [0.0561, 0.0521, 0.0489, 0.0446, 0.0401, 0.0377, 0.0352, 0.0339, 0.0321, 0.0310, 0.0301]


def follow(callback: RisingLoss, means: list[float], start: int = 0, steps: int = 200) -> None:
    """Feed it so many steps for every mean, as noisy as batches of 8 structures are (30 %)."""
    rng = np.random.default_rng(1 + start)
    for step, mean in enumerate(itertools.chain.from_iterable([m] * steps for m in means), start=start + 1):
        loss = torch.tensor(mean * float(np.exp(rng.normal(0.0, 0.3))))
        callback.add(loss, step)


def test_a_collapse_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    callback = RisingLoss()
    follow(callback, COLLAPSED)
    assert callback.found is not None
    assert 1600 < callback.found["step"] <= 1900
    said = capsys.readouterr().err
    assert said.count("warning: at step 1") == 1
    assert "optim.lr" in said


@pytest.mark.parametrize("means", [SOUND, [0.05] * 10, [0.05, 0.06, 0.05]])
def test_noise_and_progress_are_none(means: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    callback = RisingLoss()
    follow(callback, means)
    assert callback.found is None
    assert capsys.readouterr().err == ""


def test_a_resumed_run_sees_what_an_uninterrupted_one_sees() -> None:
    whole, first, second = RisingLoss(quiet=True), RisingLoss(quiet=True), RisingLoss(quiet=True)
    follow(whole, COLLAPSED[:5])
    follow(whole, COLLAPSED[5:], start=1000)
    follow(first, COLLAPSED[:5])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    follow(second, COLLAPSED[5:], start=1000)
    assert second.found == whole.found
    assert second.state_dict() == whole.state_dict()


def test_a_run_records_it(config: TrainConfig, tmp_path: Path) -> None:
    """A rate that rises to the end: the loss falls first, then jumps."""
    config.train.max_steps, config.train.val_every, config.optim.lr = 600, 600, 3.0
    config.optim.schedule = ScheduleConfig("cosine", warmup=0.9)
    summary = train(config)
    assert 100 < summary["loss_rose"]["step"] <= 600
    assert summary["loss_rose"]["times"] > 1.5
    assert "may have collapsed" in describe(summary, tmp_path / "run")


def test_a_sound_run_records_none(config: TrainConfig, tmp_path: Path) -> None:
    summary = train(config)
    assert summary["loss_rose"] is None
    assert "collapsed" not in describe(summary, tmp_path / "run")
