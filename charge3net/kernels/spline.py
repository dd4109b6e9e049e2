"""Functions of a distance as cubic B-splines, with as many steps as they need: the tables of the compiled read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

#: Bound on the error of any function in a table, relative to the largest value of that function.
TOLERANCE = 2e-6

#: Steps over [0, cutoff] to choose from.
STEPS = (128, 160, 192, 224, 256, 304, 352, 400, 448, 512, 576, 640, 768, 896, 1024, 1280, 1536, 2048)

#: Nodes beyond both ends: what is assumed there fades as 0.27^24 = 2e-14.
_MARGIN = 24

#: [n] distances in Å → [n, functions], float64; also a little below zero and beyond the cutoff.
Functions = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Tables:
    """Splines through several sets of functions.

    Attributes:
        steps: number of steps over [0, cutoff].
        error: largest error of a function, relative to its largest value.
        coefficients: per set [steps + 3, functions], float64; rows i … i + 3 belong to step i.
    """

    steps: int
    error: float
    coefficients: list[Float[ndarray, "rows functions"]]


def fit(sets: Sequence[Functions], cutoff: float) -> Tables | None:
    """The splines with the fewest steps whose error stays below :data:`TOLERANCE`; None when none of :data:`STEPS` do.

    The error is measured where it is largest, between the nodes, against the functions in float64.
    """
    at_least = 0.0
    for steps in STEPS:
        if steps < at_least:
            continue
        tables, errors = zip(*(_spline_through(one, cutoff, steps) for one in sets), strict=True)
        error = max(errors)
        if error <= TOLERANCE:
            return Tables(steps, error, [table.numpy() for table in tables])
        at_least = 0.97 * steps * (error / TOLERANCE) ** 0.25  # the error falls with the fourth power of the step
    return None


def _spline_through(functions: Functions, cutoff: float, steps: int) -> tuple[Float[Tensor, "rows functions"], float]:
    """Coefficients, and the error of the worst function relative to its largest value."""
    nodes = torch.arange(-1 - _MARGIN, steps + 2 + _MARGIN, dtype=torch.float64)
    coefficients = _coefficients(functions(nodes * (cutoff / steps)))[_MARGIN : steps + 3 + _MARGIN]
    inside = torch.arange(steps, dtype=torch.float64)
    error = torch.zeros(coefficients.shape[1], dtype=torch.float64)
    largest = error + 1e-30
    for t in (0.25, 0.5, 0.75):
        exact = functions((inside + t) * (cutoff / steps))
        weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (1 - t) ** 3 - 6 * (1 - t) ** 2 + 4, t**3)
        interpolated = torch.zeros_like(exact)
        for k, weight in enumerate(weights):
            interpolated += weight / 6 * coefficients[k : k + steps]
        error = torch.maximum(error, (interpolated - exact).abs().amax(0))
        largest = torch.maximum(largest, exact.abs().amax(0))
    return coefficients, float((error / largest).max())


def _coefficients(values: Float[Tensor, "nodes functions"]) -> Float[Tensor, "nodes functions"]:
    """(c[k−1] + 4 c[k] + c[k+1]) / 6 = value[k], nothing beyond the ends."""
    n = len(values)
    beside = torch.ones(n - 1, dtype=torch.float64)
    matrix = 4 * torch.eye(n, dtype=torch.float64) + torch.diag(beside, 1) + torch.diag(beside, -1)
    return torch.linalg.solve(matrix, 6 * values)
