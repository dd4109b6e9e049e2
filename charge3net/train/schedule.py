"""The course of the learning rate, as a factor on its first value."""

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


def cosine(step: int, max_steps: int, warmup: int) -> float:
    """A linear rise over ``warmup`` steps, then half a cosine down to 0 at ``max_steps``: for short runs.

    Source: Loshchilov and Hutter, SGDR (2017), Eq. 5, one period.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min((step - warmup) / max(max_steps - warmup, 1), 1.0)
    return 0.5 * (1.0 + math.cos(math.pi * done))


def build_schedule(config: ScheduleConfig, max_steps: int) -> Schedule:
    """Factor of the learning rate as a function of the step.

    Raises:
        InputError: for an unknown name, a β that is not positive, or a warm-up that is negative or longer than the run.
    """
    if config.name == "constant":
        return constant
    if config.name == "power":
        if not config.beta > 0:
            raise InputError(f"optim.schedule.beta must be a positive number of steps, found {config.beta}")
        return partial(power_decay, beta=config.beta)
    if config.name == "cosine":
        if not 0 <= config.warmup < max_steps:
            raise InputError(f"optim.schedule.warmup must lie in 0 … max_steps − 1, found {config.warmup}")
        return partial(cosine, max_steps=max_steps, warmup=config.warmup)
    raise InputError(f"optim.schedule.name is {config.name!r}; choose one of power, cosine, constant")
