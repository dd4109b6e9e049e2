"""The figure of fine-tuning: errors against the number of new structures, for both starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.plot.style import GREY, colour, marker, plain_log_ticks, styled
from charge3net.studies.fine_tuning.summary import SCRATCH, TUNED

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """``curves``: both starts, with lines for the source as it is and for SAD."""
    return {"curves": _curves(result)}


@styled
def _curves(result: dict[str, Any]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, NullLocator

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    ax = figure.add_subplot()
    labels = {TUNED: f"from {result['source']['name']}", SCRATCH: "from scratch"}
    for i, (start, label) in enumerate(labels.items()):
        curve = result["curves"][start]
        ax.plot(curve["sizes"], curve["mean"], color=colour(i), marker=marker(i), label=label)
        for seed in curve["seeds"]:
            ax.scatter(curve["sizes"], seed, s=12, color=colour(i), alpha=0.5, linewidths=0)
    lines = {"trained model as it is": (np.mean(result["source"]["nmae_percent"]), (0, (1, 1.5)))}
    atoms = [value for value in result["data"]["superposition_nmae_percent"] if value is not None]
    if atoms:
        lines["SAD"] = (np.mean(atoms), (0, (5, 3)))
    for label, (level, style) in lines.items():
        ax.axhline(level, color=GREY, linestyle=style, linewidth=1.3, label=label)
    ax.set(xscale="log", yscale="log", xlabel="new training structures N", ylabel="test ε$_{mae}$ (%)")
    plain_log_ticks(ax, "y")
    sizes = result["curves"][TUNED]["sizes"]
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(True, which="major", color="#e5e7eb", linewidth=0.8)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
