"""Schedules: the learning rate as a factor of its initial value."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from charge3net.errors import InputError
from charge3net.train.config import ScheduleConfig

Schedule = Callable[[int], float]


def constant(step: int) -> float:
    """1 at every step."""
    return 1.0


def power_decay(step: int, beta: float) -> float:
    """0.96^(step/β), the published schedule of ChargE3Net and DeepDFT (docs/training.md lists their β)."""
    return 0.96 ** (step / beta)


def cosine(step: int, max_steps: int, warmup: float, warmup_steps: int = 0) -> float:
    """A linear rise over the first ``warmup`` of the run (a fraction), then half a cosine down to 0: for short runs.

    The rise takes ``warmup_steps`` at least, unless they are more than half of the run: how fast the rate may rise is a
    matter of steps, however long a run is.

    Source: Loshchilov and Hutter, SGDR (2017), Eq. 5, one period.
    """
    rise = max(round(warmup * max_steps), min(warmup_steps, max_steps // 2))
    if step < rise:
        return (step + 1) / (rise + 1)
    done = min((step - rise) / (max_steps - rise), 1.0)
    return 0.5 * (1.0 + math.cos(math.pi * done))


def build_schedule(config: ScheduleConfig, max_steps: int) -> Schedule:
    """Factor of the learning rate as a function of the step.

    Raises:
        InputError: for an unknown name, a β that is not positive, a warm-up that is not a fraction below 1, or of fewer
            than 0 steps.
    """
    if config.name == "constant":
        return constant
    if config.name == "power":
        if not config.beta > 0:
            raise InputError(f"optim.schedule.beta must be a positive number of steps, found {config.beta}")
        return partial(power_decay, beta=config.beta)
    if config.name == "cosine":
        if not 0 <= config.warmup <= 0.9:
            raise InputError(f"optim.schedule.warmup is a fraction of the run, 0 … 0.9, found {config.warmup}")
        if config.warmup_steps < 0:
            raise InputError(f"optim.schedule.warmup_steps cannot be negative, found {config.warmup_steps}")
        return partial(cosine, max_steps=max_steps, warmup=config.warmup, warmup_steps=config.warmup_steps)
    raise InputError(f"optim.schedule.name is {config.name!r}; choose one of power, cosine, constant")
