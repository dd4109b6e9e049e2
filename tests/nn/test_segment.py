"""Sums at receivers: the torch path against numpy, torch-scatter's against the torch path."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charge3net.errors import InputError
from charge3net.nn import segment
from charge3net.nn.segment import has_torch_scatter, segment_sum, segment_sum_scatter, segment_sum_torch


def example(features: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Values, ascending receivers, some of them without edges (the first and the last among them)."""
    rng = np.random.default_rng(4)
    receivers = np.sort(rng.choice([1, 2, 5, 6, 7], size=40))
    values = torch.from_numpy(rng.normal(size=(40, *features))).requires_grad_()
    return values, torch.from_numpy(receivers), 9


@pytest.mark.parametrize("features", [(), (3,), (2, 5)])
def test_torch_path_is_a_sum_over_the_edges_of_each_receiver(features):
    values, receivers, n = example(features)
    expected = np.stack([values.detach().numpy()[receivers.numpy() == i].sum(axis=0) for i in range(n)])
    np.testing.assert_allclose(segment_sum(values, receivers, n).detach(), expected, atol=1e-12)
    np.testing.assert_allclose(segment_sum_torch(values, receivers, n).detach(), expected, atol=1e-12)


def test_no_edges_give_zeros():
    empty = segment_sum(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 3)
    assert empty.shape == (3, 4)
    assert not empty.any()


@pytest.mark.skipif(not has_torch_scatter(), reason="torch-scatter is not installed (pip install charge3net[scatter])")
@pytest.mark.parametrize("features", [(3,), (2, 5)])
def test_torch_scatter_gives_the_same_sums_and_gradients(features):
    values, receivers, n = example(features)
    weights = torch.linspace(-1.0, 1.0, n * int(np.prod(features)), dtype=torch.float64).reshape(n, *features)
    results = []
    for path in (segment_sum_torch, segment_sum_scatter):
        summed = path(values, receivers, n)
        (gradient,) = torch.autograd.grad((summed * weights).sum(), values)
        results.append((summed, gradient))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-12, atol=1e-12)


def test_torch_scatter_is_used_only_when_asked_for(monkeypatch):
    calls = []
    monkeypatch.setattr(segment, "has_torch_scatter", lambda: True)
    monkeypatch.setattr(segment, "segment_sum_scatter", lambda *a: calls.append(a) or segment_sum_torch(*a))
    segment._is_torch_scatter.cache_clear()
    for value, expected in ((None, 0), ("", 0), ("torch", 0), ("torch_scatter", 1)):
        calls.clear()
        if value is None:
            monkeypatch.delenv(segment.SWITCH, raising=False)
        else:
            monkeypatch.setenv(segment.SWITCH, value)
        segment_sum(*example((3,)))
        assert len(calls) == expected, value
    segment._is_torch_scatter.cache_clear()


@pytest.mark.parametrize(
    ("value", "words"), [("scatter", "torch or torch_scatter"), ("torch_scatter", "not installed")]
)
def test_a_wrong_choice_is_an_error(monkeypatch, value, words):
    monkeypatch.setattr(segment, "has_torch_scatter", lambda: False)
    monkeypatch.setenv(segment.SWITCH, value)
    segment._is_torch_scatter.cache_clear()
    with pytest.raises(InputError, match=words):
        segment_sum(*example((3,)))
