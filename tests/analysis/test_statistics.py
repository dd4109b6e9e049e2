"""Statistics against scipy's own tests and a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from charge3net.analysis.statistics import paired_difference, spearman
from charge3net.errors import InputError


def test_paired_difference_is_the_t_interval() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(12)
    second = first + rng.normal(0.1, 0.05, 12)
    result = paired_difference(first, second)
    expected = stats.ttest_rel(first, second).confidence_interval()
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))
    assert result.mean == pytest.approx((first - second).mean())
    assert result.wins == int((first < second).sum())
    assert result.settled
    assert not paired_difference(first, np.roll(first, 1)).settled
    with pytest.raises(InputError, match="two or more"):
        paired_difference(first[:1], second[:1])


def test_spearman_against_scipy() -> None:
    rng = np.random.default_rng(1)
    x = rng.random(30)
    y = x + rng.normal(0, 0.4, 30)
    result = spearman(x, y)
    assert result is not None
    assert result.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert result.low < result.rho < result.high
    assert spearman(x, np.ones(30)) is None
    assert spearman(x[:3], y[:3]) is None
    perfect = spearman(x, x**3)
    assert perfect is not None
    assert perfect.rho == pytest.approx(1.0)


def test_spearman_interval_covers() -> None:
    """Samples of a bivariate normal: the 95 % interval holds the true rank correlation in about 95 of 100 cases."""
    rng = np.random.default_rng(2)
    r = 0.6
    true = 6 / np.pi * np.arcsin(r / 2)  # exact for the bivariate normal
    samples = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], size=(400, 25))
    results = [spearman(s[:, 0], s[:, 1]) for s in samples]
    covered = np.mean([c is not None and c.low <= true <= c.high for c in results])
    assert 0.91 < covered < 0.985
