"""Errors of derivatives averaged over structures, by distance and by curvature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.metrics import Average


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Mean and standard error over structures, by bins.

    Attributes:
        label: in the legend.
        x: [bins] middles.
        mean, error: [bins]; NaN for a bin without structures.
        look: number of the colour.
        reference: drawn dashed: what the model is compared with.
    """

    label: str
    x: Float[ndarray, "bins"]
    mean: Float[ndarray, "bins"]
    error: Float[ndarray, "bins"]
    look: int
    reference: bool = False


def curves(result: Mapping[str, Any]) -> tuple[list[ErrorCurve], list[ErrorCurve]]:
    """Errors by distance, and signs of λ₂ by its size: means and standard errors over structures, in %."""
    edges, sizes = np.array(result["distances"]), np.array(result["curvatures"])
    sizes[0] = sizes[1] ** 2 / sizes[2]  # the first bin begins at 0: drawn one step to the left
    apart, steep = (edges[1:] + edges[:-1]) / 2, np.sqrt(sizes[1:] * sizes[:-1])
    by_distance, signs = [], []
    for i, (method, name) in enumerate((("model", result["model"]["name"]), ("superposition", "SAD"))):
        having = [one for one in result["structures"] if method in one["by_distance"]]
        if not having:
            continue
        for j, (what, symbol) in enumerate(ORDERS.items()):
            rows = [one["by_distance"][method][what] for one in having]
            by_distance.append(ErrorCurve(f"{symbol}, {name}", apart, *_in_percent(rows), j, i > 0))
        signs.append(ErrorCurve(name, steep, *_in_percent([one["sign_by_size"][method] for one in having]), i, i > 0))
    return by_distance, signs


def _in_percent(rows: Sequence[Sequence[float | None]]) -> tuple[np.ndarray, np.ndarray]:
    averages = [Average.of(np.nan if v is None else 100.0 * v for v in column) for column in zip(*rows, strict=True)]
    return np.array([a.mean for a in averages]), np.array([a.standard_error for a in averages])


ORDERS = {"density": "ρ", "gradient": "∇ρ", "hessian": "∇∇ρ"}
