"""The spread between the predictions of an ensemble, and what else of a density tells how certain it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.predict.memmap import front_to_back

#: √(e/Å³): a member counts as at most so many √(ρ + _THIN) away from the median. Chosen on validation structures:
#: benchmarks/ensemble_mean.py.
FARTHEST = 0.05

#: e/Å³: below this density, errors are no longer in proportion to its square root.
_THIN = 0.02


def relative_spread(spread: Float[ndarray, "nx ny nz"], mean: Float[ndarray, "nx ny nz"]) -> float:
    """Σ s / Σ |ρ| over the grid: the standard deviation between members as a fraction of the electrons."""
    total = sum(float(np.abs(plane).sum(dtype=np.float64)) for plane in front_to_back(mean))
    return float(spread.sum(dtype=np.float64)) / total if total > 0.0 else float("inf")


def typical_density(density: Float[ndarray, "nx ny nz"]) -> float:
    """exp(Σ ρ⁺ ln ρ⁺ / Σ ρ⁺) in e/Å³: the geometric mean of the density at an electron. Vacuum does not count."""
    total, logarithms = 0.0, 0.0
    for plane in front_to_back(density):
        positive = np.maximum(plane, 1e-12, dtype=np.float64)
        total += float(positive.sum())
        logarithms += float((positive * np.log(positive)).sum())
    return float(np.exp(logarithms / total))


def mean_and_spread(densities: Sequence[Density]) -> tuple[ndarray, ndarray]:
    """[channels, nx, ny, nz] mean and standard deviation (n − 1) of the members :func:`within_limits`, e/Å³.

    The arrays of the first two densities become those of the mean and the spread, one plane of the grid after the
    other: large ones are in files.
    """
    every = [front_to_back(density.values) for density in densities]
    for plane in range(every[0].shape[1]):
        members = within_limits(np.stack([values[:, plane] for values in every]))
        every[0][:, plane] = members.mean(axis=0)
        every[1][:, plane] = members.std(axis=0, ddof=1)
    return densities[0].values, densities[1].values


def within_limits(
    members: Float[ndarray, "members channels *points"], farthest: float = FARTHEST
) -> Float[ndarray, "members channels *points"]:
    """The predictions, those far from their median replaced by the limit: median ± 0.05 √(ρ⁺ + 0.02), e/Å³.

    A single training can be far off at a few points, most of all between the atoms of open structures, where the others
    are right. A mean of values moved to the limits of a range is a winsorised mean (W. J. Dixon, Ann. Math. Stat. 31,
    385 (1960)). ρ⁺ is the positive part of the median of the first channel, the total density. Fewer than three
    predictions stay what they are.
    """
    if len(members) < 3:
        return members
    median = _median(members)
    limit = _limit(median, farthest)
    return np.clip(members, median - limit, median + limit)


def mean_gradient(
    members: Float[ndarray, "members channels points"], gradients: Float[ndarray, "members channels points 3"]
) -> Float[ndarray, "channels points 3"]:
    """The gradient of the mean of :func:`within_limits`, e/Å⁴.

    Args:
        members: predictions, e/Å³.
        gradients: of each, e/Å⁴.
    """
    if len(members) < 3:
        return gradients.mean(axis=0)
    order = np.argsort(members, axis=0, kind="stable")
    middle = order[(len(members) - 1) // 2 : len(members) // 2 + 1]  # one member, or two of an even number
    median = np.take_along_axis(members, middle, axis=0).mean(axis=0)
    slope = np.take_along_axis(gradients, middle[..., None], axis=0).mean(axis=0)
    limit = _limit(median, FARTHEST)
    rising = np.where(median[:1, :, None] > 0.0, slope[:1], 0.0) * FARTHEST**2 / (2.0 * limit[..., None])
    side = np.sign(members - median) * (np.abs(members - median) > limit)
    return np.where(side[..., None] == 0.0, gradients, slope + side[..., None] * rising).mean(axis=0)


def _median(members: Float[ndarray, "members channels *points"]) -> Float[ndarray, "channels *points"]:
    """Over members; of three, the usual number, by a quicker way than sorting."""
    if len(members) != 3:
        return np.median(members, axis=0)
    first, second, third = members
    return np.maximum(np.minimum(first, second), np.minimum(np.maximum(first, second), third))


def _limit(median: Float[ndarray, "channels *points"], farthest: float) -> Float[ndarray, "one *points"]:
    return farthest * np.sqrt(np.maximum(median[:1], 0.0) + _THIN)
