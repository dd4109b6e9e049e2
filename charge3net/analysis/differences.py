"""Derivatives of any function of a point by central finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

#: Every point that is read lies within this many steps of the point asked for.
REACH = 2.0 * np.sqrt(2.0)

#: [points, 3] → [points].
Function = Callable[[Float[ndarray, "points 3"]], Float[ndarray, "points"]]


def central_differences(
    function: Function, points: Float[ndarray, "points 3"], step: float
) -> tuple[Float[ndarray, "points 3"], Float[ndarray, "points 3 3"]]:
    """Gradient and Hessian with an error of the fourth order in the step.

    Differences of second order with one and with two steps are combined to (4 D(h) − D(2h)) / 3, Richardson's
    extrapolation.

    Args:
        function: read at 37 places per point; in float64, since differences of equal digits are formed.
        points: where.
        step: h, in the unit of the points.
    """
    centre = function(points)
    single, double = (_second_order(function, points, centre, h) for h in (step, 2.0 * step))
    return (4.0 * single[0] - double[0]) / 3.0, (4.0 * single[1] - double[1]) / 3.0


def _second_order(
    function: Function, points: Float[ndarray, "points 3"], centre: Float[ndarray, "points"], h: float
) -> tuple[Float[ndarray, "points 3"], Float[ndarray, "points 3 3"]]:
    moves = h * np.eye(3)
    ahead = [function(points + move) for move in moves]
    behind = [function(points - move) for move in moves]
    gradient = np.stack([(a - b) / (2.0 * h) for a, b in zip(ahead, behind, strict=True)], axis=1)
    hessian = np.empty((len(points), 3, 3))
    for i in range(3):
        hessian[:, i, i] = (ahead[i] - 2.0 * centre + behind[i]) / h**2
        for j in range(i):
            along, across = moves[i] + moves[j], moves[i] - moves[j]
            corners = (
                function(points + along)
                - function(points + across)
                - function(points - across)
                + function(points - along)
            )
            hessian[:, i, j] = hessian[:, j, i] = corners / (4.0 * h**2)
    return gradient, hessian
