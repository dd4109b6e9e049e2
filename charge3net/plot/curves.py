"""Learning curves: errors against training steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.plot.style import GREY, colour, marker, plain_log_ticks, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Curve:
    """An error during training.

    Attributes:
        label: name of the model; curves of one label (several seeds) share a colour.
        x: [points] steps or seconds; positive values are drawn.
        y: [points] ε_mae in %.
    """

    label: str
    x: Float[ndarray, "points"]
    y: Float[ndarray, "points"]


@styled
def learning_curves(
    curves: Sequence[Curve],
    baseline: float | None = None,
    x_label: str = "training step",
    y_label: str = "validation ε$_{mae}$ (%)",
) -> Figure:
    """ε_mae against training, both axes logarithmic.

    Args:
        curves: one per run.
        baseline: ε_mae of SAD (superposition of atomic densities) in %, drawn as a dashed line.
        x_label, y_label: of the axes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    ax = figure.add_subplot()
    labels = list(dict.fromkeys(curve.label for curve in curves))
    for curve in curves:
        i = labels.index(curve.label)
        first = next(c for c in curves if c.label == curve.label) is curve
        keep = (curve.x > 0) & (curve.y > 0)
        every = max(1, int(np.count_nonzero(keep)) // 12)
        ax.plot(
            curve.x[keep],
            curve.y[keep],
            color=colour(i),
            marker=marker(i),
            markevery=every,
            markersize=4.5,
            alpha=1.0 if first else 0.55,
            label=curve.label if first else None,
        )
    if baseline is not None:
        ax.axhline(baseline, color=GREY, linestyle=(0, (5, 3)), linewidth=1.3, label="SAD")
    ax.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
    plain_log_ticks(ax, "y")
    plain_log_ticks(ax, "x")
    ax.grid(True, which="major", color="#e5e7eb", linewidth=0.8)
    if curves or baseline is not None:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    return figure
