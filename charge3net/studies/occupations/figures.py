"""Figures of the study: errors by order, energies and iterations by start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.plot.style import colour, styled
from charge3net.studies.occupations.measure import MEAN, NEUTRAL, PREDICTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(result: Mapping[str, Any]) -> dict[str, Figure]:
    """``orders``: error of D by order L, for neutral atoms, element means and the prediction."""
    return {"orders": _orders(result)}


@styled
def _orders(result: Mapping[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    ax = figure.add_subplot()
    orders = result["summary"]["errors"]["orders"]
    places = np.arange(len(orders))
    labels = {NEUTRAL: "neutral atoms", MEAN: "mean of the element", PREDICTED: "predicted"}
    for i, (name, label) in enumerate(labels.items()):
        heights = [found[name] for found in orders.values()]
        ax.bar(places + 0.27 * (i - 1), heights, 0.25, color=colour(i), label=label)
    ax.set(yscale="log", xlabel="order L", ylabel="root mean square of ‖ΔD‖ per atom")
    ax.set_xticks(places, list(orders))
    ax.legend()
    return figure
