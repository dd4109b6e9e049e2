"""Schedules against their formulas, at points where they are known."""

from __future__ import annotations

import pytest

from charge3net.errors import InputError
from charge3net.train.config import ScheduleConfig
from charge3net.train.schedule import build_schedule


def test_power_decay() -> None:
    schedule = build_schedule(ScheduleConfig("power", beta=3e3), 10)
    assert schedule(0) == 1.0
    assert schedule(3000) == pytest.approx(0.96)
    assert schedule(6000) == pytest.approx(0.9216)
    # a published run on the Materials Project ends at 0.005 · 0.96^(1e6 / 3e3) = 6.1e-9
    assert 0.005 * schedule(1_000_000) == pytest.approx(6.157e-9, rel=1e-3)


def test_cosine() -> None:
    schedule = build_schedule(ScheduleConfig("cosine", warmup=0.1), 110)
    assert [schedule(step) for step in (0, 5, 10)] == pytest.approx([1 / 12, 6 / 12, 11 / 12])
    assert schedule(11) == 1.0
    assert schedule(11 + 33) == pytest.approx(0.75)  # a third of the way: cos 60° = 1/2
    assert schedule(110) == pytest.approx(0.0, abs=1e-12)
    assert schedule(500) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("max_steps", "rise"), [(100, 50), (400, 80), (2000, 100)])
def test_a_rise_has_its_least_steps_in_a_short_run(max_steps: int, rise: int) -> None:
    schedule = build_schedule(ScheduleConfig("cosine", warmup=0.05, warmup_steps=80), max_steps)
    assert schedule(0) == pytest.approx(1 / (rise + 1))
    assert schedule(rise - 1) < 1.0 == schedule(rise)
    assert schedule(max_steps) == pytest.approx(0.0, abs=1e-12)


def test_constant() -> None:
    assert build_schedule(ScheduleConfig("constant"), 10)(10**6) == 1.0


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (ScheduleConfig("power", beta=0.0), "beta must be a positive"),
        (ScheduleConfig("power", beta=float("nan")), "beta must be a positive"),
        (ScheduleConfig("cosine", warmup=1.0), "warmup is a fraction"),
        (ScheduleConfig("cosine", warmup=-0.1), "warmup is a fraction"),
        (ScheduleConfig("cosine", warmup_steps=-1), "warmup_steps cannot be negative"),
        (ScheduleConfig("step"), "choose one of power, cosine, constant"),
    ],
)
def test_mistakes(config: ScheduleConfig, said: str) -> None:
    with pytest.raises(InputError, match=said):
        build_schedule(config, 100)
