"""Checks of the numbers that a model is built from."""

from __future__ import annotations

import math
from collections.abc import Mapping

from charge3net.errors import InputError


def check_hyperparameters(architecture: str, counts: Mapping[str, int], cutoff: float, channels: int) -> None:
    """Refuse sizes that make no network.

    Args:
        architecture: for the message.
        counts: hyper-parameters that must be integers ≥ 1, by name.
        cutoff: must be a positive finite length, Å.
        channels: must be 1 or 2.

    Raises:
        InputError: naming the first that is wrong.
    """
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{architecture}: {name} must be an integer of at least 1, found {value!r}")
    if isinstance(cutoff, bool) or not isinstance(cutoff, int | float) or not (math.isfinite(cutoff) and cutoff > 0):
        raise InputError(f"{architecture}: cutoff must be a positive length in Å, found {cutoff!r}")
    if channels not in (1, 2) or isinstance(channels, bool):
        raise InputError(f"{architecture}: channels must be 1 (total) or 2 (total, magnetisation), found {channels!r}")
