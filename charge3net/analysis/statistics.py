"""The two statistics that comparisons of models need: differences in pairs, and rank correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from charge3net.errors import InputError


@dataclass(frozen=True)
class PairedDifference:
    """The difference of two models' errors over the same materials.

    Attributes:
        mean: mean of first − second.
        low, high: 95 % confidence interval of the mean (Student's t).
        wins: number of materials where the first is smaller.
        count: number of materials.
    """

    mean: float
    low: float
    high: float
    wins: int
    count: int

    @property
    def settled(self) -> bool:
        """Whether the interval leaves zero out."""
        return bool(self.low > 0.0 or self.high < 0.0)


def paired_difference(first: Float[ndarray, "materials"], second: Float[ndarray, "materials"]) -> PairedDifference:
    """Compare two models material by material.

    Raises:
        InputError: for different lengths or fewer than two materials.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    n = len(first)
    if first.shape != second.shape or n < 2:
        raise InputError(f"a paired comparison needs the same two or more materials, found {n} and {len(second)}")
    difference = first - second
    mean = float(difference.mean())
    half = float(stats.t.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n))
    return PairedDifference(mean, mean - half, mean + half, int((difference < 0).sum()), n)


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation.

    Attributes:
        rho: the coefficient, −1 … 1.
        low, high: 95 % confidence interval.
        p_value: two-sided test of no correlation.
        count: number of points.
    """

    rho: float
    low: float
    high: float
    p_value: float
    count: int


def spearman(x: Float[ndarray, "points"], y: Float[ndarray, "points"]) -> RankCorrelation | None:
    """Spearman's ρ with a 95 % interval; None for fewer than four points or a constant side.

    The interval is Fisher's transform with the variance (1 + ρ²/2)/(n − 3): Bonett and Wright, Psychometrika 65, 23
    (2000).
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    n = len(x)
    if n < 4 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return None
    result = stats.spearmanr(x, y)
    rho = float(result.statistic)
    if abs(rho) > 1.0 - 1e-12:
        return RankCorrelation(rho, rho, rho, float(result.pvalue), n)
    half = stats.norm.ppf(0.975) * np.sqrt((1.0 + rho**2 / 2.0) / (n - 3))
    centre = np.arctanh(rho)
    return RankCorrelation(rho, float(np.tanh(centre - half)), float(np.tanh(centre + half)), float(result.pvalue), n)


def ratio_of_means(above: Float[ndarray, "materials"], below: Float[ndarray, "materials"]) -> tuple[float, float]:
    """Σ above / Σ below over materials, and its standard error.

    The error is that of the linearised ratio, r ± √(Σ (a − r b)² / (n (n − 1))) / mean b: Cochran, Sampling Techniques,
    3rd ed. (1977), section 2.11. NaN for a single material, and both NaN where Σ below is zero.
    """
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    n = len(below)
    if n == 0 or below.sum() == 0.0:
        return float("nan"), float("nan")
    ratio = float(above.sum() / below.sum())
    if n == 1:
        return ratio, float("nan")
    scatter = float(np.sqrt(np.square(above - ratio * below).sum() / (n * (n - 1.0))))
    return ratio, scatter / abs(float(below.mean()))
