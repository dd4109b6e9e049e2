"""Radial functions as cubic B-splines that end, with slope and curvature, at a reach.

Two bases. A fit has few functions, with knots where atoms need them (:func:`fit_basis`); what is stored and looked up
has knots :data:`STEP` apart (:func:`evaluate`). The knots of a fit are multiples of that step, so that the second basis
holds exactly what was found in the first.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.interpolate import BSpline
from torch import Tensor

from charge3net.errors import InputError

#: Å between the knots of a table.
STEP = 0.1

#: Knots of a fit: so far apart (Å) up to so far out (Å); the last goes on to the reach.
_SPACING = ((0.1, 2.0), (0.2, 4.0), (0.5, np.inf))


def steps_of(reach: float) -> int:
    """Number of steps of a table.

    Raises:
        InputError: for a reach that is not a multiple of :data:`STEP`, or below 1 Å.
    """
    steps = round(reach / STEP)
    if abs(steps * STEP - reach) > 1e-9 or steps < 10:
        raise InputError(f"atoms end at a multiple of {STEP} Å, at 1 Å or more; found a cutoff of {reach} Å")
    return steps


def table_nodes(reach: float) -> Float[ndarray, "nodes"]:
    """[steps + 1] Å: 0, STEP, …, reach."""
    return np.arange(steps_of(reach) + 1) * STEP


def fit_knots(reach: float) -> Float[ndarray, "knots"]:
    """[knots] Å from 0 to the reach."""
    nodes, kept = table_nodes(reach), [0]
    for spacing, until in _SPACING:
        stride = round(spacing / STEP)
        while kept[-1] + stride < len(nodes) and nodes[kept[-1]] < until - 1e-9:
            kept.append(kept[-1] + stride)
    kept[-1] = len(nodes) - 1  # the last interval takes what is left over
    return nodes[kept]


def fit_basis(lengths: Float[ndarray, "n"], knots: Float[ndarray, "knots"]) -> Float[ndarray, "n functions"]:
    """[n, functions] functions with slope 0 at 0; value, slope and curvature 0 at the last knot, and 0 beyond."""
    clamped = np.concatenate([[knots[0]] * 3, knots, [knots[-1]] * 3])
    inside = np.clip(lengths, knots[0], knots[-1])
    every = BSpline.design_matrix(inside, clamped, 3).toarray()
    every[:, 1] += every[:, 0]  # the first two coefficients are equal: no slope at the nucleus
    return every[:, 1:-3]


def table_of(values: Float[ndarray, "nodes functions"]) -> Float[ndarray, "rows functions"]:
    """[steps + 3, functions] coefficients of the splines through values at :func:`table_nodes`, even in r.

    Values at the last two nodes are not looked at: the end (value, slope and curvature 0) settles them.
    """
    steps = len(values) - 1
    matrix = np.diag(np.full(steps, 4.0), 1)[:steps, :steps] + np.eye(steps) + np.diag(np.ones(steps - 2), 2)
    matrix[-1] = 0.0
    matrix[-1, 0], matrix[-1, 2] = 6.0, -6.0
    right = np.concatenate([values[: steps - 1], np.zeros((1, values.shape[1]))])
    return np.concatenate([np.linalg.solve(matrix / 6.0, right), np.zeros((3, values.shape[1]))])


def evaluate(
    table: Float[Tensor, "elements rows functions"], element: Int[Tensor, "n"], lengths: Float[Tensor, "n"]
) -> Float[Tensor, "n functions"]:
    """[n, functions] the functions of an element at a length (Å); 0 from the reach on. Twice differentiable in r."""
    rows = table.shape[1]
    scaled = lengths / STEP
    first = scaled.detach().long().clamp(0, rows - 4)
    t = torch.where(scaled.detach() < rows - 3, scaled - first, scaled.new_ones(()))  # at the end all are 0
    s = 1.0 - t
    weights = torch.stack((s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3), dim=1) / 6.0
    taps = (element * rows + first)[:, None] + torch.arange(4, device=first.device)
    coefficients = table.reshape(-1, table.shape[2]).index_select(0, taps.reshape(-1)).unflatten(0, (-1, 4))
    return torch.bmm(weights[:, None, :], coefficients).squeeze(1)


def values_at(
    coefficients: Float[ndarray, "rows functions"], lengths: Float[ndarray, "n"]
) -> Float[ndarray, "n functions"]:
    """[n, functions] functions of one table at lengths in Å, in float64."""
    table = torch.from_numpy(np.ascontiguousarray(coefficients, dtype=np.float64))[None]
    where = torch.from_numpy(np.ascontiguousarray(lengths, dtype=np.float64))
    return evaluate(table, torch.zeros(len(where), dtype=torch.int64), where).numpy()
