"""How far a prediction can be trusted: the spread of an ensemble, calibrated to an expected error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError

#: Spreads below this (a fraction of the electrons) count as this much: single-precision noise.
LEAST_SPREAD = 1e-6

#: Share of the validation errors that lie within the interval.
COVERAGE = 0.9


@dataclass(frozen=True)
class ExpectedError:
    """Expected ε_mae of a prediction, in %.

    Attributes:
        percent: median estimate.
        low, high: bounds of the interval that holds 90 % of the errors on validation structures.
    """

    percent: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.percent:.2g} % ({self.low:.2g} to {self.high:.2g} %)"


@dataclass(frozen=True)
class Calibration:
    """Expected error from the ensemble's spread: ``ln ε = intercept + slope · ln s``, fitted on validation structures.

    ``s`` is :func:`relative_spread`, ε the error of the ensemble's mean, both as fractions. The interval holds the
    middle 90 % of the validation residuals (split-conformal quantiles; Vovk et al., Algorithmic Learning in a Random
    World, 2005).

    Attributes:
        intercept, slope: of the fit.
        below, above: residuals of ln ε at the interval's ends.
        structures: number of validation structures.
    """

    intercept: float
    slope: float
    below: float
    above: float
    structures: int

    @classmethod
    def fit(cls, spreads: Sequence[float] | ndarray, errors: Sequence[float] | ndarray) -> Calibration:
        """Least squares in logarithms, and the quantiles of its residuals.

        Args:
            spreads: [structures] relative spread of each validation structure.
            errors: [structures] its ε_mae as a fraction.

        Raises:
            InputError: for fewer than ten structures, or lengths that differ.
        """
        if len(spreads) != len(errors) or len(spreads) < 10:
            raise InputError(f"a calibration needs ten structures or more, found {len(spreads)} and {len(errors)}")
        x = np.log(np.maximum(spreads, LEAST_SPREAD))
        y = np.log(np.maximum(errors, LEAST_SPREAD))
        slope, intercept = np.polyfit(x, y, 1) if np.ptp(x) > 0 else (0.0, float(y.mean()))
        residuals, n = np.sort(y - intercept - slope * x), len(x)
        tail = 0.5 * (1.0 - COVERAGE)
        low = max(int(np.floor(tail * (n + 1))) - 1, 0)
        high = min(int(np.ceil((1.0 - tail) * (n + 1))) - 1, n - 1)
        return cls(float(intercept), float(slope), float(residuals[low]), float(residuals[high]), n)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """From :meth:`to_json`.

        Raises:
            InputError: if a value is missing or no number.
        """
        try:
            numbers = {name: float(values[name]) for name in ("intercept", "slope", "below", "above")}
            return cls(**numbers, structures=int(values["structures"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the calibration of an ensemble is damaged ({error}); get the model again") from error

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def expected(self, spread: float) -> ExpectedError:
        """The error to expect at a relative spread."""
        middle = self.intercept + self.slope * float(np.log(max(spread, LEAST_SPREAD)))
        low, percent, high = (100.0 * float(np.exp(middle + shift)) for shift in (self.below, 0.0, self.above))
        return ExpectedError(percent, low, high)


def relative_spread(spread: Float[ndarray, "nx ny nz"], mean: Float[ndarray, "nx ny nz"]) -> float:
    """Σ s / Σ |ρ| over the grid: the standard deviation between members as a fraction of the electrons."""
    total = float(np.abs(mean).sum(dtype=np.float64))
    return float(spread.sum(dtype=np.float64)) / total if total > 0.0 else float("inf")


def mean_and_spread(densities: Sequence[Density]) -> tuple[ndarray, ndarray]:
    """[channels, nx, ny, nz] mean over members, and their standard deviation (n − 1), e/Å³, one member at a time.

    The first density's array becomes the mean (Welford's recurrence, Technometrics 4, 419, 1962).
    """
    mean = densities[0].values
    squares = np.zeros_like(mean)
    for count, density in enumerate(densities[1:], start=2):
        for channel, total, new in zip(mean, squares, density.values, strict=True):
            difference = new - channel
            channel += difference / count
            total += difference * (new - channel)
    np.sqrt(squares / max(len(densities) - 1, 1), out=squares)
    return mean, squares
