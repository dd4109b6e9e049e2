"""Figures: charge changes when an atom is removed, and their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.plot.style import GREY, PAGE_WIDTH, colour, marker, styled
from charge3net.studies.charge_transfer.measure import ATOMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Part of the largest change below which a row of zeros would be drawn.
_SMALL = 0.01

_GRID = "#e5e7eb"

#: Atomic number → colour of its points.
_COLOURS = {3: 4, 8: 1, 25: 3, 27: 0, 28: 2}


@styled
def change_scatter(
    pairs: Sequence[Mapping[str, Any]], models: Mapping[str, Mapping[str, Any]], radius: float
) -> Figure:
    """Δq of every remaining atom, predicted against DFT; one panel per model, filled markers near the vacancy.

    Args:
        pairs: with ``numbers``, ``distances``, ``target`` and ``methods`` (``changes`` in electrons).
        models: name → ``runs``, which are averaged, and ``error``.
        radius: atoms within this distance (Å) of the vacancy count as near.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.2), layout="constrained")
    axes = figure.subplots(1, len(models), squeeze=False, sharex=True, sharey=True)[0]
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        _scatter(ax, pairs, model["runs"], radius)
        ax.set_title("SAD" if name == ATOMS else name)
        ax.set_xlabel("Δq of DFT (electrons)")
        ax.grid(True, color=_GRID, linewidth=0.8)
    axes[0].set_ylabel("Δq predicted (electrons)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _scatter(ax: Axes, pairs: Sequence[Mapping[str, Any]], runs: Sequence[str], radius: float) -> None:
    from ase.data import chemical_symbols

    numbers = np.concatenate([pair["numbers"] for pair in pairs])
    near = np.concatenate([pair["distances"] for pair in pairs]) <= radius
    true = np.concatenate([pair["target"]["changes"] for pair in pairs])
    of_runs = [np.concatenate([pair["methods"][run]["changes"] for pair in pairs]) for run in runs]
    found, spread = np.mean(of_runs, axis=0), np.ptp(of_runs, axis=0) / 2.0
    ends = [float(min(true.min(), 0.0)), float(max(true.max(), 0.0))]
    ax.plot(ends, ends, color="black", linewidth=0.9, linestyle=(0, (4, 3)))
    for i, z in enumerate(np.unique(numbers)):
        shade = colour(_COLOURS.get(int(z), i))
        for inside, full in ((True, True), (False, False)):
            mine = (numbers == z) & (near == inside)
            if not mine.any():
                continue
            label = chemical_symbols[int(z)] + (f" within {radius:g} Å" if inside else " farther")
            ax.errorbar(
                true[mine],
                found[mine],
                yerr=spread[mine] if len(runs) > 1 else None,
                fmt=marker(i),
                markersize=5,
                color=shade,
                markerfacecolor=shade if full else "white",
                elinewidth=0.9,
                label=label,
            )


@styled
def total_changes(models: Mapping[str, Mapping[str, Any]]) -> Figure:
    """ΣΔq over the atoms of each kind in each pair, one row per kind: DFT, and every model.

    Kinds whose charge nowhere changes by more than :data:`_SMALL` of the largest change are named above, not drawn.

    Args:
        models: name → ``pairs`` and ``totals``: kind → ``dft`` and ``predicted``, electrons, one a pair.
    """
    from matplotlib.figure import Figure

    first = next(iter(models.values()))
    largest = {kind: max(_largest(model["totals"][kind]) for model in models.values()) for kind in first["totals"]}
    kinds = [kind for kind, value in largest.items() if value > _SMALL * max(largest.values())]
    names = first["pairs"]
    figure = Figure(figsize=(PAGE_WIDTH, 1.9 * len(kinds) + 1.0), layout="constrained")
    axes = figure.subplots(len(kinds), 1, squeeze=False, sharex=True)[:, 0]
    place = np.arange(len(names))
    for ax, kind in zip(axes, kinds, strict=True):
        ax.bar(place, first["totals"][kind]["dft"], width=0.72, color="#d1d5db", label="DFT")
        for i, (name, model) in enumerate(models.items()):
            shift = (i - (len(models) - 1) / 2.0) * 0.2
            values = model["totals"][kind]["predicted"]
            shade = GREY if name == ATOMS else colour(i)
            ax.plot(place + shift, values, marker(i), color=shade, markersize=5, label="SAD" if name == ATOMS else name)
        ax.axhline(0.0, color="#374151", linewidth=0.9)
        ax.set_title(kind, loc="left")
        ax.set_ylabel("ΣΔq (electrons)")
        ax.grid(True, axis="y", color=_GRID, linewidth=0.8)
    axes[-1].set_xticks(place, unique_endings(names), fontsize=8)
    if unseen := [f"|ΣΔq| of {kind} ≤ {value:.1g} electrons" for kind, value in largest.items() if kind not in kinds]:
        figure.suptitle("; ".join(unseen), fontsize=9, x=0.99, ha="right")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(models) + 1)
    return figure


def _largest(totals: Mapping[str, Sequence[float]]) -> float:
    return max(abs(value) for values in totals.values() for value in values)


def unique_endings(names: Sequence[str]) -> list[str]:
    """Each name's last parts between hyphens: as few as tell all names apart, one below the other."""
    parts = [name.split("-") for name in names]
    for count in range(1, max(map(len, parts)) + 1):
        endings = ["\n".join(reversed(part[-count:])) for part in parts]
        if len(set(endings)) == len(set(names)):
            break
    return endings


@styled
def error_pairs(models: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Errors of the charges and of the difference density, over the cell and near the vacancy: mean ± standard error.

    Args:
        models: name → averages ``error``, ``near_error``, ``density_error``, ``near_density_error``, and ``of_pairs``.
    """
    from matplotlib.figure import Figure

    columns = {
        "error": "Δq, all atoms",
        "near_error": "Δq, near atoms",
        "density_error": "Δρ, cell",
        "near_density_error": "Δρ, near",
    }
    figure = Figure(figsize=(6.6, 3.5), layout="constrained")
    ax = figure.add_subplot()
    width = 0.8 / len(models)
    for i, (name, model) in enumerate(models.items()):
        shade = GREY if name == ATOMS else colour(i)
        place = np.arange(len(columns)) + (i - (len(models) - 1) / 2.0) * width
        means = [model[key]["mean"] for key in columns]
        errors = [model[key]["standard_error"] or 0.0 for key in columns]
        ax.bar(place, means, width=0.9 * width, color=shade, alpha=0.8, label="SAD" if name == ATOMS else name)
        ax.errorbar(place, means, yerr=errors, fmt="none", ecolor="black", elinewidth=1.1, capsize=2)
        for x, key in zip(place, columns, strict=True):
            values = model["of_pairs"][key]
            ax.scatter(np.full(len(values), x), values, s=9, color="black", alpha=0.45, linewidths=0, zorder=3)
    ax.axhline(100.0, color="#374151", linewidth=0.9, linestyle=(0, (4, 3)))
    where = ("axes fraction", "data")
    ax.annotate("no change at all", (0.99, 100.0), xycoords=where, ha="right", va="bottom", fontsize=8)
    ax.set_xticks(range(len(columns)), list(columns.values()))
    ax.set(ylabel="error (%)", ylim=(0.0, None))
    ax.grid(True, axis="y", color=_GRID, linewidth=0.8)
    ax.legend(loc="best")
    return figure


def figures(result: Mapping[str, Any]) -> dict[str, Figure]:
    """``changes``: Δq of every atom; ``totals``: by kind of atom; ``errors``: of every pair."""

    return {
        "changes": change_scatter(result["pairs"], result["models"], result["radius"]),
        "totals": total_changes(result["models"]),
        "errors": error_pairs(result["models"]),
    }
