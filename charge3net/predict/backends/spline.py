"""Functions of a distance as cubic B-splines with as many steps as they need: the radial tables of the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

#: Bound on the error of any function in a table, relative to the largest value of that function.
TOLERANCE = 2e-6

#: The same for derivatives, where the kernels compute gradients, relative to the largest value of the derivative.
GRADIENT_TOLERANCE = 1e-5

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


def fit(sets: Sequence[Functions], cutoff: float, derivatives: bool = False) -> Tables | None:
    """The splines with the fewest steps whose error stays below :data:`TOLERANCE`; None when none of :data:`STEPS` do.

    The error is measured where it is largest, between the nodes, against the functions in float64. With ``derivatives``
    the error of the first derivatives stays below :data:`GRADIENT_TOLERANCE` too.
    """
    at_least = 0.0
    for steps in STEPS:
        if steps < at_least:
            continue
        tables = [_spline_through(one, cutoff, steps) for one in sets]
        measured = [_errors(one, table, cutoff, derivatives) for one, table in zip(sets, tables, strict=True)]
        error, of_derivatives = (max(of_each) for of_each in zip(*measured, strict=True))
        if error <= TOLERANCE and of_derivatives <= GRADIENT_TOLERANCE:
            return Tables(steps, error, [table.numpy() for table in tables])
        # the error falls with the fourth power of the step, that of the derivative with the third
        finer = max((error / TOLERANCE) ** (1 / 4), (of_derivatives / GRADIENT_TOLERANCE) ** (1 / 3))
        at_least = 0.97 * steps * finer
    return None


def _spline_through(functions: Functions, cutoff: float, steps: int) -> Float[Tensor, "rows functions"]:
    """Coefficients."""
    nodes = torch.arange(-1 - _MARGIN, steps + 2 + _MARGIN, dtype=torch.float64)
    return _coefficients(functions(nodes * (cutoff / steps)))[_MARGIN : steps + 3 + _MARGIN]


def _errors(
    functions: Functions, table: Float[Tensor, "rows functions"], cutoff: float, derivatives: bool
) -> tuple[float, float]:
    """Of the worst function, relative to its largest value, and the same of the derivatives (0 if not asked for)."""
    steps = len(table) - 3
    inside = torch.arange(steps, dtype=torch.float64)
    error, largest = torch.zeros(2, 2, table.shape[1], dtype=torch.float64)
    for t in (0.25, 0.5, 0.75):
        lengths = (inside + t) * (cutoff / steps)
        s = 1 - t
        pairs = [(functions(lengths), (s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3))]
        if derivatives:
            derivative = torch.func.jvp(functions, (lengths,), (torch.full_like(lengths, cutoff / steps),))[1]
            pairs.append((derivative, (-3 * s**2, 9 * t**2 - 12 * t, 12 * s - 9 * s**2, 3 * t**2)))
        for k, (exact, weights) in enumerate(pairs):
            found = sum(weight / 6 * table[i : i + steps] for i, weight in enumerate(weights))
            error[k] = torch.maximum(error[k], (found - exact).abs().amax(0))
            largest[k] = torch.maximum(largest[k], exact.abs().amax(0))
    of_functions, of_derivatives = (error / (largest + 1e-30)).amax(1).tolist()
    return of_functions, of_derivatives


def _coefficients(values: Float[Tensor, "nodes functions"]) -> Float[Tensor, "nodes functions"]:
    """(c[k−1] + 4 c[k] + c[k+1]) / 6 = value[k], nothing beyond the ends."""
    n = len(values)
    beside = torch.ones(n - 1, dtype=torch.float64)
    matrix = 4 * torch.eye(n, dtype=torch.float64) + torch.diag(beside, 1) + torch.diag(beside, -1)
    return torch.linalg.solve(matrix, 6 * values)
