"""Figures of the study, from the result alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.plot.style import GREY, PAGE_WIDTH, colour, marker, plain_log_ticks, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Percentage points.
_GAIN_TICKS = (-20, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20)

GRID: dict[str, Any] = {"color": "#e5e7eb", "linewidth": 0.8}


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """``errors``: the tables; ``formulas``: learning curve; ``orders``, ``gain``: rotation orders; ``trust``."""
    drawn = {"errors": errors_by_kind(result)}
    if result["fractions"]:
        drawn["formulas"] = learning_curve(result)
    if result["orders"]:
        drawn["orders"] = rotation_orders(result)
    if result["gains"]:
        drawn["gain"] = gain_against_zeta(result)
    if result["calibration"]:
        drawn["trust"] = spread_and_error(result["calibration"]["rows"])
    return drawn


def in_words(kind: str) -> str:
    """Name of a kind on the page."""
    return kind.replace("_", " ")


@styled
def errors_by_kind(result: Mapping[str, Any]) -> Figure:
    """A panel for each kind: mean over formulas of every model, small dots those of single seeds."""
    from matplotlib.figure import Figure

    tables, kinds = result["tables"], list(result["kinds"])
    steps, time = ({row["network"]: row for row in tables[name]} for name in ("equal_steps", "equal_time"))
    rows = [(name, row["label"]) for name, row in (steps | time).items()]
    columns = min(len(kinds), 3)
    lines = -(-len(kinds) // columns)
    figure = Figure(
        figsize=(min(3.1 * columns + 1.2, PAGE_WIDTH), (0.27 * len(rows) + 1.1) * lines), layout="constrained"
    )
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for ax, kind in zip(panels, kinds, strict=False):
        for place, (network, _) in enumerate(rows):
            if network in steps:
                _dots(ax, place, steps[network]["kinds"][kind], colour(place), filled=True)
            if network in time:
                _dots(ax, place + 0.3, time[network]["kinds"][kind], colour(place), filled=False)
        if sad := result["sad"][kind]:
            ax.axvline(sad["formula"]["mean"], color=GREY, linestyle=(0, (5, 3)), linewidth=1.3)
        ax.set(title=in_words(kind), xscale="log", ylim=(len(rows) - 0.4, -0.6))
        ax.set_yticks(range(len(rows)), [label for _, label in rows])
        plain_log_ticks(ax, "x")
        ax.grid(True, axis="x", **GRID)
    for ax in panels[len(kinds) :]:
        ax.remove()
    figure.supxlabel("ε$_{mae}$ (%); dashed: SAD", fontsize=10)
    return figure


def _dots(ax: Axes, place: float | int, row: Mapping[str, Any], shade: str, *, filled: bool) -> None:
    mean, error = row["formula"]["mean"], row["formula"]["standard_error"] or 0.0
    face = shade if filled else "white"
    bars = [[min(error, 0.95 * mean)], [error]]
    ax.errorbar(mean, place, xerr=bars, fmt="o", color=shade, markerfacecolor=face, markersize=6, capsize=2.5, zorder=3)
    seeds = row["seeds_by_formula"]
    if len(seeds) > 1:
        ax.scatter(seeds, np.full(len(seeds), place + 0.15), s=9, color=shade, alpha=0.7, linewidths=0)


@styled
def learning_curve(result: Mapping[str, Any]) -> Figure:
    """Error by formula against the number of training formulas: models on crystals, the reference on every kind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    every = result["data"]["crystal_formulas"]
    first = next(iter(result["kinds"]))
    networks = list(dict.fromkeys(row["network"] for row in result["fractions"]))
    for i, network in enumerate(networks):
        rows = _by_fraction(result["fractions"], network)
        _curve(left, [every * row["fraction"] for row in rows], [row["kinds"][first]["formula"] for row in rows], i)
        left.lines[-1].set_label(rows[0]["label"])
    if sad := result["sad"][first]:
        left.axhline(sad["formula"]["mean"], color=GREY, linestyle=(0, (5, 3)), linewidth=1.3, label="SAD")
    rows = _by_fraction(result["fractions"], result["reference"])
    for i, kind in enumerate(result["kinds"] if rows else ()):
        _curve(right, [every * row["fraction"] for row in rows], [row["kinds"][kind]["formula"] for row in rows], i)
        right.lines[-1].set_label(in_words(kind))
    left.set(title=f"{in_words(first)}, by formula", ylabel="ε$_{mae}$ (%)")
    right.set(title=rows[0]["label"] if rows else "")
    for ax in (left, right) if rows else (left,):
        ax.set(xscale="log", yscale="log", xlabel="training formulas of crystals")
        _ticks(ax, [every * fraction for fraction in sorted({row["fraction"] for row in result["fractions"]})])
        plain_log_ticks(ax, "y")
        ax.grid(True, which="major", **GRID)
        ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.2), ncols=2)
    if not rows:
        right.remove()
    return figure


def _by_fraction(rows: Sequence[Mapping[str, Any]], network: str) -> list[Mapping[str, Any]]:
    return sorted((row for row in rows if row["network"] == network), key=lambda row: row["fraction"])


def _curve(ax: Axes, places: Sequence[float], averages: Sequence[Mapping[str, Any]], index: int) -> None:
    means = [one["mean"] for one in averages]
    bars = [one["standard_error"] or 0.0 for one in averages]
    shade = colour(index)
    ax.errorbar(places, means, yerr=bars, fmt="none", ecolor=shade, elinewidth=1.0, capsize=2.5)
    ax.plot(places, means, color=shade, marker=marker(index), markersize=6, markeredgecolor="white")


def _ticks(ax: Axes, places: Sequence[float]) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    ax.set_xticks(places, [f"{place:.0f}" for place in places])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())


@styled
def rotation_orders(result: Mapping[str, Any]) -> Figure:
    """Error by formula against L, every kind relative to the lowest order."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.9), layout="constrained")
    ax = figure.add_subplot()
    rows = sorted(result["orders"], key=lambda row: row["order"])
    for i, kind in enumerate(result["kinds"]):
        errors = np.array([row["kinds"][kind]["entry"]["mean"] for row in rows])
        places = [row["order"] for row in rows]
        ax.plot(places, errors / errors[0], color=colour(i), marker=marker(i), markeredgecolor="white", markersize=6)
        ax.lines[-1].set_label(f"{in_words(kind)} ({errors[0]:.2f} → {errors[-1]:.2f} %)")
    ax.axhline(1.0, color="#9ca3af", linewidth=0.9)
    ax.set(xlabel="rotation order L", ylabel=f"ε$_{{mae}}$ / ε$_{{mae}}$(L = {rows[0]['order']})")
    ax.set_xticks([row["order"] for row in rows])
    ax.grid(True, axis="y", **GRID)
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.18), ncols=2)
    return figure


@styled
def gain_against_zeta(result: Mapping[str, Any]) -> Figure:
    """Gain of the highest over the lowest rotation order of each structure against ζ of its true density."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.4), layout="constrained")
    ax = figure.add_subplot()
    ax.axhline(0.0, color="#9ca3af", linewidth=0.9)
    for i, (kind, found) in enumerate(result["gains"].items()):
        rho = found["rho"]
        text = "" if rho is None else f": ρ = {rho['rho']:+.2f} ({rho['low']:+.2f} … {rho['high']:+.2f})"
        zeta = result["kinds"][kind]["zeta"]
        ax.plot(zeta, found["gain"], label=in_words(kind) + text.replace("-", "−"), **_points_of(i))
    low, high = next(iter(result["gains"].values()))["orders"]
    label = f"ε(L = {low}) − ε(L = {high}), percentage points"
    ax.set(xlabel="angular variation ζ of the true density", ylabel=label)
    ax.set_yscale("symlog", linthresh=0.5)
    ticks = [value for value in _GAIN_TICKS if ax.get_ylim()[0] <= value <= ax.get_ylim()[1]]
    ax.set_yticks(ticks, [f"{value:g}".replace("-", "−") for value in ticks], minor=False)
    ax.grid(True, **GRID)
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.15), ncols=2)
    return figure


def _points_of(i: int) -> dict[str, Any]:
    """How the structures of the i-th kind are drawn."""
    look = {"linestyle": "none", "markeredgecolor": "white", "markersize": 5.5, "alpha": 0.8}
    return {"color": colour(i), "marker": marker(i), **look}


@styled
def spread_and_error(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Error of the shipped model against the spread of its members, both in %."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 4.2), layout="constrained")
    ax = figure.add_subplot()
    for i, kind in enumerate(dict.fromkeys(row["kind"] for row in rows)):
        own = [row for row in rows if row["kind"] == kind]
        spreads, errors = ([100.0 * row[name] for row in own] for name in ("spread", "error"))
        ax.plot(spreads, errors, label=in_words(kind), **_points_of(i))
    ax.set(xscale="log", yscale="log", xlabel="spread of the members (%)", ylabel="ε$_{mae}$ of their mean (%)")
    for axis in ("x", "y"):
        plain_log_ticks(ax, axis)
    ax.grid(True, which="major", **GRID)
    ax.legend()
    return figure
