"""Figures: time and memory against the number of atoms on logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.power_law import PowerLaw
from charge3net.plot.style import PAGE_WIDTH, colour, marker, styled
from charge3net.studies.scaling.summary import QUANTITIES, model_name, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Growth:
    """One series.

    Attributes:
        label: in the legend.
        x: [sizes].
        y: [sizes] median over repeats.
        low, high: [sizes] smallest and largest of the repeats.
        fit: drawn as a line over the sizes from ``fit_from`` on; None: no line.
        fit_from: x of the smallest size that was fitted, or below.
        look: (number of the colour, number of the marker).
    """

    label: str
    x: Float[ndarray, "sizes"]
    y: Float[ndarray, "sizes"]
    low: Float[ndarray, "sizes"]
    high: Float[ndarray, "sizes"]
    fit: PowerLaw | None
    fit_from: float
    look: tuple[int, int]


@styled
def growth(panels: Mapping[str, Sequence[Growth]], x_label: str) -> Figure:
    """Panels side by side, one legend; points are medians with bars from the smallest to the largest repeat.

    Args:
        panels: label of the y axis → series; the legend is that of the first panel's series.
        x_label: of all x axes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.9), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (y_label, several) in zip(axes, panels.items(), strict=True):
        for one in several:
            _draw(ax, one)
        ax.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
        _ticks(ax)
        ax.grid(True, which="major", color="#e5e7eb", linewidth=0.8)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _ticks(ax: Axes) -> None:
    """Ticks 1, 3, 10, 30, … as plain numbers: 1, 2, 5 would overlap over three decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(base=10, subs=(1.0, 3.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())


def _draw(ax: Axes, one: Growth) -> None:
    shade, shape = colour(one.look[0]), marker(one.look[1])
    bars = np.stack([one.y - one.low, one.high - one.y])
    ax.errorbar(
        one.x,
        one.y,
        yerr=bars,
        fmt=shape,
        color=shade,
        markersize=5,
        capsize=2.5,
        elinewidth=1.0,
        label=one.label,
    )
    if one.fit is not None:
        ends = np.array([one.x[one.x >= one.fit_from].min(), one.x.max()])
        ax.plot(ends, one.fit.at(ends), color=shade, linewidth=1.2, alpha=0.7)


def figures(result: Mapping[str, Any]) -> dict[str, Figure]:
    """``size``: time and memory of all models; ``parts``: atoms and grid of ChargE3Net."""

    panels = {QUANTITIES[name]: _growths(result, name) for name in ("seconds", "megabytes")}
    parts = {QUANTITIES[name]: _growths(result, name, "charge3net") for name in ("encoding", "reading")}
    return {"size": growth(panels, "atoms"), "parts": growth(parts, "atoms")}


def _growths(result: Mapping[str, Any], name: str, only: str | None = None) -> list[Growth]:

    laws = {
        (fit["architecture"], fit["crystal"]): PowerLaw(**fit[name]) for fit in result["fits"] if fit[name] is not None
    }
    crystals = list(dict.fromkeys(row["crystal"] for row in result["measurements"]))
    drawn = []
    for i, architecture in enumerate(dict.fromkeys(row["architecture"] for row in result["measurements"])):
        for j, crystal in enumerate(crystals):
            rows = [r for r in result["measurements"] if (r["architecture"], r["crystal"]) == (architecture, crystal)]
            if rows and only in (None, architecture):
                law = laws.get((architecture, crystal))
                title, look = f"{model_name(architecture)}, {crystal}", (i if only is None else j, j)
                drawn.append(Growth(title, *series(rows, name), law, float(result["fit_from"]), look))
    return drawn
