"""Statistics against scipy's own tests and a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from charge3net.analysis.statistics import paired_difference, ratio_of_means, spearman
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


def test_ratio_of_means_by_hand_and_by_resampling() -> None:
    ratio, error = ratio_of_means(np.array([1.0, 2.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    assert ratio == pytest.approx(1.5)  # residuals −½ −1 3/2: √(3.5 / 6) / 2
    assert error == pytest.approx(np.sqrt(3.5 / 6) / 2)
    rng = np.random.default_rng(3)
    below = rng.lognormal(0.0, 0.5, 60)
    above = below * rng.normal(2.0, 0.4, 60)
    draws = rng.integers(0, 60, (4000, 60))
    resampled = above[draws].sum(axis=1) / below[draws].sum(axis=1)
    assert ratio_of_means(above, below)[1] == pytest.approx(resampled.std(), rel=0.1)
    assert np.isnan(ratio_of_means(above[:1], below[:1])[1])
    assert np.isnan(ratio_of_means(np.ones(3), np.zeros(3))[0])
