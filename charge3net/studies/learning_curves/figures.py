"""Figures of learning curves: errors against the number of training materials, and the gain of each rotation order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from charge3net.plot.style import GREY, PAGE_WIDTH, colour, marker, plain_log_ticks, styled
from charge3net.studies.learning_curves.summary import combined_error


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """``curves``: errors and fitted exponents; ``orders``: gain of each rotation order over the one before."""

    curves = []
    for curve in result["curves"]:
        exponent = curve["exponent"]
        curves.append(
            SizeCurve(
                curve["model"],
                np.array(curve["sizes"], dtype=float),
                np.array(curve["mean"]),
                combined_error(curve),
                exponent["value"],
                exponent["factor"],
                (exponent["material_low"], exponent["material_high"]),
                np.array(exponent["seeds"]),
            )
        )
    atoms = [value for value in result["data"]["superposition_nmae_percent"] if value is not None]
    drawn = {"curves": size_curves(curves, float(np.mean(atoms)) if atoms else None)}
    steps = [
        GainCurve(
            f"{step['from'].split()[-1]} → {step['to'].split('=')[-1]}",
            np.array([gain["size"] for gain in step["gains"]], dtype=float),
            np.array([gain["pair"]["mean"] for gain in step["gains"]]),
            np.array([gain["pair"]["low"] for gain in step["gains"]]),
            np.array([gain["pair"]["high"] for gain in step["gains"]]),
            np.array([gain["settled"] for gain in step["gains"]]),
        )
        for step in result["steps"]
    ]
    return {**drawn, "orders": order_gains(steps)} if steps else drawn


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class SizeCurve:
    """Errors of one model against the number of training materials, and the line ε = factor · n^(−exponent).

    Attributes:
        label: name of the model.
        sizes: [sizes] training materials.
        errors: [sizes] mean ε_mae in %.
        spread: [sizes] standard error of that mean.
        exponent, factor: of the line.
        interval: 95 % interval of the exponent over test materials.
        seeds: [seeds] exponent of each seed.
    """

    label: str
    sizes: Float[ndarray, "sizes"]
    errors: Float[ndarray, "sizes"]
    spread: Float[ndarray, "sizes"]
    exponent: float
    factor: float
    interval: tuple[float, float]
    seeds: Float[ndarray, "seeds"]


@dataclass(frozen=True, eq=False)
class GainCurve:
    """Gain of one model over another, against the number of training materials.

    Attributes:
        label: the two models.
        sizes: [sizes] training materials.
        gain: [sizes] mean ε(first) − ε(second) in percentage points.
        low, high: [sizes] 95 % interval of the mean.
        settled: [sizes] whether it is significantly different from zero.
    """

    label: str
    sizes: Float[ndarray, "sizes"]
    gain: Float[ndarray, "sizes"]
    low: Float[ndarray, "sizes"]
    high: Float[ndarray, "sizes"]
    settled: Bool[ndarray, "sizes"]


@styled
def size_curves(curves: Sequence[SizeCurve], baseline: float | None = None) -> Figure:
    """Errors against the number of training materials with fitted lines, and the exponents.

    Args:
        curves: one per model.
        baseline: ε_mae of SAD in %, drawn as a dashed line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 4.0), layout="constrained")
    ax, side = figure.subplots(1, 2, width_ratios=(1.55, 1.0))
    for i, curve in enumerate(curves):
        line = np.geomspace(curve.sizes.min() * 0.93, curve.sizes.max() * 1.07, 50)
        ax.plot(line, curve.factor * line**-curve.exponent, color=colour(i), linewidth=1.2, alpha=0.65)
        ax.errorbar(
            curve.sizes,
            curve.errors,
            yerr=np.nan_to_num(curve.spread),
            fmt=marker(i),
            color=colour(i),
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            elinewidth=1.2,
            capsize=2.5,
            label=curve.label,
        )
    if baseline is not None:
        ax.axhline(baseline, color=GREY, linestyle=(0, (5, 3)), linewidth=1.3, label="SAD")
    ax.set(xscale="log", yscale="log", xlabel="training materials n", ylabel="test ε$_{mae}$ (%)")
    plain_log_ticks(ax, "y")
    _ticks_at(ax, np.unique(np.concatenate([curve.sizes for curve in curves])))
    ax.grid(True, which="major", color="#e5e7eb", linewidth=0.8)
    _exponents(side, curves)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _exponents(ax: Axes, curves: Sequence[SizeCurve]) -> None:
    """One row per model: the exponent with its interval, and that of every seed as a small dot below."""
    for row, curve in enumerate(curves):
        low, high = curve.interval
        bars = [[max(curve.exponent - low, 0.0)], [max(high - curve.exponent, 0.0)]]
        shade = colour(row)
        ax.errorbar(
            curve.exponent,
            row,
            xerr=bars,
            fmt=marker(row),
            color=shade,
            markeredgecolor="white",
            markersize=7,
            capsize=3,
            zorder=3,
        )
        ax.scatter(curve.seeds, np.full(len(curve.seeds), row + 0.27), s=11, color=shade, alpha=0.7, linewidths=0)
    ax.set_yticks(range(len(curves)), [curve.label for curve in curves])
    ax.set(ylim=(len(curves) - 0.4, -0.6), xlabel="exponent b of ε ∝ n$^{−b}$")
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x", color="#e5e7eb", linewidth=0.8)


@styled
def order_gains(curves: Sequence[GainCurve], y_label: str = "reduction of ε$_{mae}$ (percentage points)") -> Figure:
    """Gain of every model over the one before at each training size; open markers: not significant.

    Args:
        curves: one per pair of models.
        y_label: label of the y axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    ax = figure.add_subplot()
    ax.axhline(0.0, color="#9ca3af", linewidth=0.9)
    for i, curve in enumerate(curves):
        place = curve.sizes * 1.055 ** (i - (len(curves) - 1) / 2)
        ax.plot(place, curve.gain, color=colour(i), linewidth=1.0, alpha=0.5)
        bars = [curve.gain - curve.low, curve.high - curve.gain]
        ax.errorbar(place, curve.gain, yerr=bars, fmt="none", ecolor=colour(i), elinewidth=1.3, capsize=2.5)
        for settled in (True, False):
            chosen = curve.settled == settled
            ax.plot(
                place[chosen],
                curve.gain[chosen],
                linestyle="none",
                marker=marker(i),
                color=colour(i),
                markerfacecolor=colour(i) if settled else "white",
                markersize=6,
            )
        ax.plot([], [], color=colour(i), marker=marker(i), markersize=6, label=curve.label)
    ax.set(xscale="log", xlabel="training materials n", ylabel=y_label)
    _ticks_at(ax, np.unique(np.concatenate([curve.sizes for curve in curves])))
    ax.grid(True, axis="y", color="#e5e7eb", linewidth=0.8)
    ax.legend(title="rotation order", alignment="left")
    return figure


def _ticks_at(ax: Axes, sizes: Float[ndarray, "sizes"]) -> None:
    """Ticks at the sizes on a logarithmic axis."""
    from matplotlib.ticker import NullFormatter, NullLocator

    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
