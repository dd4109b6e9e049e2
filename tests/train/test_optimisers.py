"""Optimisers by name, against one step of their equations."""

from __future__ import annotations

import pytest
import torch

from charge3net.errors import InputError
from charge3net.train.config import OptimConfig, TrainConfig
from charge3net.train.optimisers import OPTIMISERS, build_optimiser
from charge3net.train.run import train


@pytest.mark.parametrize("name", OPTIMISERS)
def test_first_step(name: str) -> None:
    """In the first step m̂ = g and v̂ = g², so Adam moves by lr·g/(|g| + ε) whatever the betas."""
    start, gradient = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([0.3, -0.1], dtype=torch.float64)
    config = OptimConfig(name=name, lr=0.1, weight_decay=0.2)
    weight = torch.nn.Parameter(start.clone())
    optimiser = build_optimiser(config, [weight])
    weight.grad = gradient.clone()
    optimiser.step()
    if name == "adam":  # the decay is part of the gradient
        whole = gradient + 0.2 * start
        expected = start - 0.1 * whole / (whole.abs() + 1e-8)
    else:  # the decay is apart
        expected = start * (1 - 0.1 * 0.2) - 0.1 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-12, atol=1e-12)


def test_an_unknown_name_is_refused_before_anything_is_written(config: TrainConfig, tmp_path) -> None:
    config.optim.name = "lion"
    with pytest.raises(InputError, match=r"optim\.name is 'lion'; choose one of adam, adamw"):
        train(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("betas", [[0.9], [0.9, 1.0], [-0.1, 0.99], [0.9, 0.99, 0.999], [0.9, float("nan")]])
def test_betas_that_are_no_two_decays_are_refused(config: TrainConfig, betas: list[float], tmp_path) -> None:
    config.optim.betas = betas
    with pytest.raises(InputError, match=r"optim\.betas must be two numbers from 0 to below 1"):
        train(config)
    assert not (tmp_path / "run").exists()
