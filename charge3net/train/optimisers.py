"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import nn

from charge3net.errors import InputError
from charge3net.train.config import OptimConfig

#: ``optim.name`` → class. ``adam`` adds weight_decay·w to the gradient, ``adamw`` shrinks the weights themselves by
#: lr·weight_decay in every step (Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, Algorithm 2).
OPTIMISERS: Mapping[str, type[torch.optim.Adam]] = MappingProxyType(
    {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
)


def check_optimiser(config: OptimConfig) -> None:
    """Raise InputError for an unknown name, or betas that are no two decays."""
    if config.name not in OPTIMISERS:
        raise InputError(f"optim.name is {config.name!r}; choose one of {', '.join(OPTIMISERS)}")
    if len(config.betas) != 2 or not all(0 <= beta < 1 for beta in config.betas):
        raise InputError(f"optim.betas must be two numbers from 0 to below 1, found {list(config.betas)}")


def build_optimiser(config: OptimConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of these settings.

    Raises:
        InputError: as :func:`check_optimiser`.
    """
    check_optimiser(config)
    return OPTIMISERS[config.name](
        parameters,
        lr=config.lr,
        betas=(config.betas[0], config.betas[1]),
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
    )
