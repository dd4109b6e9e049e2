"""The spread between the predictions of an ensemble, and what else of a density tells how certain it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density


def relative_spread(spread: Float[ndarray, "nx ny nz"], mean: Float[ndarray, "nx ny nz"]) -> float:
    """Σ s / Σ |ρ| over the grid: the standard deviation between members as a fraction of the electrons."""
    total = float(np.abs(mean).sum(dtype=np.float64))
    return float(spread.sum(dtype=np.float64)) / total if total > 0.0 else float("inf")


def typical_density(density: Float[ndarray, "nx ny nz"]) -> float:
    """exp(Σ ρ⁺ ln ρ⁺ / Σ ρ⁺) in e/Å³: the geometric mean of the density at an electron. Vacuum does not count."""
    total, logarithms = 0.0, 0.0
    for plane in density:
        positive = np.maximum(plane, 1e-12, dtype=np.float64)
        total += float(positive.sum())
        logarithms += float((positive * np.log(positive)).sum())
    return float(np.exp(logarithms / total))


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
