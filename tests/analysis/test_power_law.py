"""Exponents against data that follow one, and intervals against a least squares fit by hand."""

from __future__ import annotations

import numpy as np
import pytest

from charge3net.analysis.power_law import fit_power_law
from charge3net.errors import InputError


def test_exact_data_have_no_interval():
    x = np.array([10.0, 100.0, 500.0, 3000.0])
    law = fit_power_law(x, 0.3 * x**1.25)
    assert law.exponent == pytest.approx(1.25)
    assert law.factor == pytest.approx(0.3)
    assert law.high - law.low < 1e-6
    np.testing.assert_allclose(law.at(np.array([20.0])), 0.3 * 20**1.25)


def test_interval_is_that_of_the_slope():
    rng = np.random.default_rng(0)
    x = np.array([1.0, 2.0, 5.0, 10.0, 30.0])
    y = 2.0 * x**0.9 * np.exp(rng.normal(scale=0.1, size=5))
    slope, covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    half = 3.182446 * np.sqrt(covariance[0, 0])  # Student's t, 97.5 %, 3 degrees of freedom
    law = fit_power_law(x, y)
    assert law.exponent == pytest.approx(slope[0])
    assert (law.low, law.high) == (pytest.approx(slope[0] - half, rel=1e-5), pytest.approx(slope[0] + half, rel=1e-5))
    assert law.count == 5


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 1, 2], [1, 1, 2]), ([1, 2, 3], [1, 0, 2])])
def test_too_little_data(x, y):
    with pytest.raises(InputError, match="three or more sizes"):
        fit_power_law(np.array(x, float), np.array(y, float))
