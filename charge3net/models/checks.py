"""The check of the hyper-parameters of every model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeGuard

from charge3net.errors import InputError

_NONE: Mapping[str, Any] = MappingProxyType({})


def check_hyperparameters(
    architecture: str,
    counts: Mapping[str, int],
    cutoff: float,
    channels: int,
    *,
    positive: Mapping[str, float] = _NONE,
    least: Mapping[str, int] = _NONE,
    flags: Mapping[str, bool] = _NONE,
) -> None:
    """Refuse values that make no network.

    Args:
        architecture: for the message.
        counts: hyper-parameters that must be integers ≥ 1, by name.
        cutoff: must be a positive finite length, Å.
        channels: must be 1 or 2.
        positive: hyper-parameters that must be positive finite numbers, by name.
        least: the smallest value of those counts for which it is not 1.
        flags: hyper-parameters that must be True or False, by name.

    Raises:
        InputError: naming the first that is wrong.
    """
    for name, value in counts.items():
        smallest = least.get(name, 1)
        if not _is_integer(value) or value < smallest:
            raise InputError(f"{architecture}: {name} must be an integer of at least {smallest}, found {value!r}")
    if not _is_positive(cutoff):
        raise InputError(f"{architecture}: cutoff must be a positive length in Å, found {cutoff!r}")
    for name, number in positive.items():
        if not _is_positive(number):
            raise InputError(f"{architecture}: {name} must be a positive finite number, found {number!r}")
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise InputError(f"{architecture}: {name} must be true or false, found {flag!r}")
    if not _is_integer(channels) or channels not in (1, 2):
        raise InputError(f"{architecture}: channels must be 1 (total) or 2 (total, magnetisation), found {channels!r}")


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value > 0
