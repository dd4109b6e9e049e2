"""The check of the hyper-parameters of every model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeGuard

from charge3net.errors import InputError
from charge3net.geometry import MAX_ATOMIC_NUMBER

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


def check_atoms(
    architecture: str, elements: Sequence[int], valences: Sequence[float], potentials: Sequence[str]
) -> None:
    """Refuse fitted atoms that do not belong together: an element each, its electrons, the name of its potential.

    Raises:
        InputError: naming the first that is wrong.
    """
    numbers = _as_list(elements)
    if numbers is None or not all(_is_integer(z) and 1 <= z <= MAX_ATOMIC_NUMBER for z in numbers):
        raise InputError(f"{architecture}: elements must be a list of atomic numbers, found {elements!r}")
    if numbers != sorted(set(numbers)):
        raise InputError(f"{architecture}: elements must be in ascending order, found {elements!r}")
    electrons = _as_list(valences)
    if electrons is None or len(electrons) != len(numbers) or not all(map(_is_positive, electrons)):
        raise InputError(f"{architecture}: valences must be one positive number for each element, found {valences!r}")
    names = _as_list(potentials)
    if names is None or len(names) != len(numbers) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{architecture}: potentials must be one name for each element, found {potentials!r}")


def _as_list(values: object) -> list[Any] | None:
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else None


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value > 0
