"""Losses against numbers worked out by hand, and gradients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from charge3net.errors import InputError
from charge3net.train.losses import LOSSES, build_loss, structure_sums

# two structures: probes 0 … 1 and 2 … 4
PREDICTION = torch.tensor([[1.0], [2.0], [0.0], [4.0], [1.0]])
TARGET = torch.tensor([[2.0], [2.0], [1.0], [1.0], [2.0]])
OFFSETS = torch.tensor([0, 2, 5])
MEANS = torch.tensor([0.5, 2.0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l1", (1 + 0 + 1 + 3 + 1) / 5),
        ("unsigned_l1", (1 + 0 + 1 + 3 + 1) / 5),
        ("mse", (1 + 0 + 1 + 9 + 1) / 5),
        ("normalised_l1", (1 / 4 + 5 / 4) / 2),
        ("nmae", (1 / 2 / 0.5 + 5 / 3 / 2.0) / 2),
    ],
)
def test_value(name: str, expected: float) -> None:
    assert float(build_loss(name)(PREDICTION, TARGET, OFFSETS, MEANS)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    # errors are 1, 2, 2 and 0; the normalised loss divides both channels by Σ|ρ| = 6 of the total density
    [("l1", 5 / 4), ("unsigned_l1", 5 / 4), ("mse", (1 + 4 + 4) / 4), ("normalised_l1", 5 / 6)],
)
def test_two_channels(name: str, expected: float) -> None:
    prediction = torch.tensor([[3.0, 2.0], [2.0, 0.0]])
    target = torch.tensor([[2.0, 0.0], [4.0, 0.0]])
    value = float(build_loss(name)(prediction, target, torch.tensor([0, 2])))
    assert value == pytest.approx(expected, rel=1e-6)


def test_sign_of_a_whole_magnetisation_is_free() -> None:
    # structure 0 (probes 0, 1): Σ|m̂ − m| = 4 + 1, with −m̂ 0 + 1; structure 1 (probe 2): 1, with −m̂ 5
    prediction = torch.tensor([[1.0, 2.0], [1.0, 0.5], [0.0, 3.0]])
    target = torch.tensor([[1.0, -2.0], [1.5, 0.5], [0.0, 2.0]])
    loss, offsets = build_loss("unsigned_l1"), torch.tensor([0, 2, 3])
    assert float(loss(prediction, target, offsets)) == pytest.approx((0.5 + 1.0 + 1.0) / 6)
    flipped = target * torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    assert float(loss(prediction, flipped, offsets)) == pytest.approx((0.5 + 1.0 + 1.0) / 6)
    # the sign of one atom within a structure does count
    swapped = target * torch.tensor([[1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    assert float(loss(prediction, swapped, offsets)) == pytest.approx((0.5 + 0.0 + 1.0) / 6)


@pytest.mark.parametrize("name", LOSSES)
def test_shares_add_up(name: str) -> None:
    # processes add numerators and denominators: the parts of a batch give the whole, though they are unequal
    loss = build_loss(name)
    parts = [
        loss.sums(PREDICTION[:2], TARGET[:2], torch.tensor([0, 2]), MEANS[:1]),
        loss.sums(PREDICTION[2:], TARGET[2:], torch.tensor([0, 3]), MEANS[1:]),
    ]
    whole = sum(total for total, _ in parts) / sum(count for _, count in parts)
    torch.testing.assert_close(whole, loss(PREDICTION, TARGET, OFFSETS, MEANS))


@pytest.mark.parametrize("name", LOSSES)
def test_gradient(name: str) -> None:
    prediction = PREDICTION.double().add(0.123).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: build_loss(name)(p, TARGET.double(), OFFSETS, MEANS), prediction)


def test_structure_without_density_stays_finite() -> None:
    value = build_loss("normalised_l1")(torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor([0, 2]))
    assert float(value) == 0.0


def test_unknown_name() -> None:
    with pytest.raises(
        InputError, match=r"loss\.name is 'huber'; choose one of l1, mse, normalised_l1, unsigned_l1, nmae"
    ):
        build_loss("huber")


def test_structure_sums_match_numpy_per_structure() -> None:
    rng = np.random.default_rng(2)
    target, prediction = rng.standard_normal((2, 9))
    offsets = [0, 4, 4, 9]
    numerator, denominator = structure_sums(
        torch.tensor(prediction, requires_grad=True), torch.tensor(target), torch.tensor(offsets)
    )
    assert not numerator.requires_grad
    for i, (start, stop) in enumerate(itertools.pairwise(offsets)):
        assert numerator[i].item() == pytest.approx(np.abs(prediction[start:stop] - target[start:stop]).sum())
        assert denominator[i].item() == pytest.approx(np.abs(target[start:stop]).sum())
