"""Exponents, their spread, and gains in pairs, against exact power laws and scipy."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from scipy import stats

from charge3net.analysis.learning import SizeErrors, gains, learning_exponent
from charge3net.errors import InputError

SIZES = np.array([10.0, 20.0, 40.0, 80.0])


def _power_law(exponents: list[float], factor: float = 9.0, materials: int = 7) -> SizeErrors:
    """One seed for each exponent; materials differ by factors."""
    scale = np.random.default_rng(0).uniform(0.5, 2.0, materials)
    errors = np.array([factor * SIZES[:, None] ** -b * scale for b in exponents])
    return SizeErrors(SIZES, errors)


def test_an_exact_power_law_has_no_spread_over_materials() -> None:
    found = learning_exponent(_power_law([0.3]), draws=50)
    for value in (found.value, found.material_low, found.material_high, found.fit_low, found.fit_high, *found.seeds):
        assert value == pytest.approx(0.3, abs=1e-9)
    scale = np.random.default_rng(0).uniform(0.5, 2.0, 7).mean()
    assert found.factor == pytest.approx(9.0 * scale)


def test_every_seed_has_its_own_exponent() -> None:
    found = learning_exponent(_power_law([0.2, 0.5]), draws=50)
    assert found.seeds == pytest.approx((0.2, 0.5))
    assert 0.2 < found.value < 0.5


def test_the_bootstrap_spans_materials_that_learn_differently() -> None:
    """Half of the materials fall as n^(−0.1), half as n^(−0.7): a drawn set can be all of one half."""
    errors = np.stack([SIZES**-b for b in [0.1] * 2 + [0.7] * 2], axis=1)[None]
    found = learning_exponent(SizeErrors(SIZES, errors), draws=400)
    assert 0.1 - 1e-9 <= found.material_low < 0.15
    assert 0.6 < found.material_high <= 0.7 + 1e-9
    assert found.material_low < found.value < found.material_high
    again = learning_exponent(SizeErrors(SIZES, errors), draws=400)
    assert (again.material_low, again.material_high) == (found.material_low, found.material_high)


def test_spreads_are_those_of_the_textbook() -> None:
    errors = np.random.default_rng(5).uniform(1.0, 3.0, (3, 4, 6))
    found = SizeErrors(SIZES, errors)
    for i in range(4):
        assert found.material_error()[i] == pytest.approx(stats.sem(errors.mean(axis=0)[i]))
        assert found.seed_spread()[i] == pytest.approx(statistics.stdev(errors[:, i].mean(axis=1)))
        assert found.mean()[i] == pytest.approx(statistics.mean(errors[:, i].reshape(-1)))
    assert np.isnan(SizeErrors(SIZES, errors[:1]).seed_spread()).all()


def test_gains_are_paired_over_materials_and_seeds() -> None:
    rng = np.random.default_rng(2)
    hard = rng.uniform(1.0, 9.0, 12)
    first = SizeErrors(SIZES, hard + rng.normal(0, 0.1, (2, 4, 12)))
    second = SizeErrors(SIZES, hard - 0.5 + rng.normal(0, 0.1, (2, 4, 12)))
    for i, gain in enumerate(gains(first, second)):
        one, other = first.errors[:, i].mean(axis=0), second.errors[:, i].mean(axis=0)
        interval = stats.ttest_rel(one, other).confidence_interval(0.95)
        assert (gain.pair.low, gain.pair.high) == pytest.approx((interval.low, interval.high))
        by_seed = (first.errors[:, i] - second.errors[:, i]).mean(axis=1)
        assert gain.seed_error == pytest.approx(abs(by_seed[0] - by_seed[1]) / 2)  # standard deviation / √2, two seeds
        assert gain.size == SIZES[i]
        assert gain.settled


def test_a_gain_that_seeds_do_not_share_is_not_settled() -> None:
    """+1 in one training and −0.6 in the other: clear over materials, not between trainings."""
    flat = np.ones((2, 4, 9)) * np.linspace(1.0, 1.01, 9)
    second = flat - np.array([1.0, -0.6])[:, None, None] * np.linspace(1.0, 1.02, 9)
    for gain in gains(SizeErrors(SIZES, flat), SizeErrors(SIZES, second)):
        assert gain.pair.settled
        assert not gain.settled
    alone = gains(SizeErrors(SIZES, flat[:1]), SizeErrors(SIZES, second[:1]))
    assert all(gain.settled for gain in alone)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="seeds, 4, materials"):
        SizeErrors(SIZES, np.ones((0, 4, 5)))
    with pytest.raises(InputError, match="same sizes"):
        gains(_power_law([0.1]), _power_law([0.1, 0.2]))
