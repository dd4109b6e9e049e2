"""Figures: steps against ε_mae, and energies without self-consistency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.plot.style import GREY, PAGE_WIDTH, colour, marker, styled
from charge3net.studies.restart.measure import SAD, WITHOUT_MODEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def law(result: Mapping[str, Any]) -> Figure:
    """Steps against ε_mae of the start: every structure, the fit, and the published saving on it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    ax = figure.add_subplot()
    fit, place = result["summary"]["law"], result["summary"]["middle"]
    rng = np.random.default_rng(0)
    names = _starts(result)
    for i, name in enumerate(names):
        for j, structures in enumerate(result["sets"].values()):
            rows = [one["starts"][name] for one in structures]
            steps = np.array([row["steps"][place] for row in rows]) + rng.uniform(-0.15, 0.15, len(rows))
            shade = GREY if name == SAD else colour(i)
            ax.plot([row["nmae"] for row in rows], steps, marker(j), color=shade, markersize=4, alpha=0.7, linestyle="",
                    label=name if j == 0 else None)  # fmt: skip
    errors = [row["starts"][name]["nmae"] for some in result["sets"].values() for row in some for name in names]
    x = np.geomspace(min(errors), max(errors), 50)
    ax.plot(x, fit["constant"] + fit["slope"] * np.log10(x), color="black", linewidth=1)
    ax.axhline(fit["published_steps"], color="black", linestyle=(0, (4, 3)), linewidth=0.9)
    ax.annotate(f"published: {result['published']:g} % fewer", (max(errors), fit["published_steps"]), fontsize=7,
                ha="right", va="bottom")  # fmt: skip
    ax.set(xscale="log", xlabel="ε$_{mae}$ of the start (%)",
           ylabel=f"SCF steps to {result['thresholds'][place]:.0e} Ry")  # fmt: skip
    ax.legend(fontsize=7)
    return figure


@styled
def energies(result: Mapping[str, Any]) -> Figure:
    """Histogram of |E − E_SCF| of densities without self-consistency, one panel per set."""
    from matplotlib.figure import Figure

    sets = result["sets"]
    figure = Figure(figsize=(PAGE_WIDTH, 2.9), layout="constrained")
    axes = figure.subplots(1, len(sets), squeeze=False, sharex=True, sharey=True)[0]
    bins = np.geomspace(1e-3, 1e3, 19)
    for ax, (title, structures) in zip(axes, sets.items(), strict=True):
        for i, name in enumerate(_starts(result)):
            values = np.abs([one["starts"][name]["energy_without_scf"] for one in structures])
            shade = GREY if name == SAD else colour(i)
            ax.hist(np.clip(values, bins[0], bins[-1]), bins, histtype="step", color=shade, label=name, linewidth=1.3)
        ax.axvline(1.0, color="black", linestyle=(0, (4, 3)), linewidth=0.9)
        ax.set(xscale="log", title=title, xlabel="|ΔE| (meV per atom)")
    axes[0].set_ylabel("structures")
    axes[0].legend(fontsize=7)
    return figure


def _starts(result: Mapping[str, Any]) -> list[str]:
    """SAD and the predictions."""
    first = next(iter(result["sets"].values()))[0]["starts"]
    return [SAD, *(name for name in first if name not in WITHOUT_MODEL)]


def figures(result: Mapping[str, Any]) -> dict[str, Figure]:
    """``law`` and ``energies``."""
    return {"law": law(result), "energies": energies(result)}
