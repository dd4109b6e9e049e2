"""Figures: steps against ε_mae, and energies without self-consistency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from charge3net.plot.style import GREY, PAGE_WIDTH, colour, marker, plain_log_ticks, styled
from charge3net.studies.restart.measure import SAD, TUNED, WITHOUT_MODEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def law(result: Mapping[str, Any]) -> Figure:
    """Steps against ε_mae of the start: every structure, the fit, and the published saving on it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 4.0), layout="constrained")
    ax = figure.add_subplot()
    fit, place = result["summary"]["law"], result["summary"]["middle"]
    rng = np.random.default_rng(0)
    shades = _shades(result)
    for name, shade in shades.items():
        for j, structures in enumerate(result["sets"].values()):
            rows = [one["starts"][name] for one in structures]
            steps = np.array([row["steps"][place] for row in rows]) + rng.uniform(-0.2, 0.2, len(rows))
            ax.plot([row["nmae"] for row in rows], steps, marker(j), color=shade, markersize=4, alpha=0.6,
                    markeredgewidth=0, linestyle="")  # fmt: skip
    predicted = [
        one["starts"][name]["nmae"]
        for some in result["sets"].values()
        for one in some
        for name in shades
        if name != SAD
    ]
    x = np.array([min(predicted), max(predicted)])
    ax.plot(x, fit["constant"] + fit["slope"] * np.log10(x), color="black", linewidth=1.2)
    ax.axhline(fit["published_steps"], color="black", linestyle=(0, (4, 3)), linewidth=0.9)
    ax.annotate(f"published: {result['published']:g} % fewer than {TUNED}", (1.0, fit["published_steps"]), fontsize=8,
                xytext=(0, -3), textcoords="offset points", xycoords=("axes fraction", "data"),
                ha="right", va="top")  # fmt: skip
    power = round(np.log10(result["thresholds"][place]))
    ax.set(xscale="log", xlabel="ε$_{mae}$ of the start (%)", ylabel=f"SCF steps to 10$^{{{power}}}$ Ry")
    plain_log_ticks(ax, "x")
    _legend(figure, "outside upper left", [(name, "o", shade) for name, shade in shades.items()])
    _legend(figure, "outside upper right", [(name, marker(j), "black") for j, name in enumerate(result["sets"])])
    return figure


def _legend(
    figure: Figure, place: Literal["outside upper left", "outside upper right"], keys: Sequence[tuple[str, str, str]]
) -> None:
    """One row above the axes: names, shapes and colours."""
    from matplotlib.lines import Line2D

    drawn = [Line2D([], [], marker=shape, color=shade, linestyle="", markersize=5) for _, shape, shade in keys]
    names = [name for name, _, _ in keys]
    figure.legend(drawn, names, fontsize=7.5, ncol=len(keys), handletextpad=0.1, columnspacing=0.8, loc=place)


@styled
def energies(result: Mapping[str, Any]) -> Figure:
    """Histograms of |E − E_SCF| of densities without self-consistency: a row for each start, a column for each set."""
    from matplotlib.figure import Figure

    sets, shades = result["sets"], _shades(result)
    figure = Figure(figsize=(PAGE_WIDTH, 0.8 + 0.85 * len(shades)), layout="constrained")
    axes = figure.subplots(len(shades), len(sets), squeeze=False, sharex=True, sharey="col")
    bins = np.geomspace(1e-3, 1e3, 19)
    for column, (title, structures) in zip(axes.T, sets.items(), strict=True):
        column[0].set_title(title)
        for ax, (name, shade) in zip(column, shades.items(), strict=True):
            values = np.abs([one["starts"][name]["energy_without_scf"] for one in structures])
            ax.hist(np.clip(values, bins[0], bins[-1]), bins, color=shade, alpha=0.8)
            ax.axvline(1.0, color="black", linestyle=(0, (4, 3)), linewidth=0.9)
            ax.set_xscale("log")
            ax.yaxis.get_major_locator().set_params(integer=True)
    for ax, name in zip(axes[:, 0], shades, strict=True):
        ax.set_ylabel(name)
    figure.supxlabel("|ΔE| (meV per atom)", fontsize=10)
    return figure


def _shades(result: Mapping[str, Any]) -> dict[str, str]:
    """SAD and the predictions → colour."""
    return {name: GREY if name == SAD else colour(i) for i, name in enumerate(_starts(result))}


def _starts(result: Mapping[str, Any]) -> list[str]:
    """SAD and the predictions."""
    first = next(iter(result["sets"].values()))[0]["starts"]
    return [SAD, *(name for name in first if name not in WITHOUT_MODEL)]


def figures(result: Mapping[str, Any]) -> dict[str, Figure]:
    """``law`` and ``energies``."""
    return {"law": law(result), "energies": energies(result)}
