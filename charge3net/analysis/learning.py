"""How an error falls with the number of training materials, and whether one model's is lower than another's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.power_law import PowerLaw, fit_power_law
from charge3net.analysis.statistics import PairedDifference, paired_difference
from charge3net.errors import InputError


@dataclass(frozen=True, eq=False)
class SizeErrors:
    """The errors of one model trained on sets of several sizes, each with several seeds.

    Attributes:
        sizes: [sizes] training materials.
        errors: [seeds, sizes, materials] ε_mae in % of every test material.

    Raises:
        InputError: if the shapes do not fit.
    """

    sizes: Float[ndarray, "sizes"]
    errors: Float[ndarray, "seeds sizes materials"]

    def __post_init__(self) -> None:
        if self.errors.ndim != 3 or self.errors.shape[1] != len(self.sizes) or 0 in self.errors.shape:
            raise InputError(f"errors must be [seeds, {len(self.sizes)}, materials], found {self.errors.shape}")

    def mean(self) -> Float[ndarray, "sizes"]:
        """[sizes] mean over materials and seeds."""
        return self.errors.mean(axis=(0, 2))

    def material_error(self) -> Float[ndarray, "sizes"]:
        """[sizes] standard error of the mean from the spread over materials (each averaged over seeds)."""
        means = self.errors.mean(axis=0)
        count = means.shape[1]
        return means.std(axis=1, ddof=1) / np.sqrt(count) if count > 1 else np.full(len(self.sizes), np.nan)

    def seed_spread(self) -> Float[ndarray, "sizes"]:
        """[sizes] standard deviation between seeds of the mean over materials; NaN for one seed."""
        means = self.errors.mean(axis=2)
        return means.std(axis=0, ddof=1) if len(means) > 1 else np.full(len(self.sizes), np.nan)


@dataclass(frozen=True)
class LearningExponent:
    """b of log ε = a − b·log n, larger is better.

    Attributes:
        value: fitted to the means over materials and seeds.
        factor: exp(a), ε_mae in % at n = 1.
        fit_low, fit_high: 95 % interval from the scatter of the points about the line (Student's t).
        material_low, material_high: 95 % interval of the bootstrap over test materials.
        seeds: b of each seed alone.
    """

    value: float
    factor: float
    fit_low: float
    fit_high: float
    material_low: float
    material_high: float
    seeds: tuple[float, ...]


def learning_exponent(found: SizeErrors, draws: int = 2000, seed: int = 0) -> LearningExponent:
    """Fit log ε = a − b·log n, with the spread of b over test materials, seeds, and about the line.

    Args:
        found: errors at three or more sizes.
        draws: of the bootstrap: test materials with replacement, the same ones at every size and seed.
        seed: of the draws.
    """

    def fitted(values: Float[ndarray, "sizes"]) -> PowerLaw:
        return fit_power_law(found.sizes, values)

    line = fitted(found.mean())
    means = found.errors.mean(axis=0)
    count = means.shape[1]
    rng = np.random.default_rng(seed)
    drawn = [-fitted(means[:, rng.integers(0, count, count)].mean(axis=1)).exponent for _ in range(draws)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    alone = tuple(-fitted(errors.mean(axis=1)).exponent for errors in found.errors)
    return LearningExponent(-line.exponent, line.factor, -line.high, -line.low, float(low), float(high), alone)


@dataclass(frozen=True)
class Gain:
    """What a second model gains over a first at one training size.

    Attributes:
        size: training materials.
        pair: ε(first) − ε(second) in percentage points over test materials, each averaged over seeds.
        seed_error: standard error of that mean from the spread between seeds, NaN for one seed.
    """

    size: int
    pair: PairedDifference
    seed_error: float

    @property
    def settled(self) -> bool:
        """Whether the interval over materials leaves zero out and the mean is twice the error from seeds."""
        return self.pair.settled and not abs(self.pair.mean) < 2.0 * self.seed_error


def gains(first: SizeErrors, second: SizeErrors) -> list[Gain]:
    """Differences in pairs, size by size; of models with the same sizes, seeds and materials.

    Raises:
        InputError: if sizes, or numbers of seeds or materials differ.
    """
    if not np.array_equal(first.sizes, second.sizes) or first.errors.shape != second.errors.shape:
        raise InputError("two models are compared at the same sizes, with the same seeds, on the same materials")
    found = []
    for i, size in enumerate(first.sizes):
        one, other = first.errors[:, i], second.errors[:, i]
        between = (one - other).mean(axis=1)
        error = float(between.std(ddof=1) / np.sqrt(len(between))) if len(between) > 1 else float("nan")
        found.append(Gain(int(size), paired_difference(one.mean(axis=0), other.mean(axis=0)), error))
    return found
