"""Expected against true errors of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.plot.style import GREY, colour, marker, plain_log_ticks, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def expected_errors(groups: Mapping[str, Float[ndarray, "materials 4"]], title: str = "") -> Figure:
    """True ε_mae of every material against the expected one, with the interval; a colour for each group.

    Args:
        groups: group → [materials, 4] true error, expected error, low and high end of the interval, all in %.
        title: above the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    ax = figure.add_subplot()
    every = np.concatenate(list(groups.values()))
    positive = every[every > 0]
    ends = np.array([positive.min() / 1.2, positive.max() * 1.2]) if len(positive) else np.array([0.1, 10.0])
    ax.plot(ends, ends, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), label="expected = true")
    for index, (name, values) in enumerate(groups.items()):
        true, expected, low, high = values.T
        inside = float(np.mean((low <= true) & (true <= high)))
        ax.errorbar(
            expected,
            true,
            xerr=[expected - low, high - expected],
            fmt=marker(index),
            markersize=4.5,
            color=colour(index),
            markeredgecolor="white",
            markeredgewidth=0.5,
            elinewidth=0.7,
            alpha=0.75,
            label=f"{name}: {len(values)}, {100.0 * inside:.0f} % in the interval",
        )
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends, title=title, aspect="equal")
    ax.set(xlabel="expected ε$_{mae}$ with 90 % interval (%)", ylabel="true ε$_{mae}$ (%)")
    plain_log_ticks(ax, "x")
    plain_log_ticks(ax, "y")
    ax.grid(True, color="#e5e7eb", linewidth=0.8)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
