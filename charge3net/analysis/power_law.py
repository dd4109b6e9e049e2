"""Exponents: how time, memory or an error grows with size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from charge3net.errors import InputError


@dataclass(frozen=True)
class PowerLaw:
    """y = factor · x^exponent, fitted by least squares to the logarithms.

    Attributes:
        exponent: the slope.
        low, high: its 95 % confidence interval (Student's t, from the scatter about the line).
        factor: y at x = 1.
        count: number of points.
    """

    exponent: float
    low: float
    high: float
    factor: float
    count: int

    def at(self, x: Float[ndarray, "points"]) -> Float[ndarray, "points"]:
        """The fitted y at these x."""
        return self.factor * np.asarray(x, dtype=np.float64) ** self.exponent


def fit_power_law(x: Float[ndarray, "points"], y: Float[ndarray, "points"]) -> PowerLaw:
    """Fit a power law.

    Raises:
        InputError: for fewer than three different x, or values that are not positive.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or len(np.unique(x)) < 3 or not ((x > 0) & (y > 0)).all():
        raise InputError(f"a power law needs three or more sizes and positive values, found sizes {x.tolist()}")
    line = stats.linregress(np.log(x), np.log(y))
    half = float(stats.t.ppf(0.975, len(x) - 2) * line.stderr)
    slope = float(line.slope)
    return PowerLaw(slope, slope - half, slope + half, float(np.exp(line.intercept)), len(x))
