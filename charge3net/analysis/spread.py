"""How far density functionals are apart: the yardstick for a model's error.

For densities ρ_k of one structure on one grid, one per functional,

    ε_mad = Σ_r mean_k |ρ_k(r) − median_k ρ(r)| / Σ_r ρ_1(r)

with the median over the functionals at every voxel, and the first functional in the denominator. All ρ_k hold the same
electrons, so the denominator is the same for all as long as none is negative.

Source: Jørgensen and Bhowmik, npj Comput. Mater. 8, 183 (2022), who compare their model's error with the mean absolute
deviation of eight functionals.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError


def functional_spread(densities: Float[ndarray, "functionals nx ny nz"]) -> float:
    """ε_mad of the densities of one structure, in % (see the module's text for the definition).

    Args:
        densities: e/Å³ on one grid, one functional after the other, at least two.

    Raises:
        InputError: for fewer than two densities, or where the first does not sum to something positive.
    """
    values = _checked(densities)
    deviation = np.abs(values - np.median(values, axis=0)).mean(axis=0)
    return 100.0 * float(deviation.sum() / values[0].sum())


def pair_errors(
    densities: Float[ndarray, "functionals nx ny nz"], names: Sequence[str]
) -> dict[tuple[str, str], float]:
    """ε_mae = Σ|ρ_a − ρ_b| / Σ|ρ_a| in % for every two functionals, in the order of ``names``.

    Raises:
        InputError: as :func:`functional_spread`, or where names and densities are not equally many.
    """
    values = _checked(densities)
    if len(names) != len(values):
        raise InputError(f"{len(values)} densities need as many names of functionals, found {len(names)}")
    return {
        (names[a], names[b]): 100.0 * float(np.abs(values[a] - values[b]).sum() / np.abs(values[a]).sum())
        for a, b in itertools.combinations(range(len(names)), 2)
    }


def _checked(densities: ndarray) -> Float[ndarray, "functionals nx ny nz"]:
    values = np.asarray(densities, dtype=np.float64)
    if len(values) < 2:
        raise InputError(f"the spread between functionals needs two densities or more, found {len(values)}")
    if not values[0].sum() > 0.0:
        raise InputError("the first density holds no electrons; the spread is relative to it")
    return values
