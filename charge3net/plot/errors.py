"""Figures of errors: per material, per element, voxel against voxel, and against the angular variation ζ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.metrics import Average
from charge3net.analysis.parity import EDGES, parity_image
from charge3net.analysis.statistics import spearman
from charge3net.plot.style import GREY, colour, plain_log_ticks, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def parity(counts: Mapping[int, int], title: str = "") -> Figure:
    """Predicted against true density of every voxel, as counts on logarithmic axes.

    Args:
        counts: of :func:`charge3net.analysis.parity.parity_counts`, added up.
        title: above the figure.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    image = np.ma.masked_equal(parity_image(counts), 0)
    figure = Figure(figsize=(4.9, 4.2), layout="constrained")
    ax = figure.add_subplot()
    drawn = ax.pcolormesh(EDGES, EDGES, image.T, norm=LogNorm(vmin=1), cmap="viridis", rasterized=True)
    used = np.flatnonzero(image.sum(axis=0).filled(0) + image.sum(axis=1).filled(0))
    low, high = (EDGES[used[0]], EDGES[used[-1] + 1]) if len(used) else (EDGES[0], EDGES[-1])
    ax.plot([low, high], [low, high], color="black", linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), title=title, aspect="equal")
    ax.set(xlabel="true ρ (e/Å³)", ylabel="predicted ρ (e/Å³)")
    figure.colorbar(drawn, ax=ax, label="voxels", shrink=0.9)
    return figure


@styled
def error_histogram(
    errors: Float[ndarray, "materials"], baseline: Float[ndarray, "others"] | None = None, title: str = ""
) -> Figure:
    """Histogram of ε_mae over materials.

    Args:
        errors: ε_mae in %.
        baseline: the same of SAD (superposition of atomic densities).
        title: above the figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    series = [errors] if baseline is None else [errors, baseline]
    values = np.concatenate(series)
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) == 0:
        values = np.array([1.0])
    bins = np.geomspace(values.min() * 0.95, values.max() * 1.05, min(30, 8 + len(errors))).tolist()
    figure = Figure(figsize=(5.4, 3.4), layout="constrained")
    ax = figure.add_subplot()
    if baseline is not None:
        ax.hist(baseline, bins, color=GREY, alpha=0.45, label=f"SAD, {Average.of(baseline)} %")
    ax.hist(errors, bins, color=colour(0), alpha=0.85, label=f"model, {Average.of(errors)} %")
    ax.set(xscale="log", xlabel="ε$_{mae}$ (%)", ylabel="materials", title=title)
    plain_log_ticks(ax, "x")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.2))
    return figure


@styled
def element_bars(errors: Mapping[int, float], baseline: Mapping[int, float] | None = None, title: str = "") -> Figure:
    """ε_mae around each element, most accurate first.

    Args:
        errors: atomic number → ε_mae in % over the voxels nearest to that element.
        baseline: the same of SAD (superposition of atomic densities).
        title: above the figure.
    """
    from ase.data import chemical_symbols
    from matplotlib.figure import Figure

    order = sorted(errors, key=lambda z: errors[z])
    place = np.arange(len(order))
    figure = Figure(figsize=(max(4.2, 0.36 * len(order) + 1.8), 3.4), layout="constrained")
    ax = figure.add_subplot()
    if baseline:
        shown = [baseline.get(z, np.nan) for z in order]
        ax.bar(place, shown, width=0.82, color="#d1d5db", label="SAD")
    ax.bar(place, [errors[z] for z in order], width=0.5, color=colour(0), label="model")
    ax.set_xticks(place, [chemical_symbols[z] for z in order])
    ax.set(ylabel="ε$_{mae}$ near the element (%)", title=title)
    ax.tick_params(axis="x", length=0)
    ax.grid(True, axis="y", color="#e5e7eb", linewidth=0.8)
    ax.legend(loc="upper left")
    ax.margins(y=0.28 if baseline else 0.2)
    return figure


@styled
def error_strip(errors: Mapping[str, Float[ndarray, "materials"]], reference: str | None = None) -> Figure:
    """ε_mae of every material for several models: one row per model, one dot per material, mean ± standard error.

    Args:
        errors: model → ε_mae in %.
        reference: the row drawn in grey (SAD).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 0.52 * len(errors) + 1.0), layout="constrained")
    ax = figure.add_subplot()
    rng = np.random.default_rng(0)
    coloured = [name for name in errors if name != reference]
    for row, (name, values) in enumerate(errors.items()):
        shade = GREY if name == reference else colour(coloured.index(name))
        strip_row(ax, float(row), values, shade, rng)
    ax.set_yticks(range(len(errors)), list(errors))
    ax.set(xscale="log", xlabel="ε$_{mae}$ of a held-out structure (%)", ylim=(len(errors) - 0.5, -0.5))
    plain_log_ticks(ax, "x")
    ax.grid(True, axis="x", which="major", color="#e5e7eb", linewidth=0.8)
    ax.tick_params(axis="y", length=0)
    return figure


def strip_row(
    ax: Axes, place: float, values: Float[ndarray, "materials"], shade: str, rng: np.random.Generator
) -> None:
    """One dot per material, scattered about the height ``place``, and mean ± standard error on top."""
    average = Average.of(values)
    ax.scatter(values, place + rng.uniform(-0.2, 0.2, len(values)), s=13, color=shade, alpha=0.4, linewidths=0)
    ax.errorbar(
        average.mean,
        place,
        xerr=0.0 if np.isnan(average.standard_error) else average.standard_error,
        fmt="D",
        markersize=5.5,
        color=shade,
        markeredgecolor="white",
        ecolor="black",
        elinewidth=1.4,
        capsize=2.5,
    )


@styled
def angular_gain(
    zeta: Float[ndarray, "materials"], gains: Mapping[str, Float[ndarray, "materials"]], y_label: str
) -> Figure:
    """What a higher rotation order gains against the angular variation ζ of each material, with Spearman's ρ.

    Args:
        zeta: ζ of the true densities.
        gains: comparison (``"L = 0 → 2"``) → gain for each material, larger is better.
        y_label: what the gain is.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4.0 * max(len(gains), 1), 3.5), layout="constrained")
    axes = figure.subplots(1, max(len(gains), 1), squeeze=False, sharey=True)[0]
    for i, (ax, (name, gain)) in enumerate(zip(axes, gains.items(), strict=False)):
        ax.axhline(0.0, color="#9ca3af", linewidth=0.9)
        ax.scatter(zeta, gain, s=24, color=colour(i), alpha=0.75, edgecolors="white", linewidths=0.5)
        ax.set(xlabel="angular variation ζ of the true density", title=name)
        ax.grid(True, color="#e5e7eb", linewidth=0.8)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        _correlation_note(ax, zeta, gain)
    axes[0].set_ylabel(y_label)
    return figure


def _correlation_note(ax: Axes, x: Float[ndarray, "points"], y: Float[ndarray, "points"]) -> None:
    found = spearman(x, y)
    text = "too few points for a correlation"
    if found is not None:
        text = f"Spearman {found.rho:+.2f}  (95 %: {found.low:+.2f} … {found.high:+.2f}),  n = {found.count}"
        text = text.replace("-", "−")
    ax.annotate(
        text,
        (0.5, 1.0),
        xycoords="axes fraction",
        xytext=(0, -3),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=8.5,
        color="#374151",
    )
    ax.margins(y=0.18)
