"""Figures: the error by structure, by element, by distance to the nearest atom and by density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.io.packed import unpack_density
from charge3net.plot.style import GREY, PAGE_WIDTH, colour, plain_log_ticks, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRID = "#e5e7eb"

#: Groups with more elements than this get a row of their own.
_FEW = 10

#: Ratio of the largest to the smallest bar beyond which the axis is logarithmic.
_LOGARITHMIC = 10.0


@styled
def error_histograms(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Histograms of ε_mae, one row per group, with those of SAD and of ε_mad.

    Args:
        groups: name → structures with ``nmae``, ``baseline`` and ``mad`` (ε_mad of functionals) in %, None if unknown.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    known = {
        name: {key: np.array([one[key] for one in rows if one[key] is not None]) for key in ("nmae", "baseline", "mad")}
        for name, rows in groups.items()
    }
    values = np.concatenate([v for series in known.values() for v in series.values()])
    bins = np.geomspace(values.min() * 0.9, values.max() * 1.1, 34).tolist()
    figure = Figure(figsize=(6.6, 1.5 * len(groups) + 0.9), layout="constrained")
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    styles = {
        "baseline": (GREY, 0.4, "SAD"),
        "mad": (colour(5), 0.85, "ε$_{mad}$ between functionals"),
        "nmae": (colour(0), 0.75, "ε$_{mae}$ of the model"),
    }
    for ax, (name, series) in zip(axes, known.items(), strict=True):
        for key, (shade, alpha, text) in styles.items():
            if len(series[key]):
                label = text if ax is axes[0] else None
                ax.hist(series[key], bins, color=shade, alpha=alpha, label=label)
                ax.axvline(series[key].mean(), color=shade, linewidth=1.4, linestyle=(0, (4, 2)))
        ax.set(xscale="log", ylabel="structures")
        ax.set_title(name, loc="left")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    plain_log_ticks(axes[-1], "x")
    axes[-1].set_xlabel("% of the electrons (dashed: means)")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def element_errors(groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """Error in the Bader volumes of each element, most accurate first, with standard errors over structures.

    Args:
        groups: name → atomic number → ``mean``, ``standard_error``, ``baseline`` in %, ``structures``.
    """
    from matplotlib.figure import Figure

    large = [name for name, elements in groups.items() if len(elements) > _FEW]
    small = [name for name in groups if name not in large]
    rows = len(large) + bool(small)
    figure = Figure(figsize=(PAGE_WIDTH, 2.3 * rows + 0.3), layout="constrained")
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    panels = {name: part.add_subplot() for name, part in zip(large, parts, strict=False)}
    if small:
        widths = [len(groups[name]) + 0.6 for name in small]
        axes = parts[-1].subplots(1, len(small), width_ratios=widths, squeeze=False)[0]
        panels |= dict(zip(small, axes, strict=True))
    for name in groups:
        _elements(panels[name], groups[name])
        panels[name].set_title(name, loc="left")
    for name in [*large, *small[:1]]:
        panels[name].set_ylabel("error (%)")
    figure.legend(*panels[next(iter(groups))].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _elements(ax: Axes, elements: Mapping[str, Mapping[str, Any]]) -> None:
    from ase.data import chemical_symbols

    order = sorted(elements, key=lambda z: elements[z]["mean"])
    place = np.arange(len(order))
    baseline = _numbers([elements[z]["baseline"] for z in order])
    if np.isfinite(baseline).any():
        ax.bar(place, baseline, width=0.82, color="#d1d5db", label="SAD")
    errors = _numbers([elements[z]["standard_error"] for z in order])
    means = _numbers([elements[z]["mean"] for z in order])
    ax.bar(place, means, width=0.5, color=colour(0), label="model")
    ax.errorbar(place, means, yerr=errors, fmt="none", ecolor="black", elinewidth=1.1, capsize=2)
    ax.set_xticks(place, [f"{chemical_symbols[int(z)]}\n{elements[z]['structures']}" for z in order])
    ax.tick_params(axis="x", length=0, labelsize=7.5 if len(order) > _FEW else 9)
    ax.grid(True, axis="y", color=_GRID, linewidth=0.8)
    ax.margins(x=0.02, y=0.12)
    if means.max() > _LOGARITHMIC * means.min():
        ax.set_yscale("log")
        plain_log_ticks(ax, "y")


@styled
def distance_profiles(groups: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Error against the distance to the nearest atom: relative to the electrons there, and as a share of the total.

    One row per group.

    Args:
        groups: name → ``edges`` (Å) and lists over shells: ``relative``, ``relative_error`` (%), ``share``,
            ``share_error``, ``electrons`` (fractions).
    """
    figure, axes = _rows(groups, 2)
    for (left, right), (name, profile), shade in zip(
        axes, groups.items(), map(colour, range(len(groups))), strict=True
    ):
        edges = np.array(profile["edges"])
        middle = (edges[1:] + edges[:-1]) / 2.0
        _shares(left, edges, profile, shade)
        _band(right, middle, profile["relative"], profile["relative_error"], shade)
        if profile.get("baseline") is not None:
            right.plot(middle, _numbers(profile["baseline"]), color=GREY, linewidth=1.3, label="SAD")
        last = np.flatnonzero(np.isfinite(_numbers(profile["relative"])))
        for ax in (left, right):
            ax.set_xlim(0.0, edges[last[-1] + 1])
        left.set_ylabel(name, weight="bold")
    return _labelled(
        figure, axes, ("share per 0.1 Å (%)", "error / density there (%)"), "distance to the nearest atom (Å)"
    )


@styled
def density_profiles(groups: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Error against the DFT density, and the distribution of the true and the predicted density over the cell.

    One row per group.

    Args:
        groups: name → ``edges`` (e/Å³) and lists over bins: ``volume``, ``predicted`` (fractions of the cell) and those
            of :func:`distance_profiles`.
    """
    figure, axes = _rows(groups, 3)
    for row, (name, profile), shade in zip(axes, groups.items(), map(colour, range(len(groups))), strict=True):
        edges = np.array(profile["edges"])
        middle = np.sqrt(edges[1:] * edges[:-1])
        volume, share, error = row
        volume.stairs(100.0 * np.array(profile["volume"]), edges, color="black", label="true", linewidth=1.5)
        predicted = 100.0 * np.array(profile["predicted"])
        volume.stairs(predicted, edges, color=shade, label="predicted", linewidth=1.5, linestyle="--")
        _shares(share, edges, profile, shade)
        _band(error, middle, profile["relative"], profile["relative_error"], shade)
        volume.set_yscale("log")
        volume.set_ylabel(name, weight="bold")
        used = np.flatnonzero(np.array(profile["volume"]) + np.array(profile["predicted"]))
        for ax in row:
            ax.set(xscale="log", xlim=(edges[used[0]], edges[used[-1] + 1]))
    labels = ("part of the cell (%)", "share per bin (%)", "error / density there (%)")
    return _labelled(figure, axes, labels, "true density (e/Å³)")


def _rows(groups: Mapping[str, Any], columns: int) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 1.75 * len(groups) + 0.6), layout="constrained")
    return figure, figure.subplots(len(groups), columns, squeeze=False)


def _labelled(figure: Figure, axes: Any, above: Sequence[str], below: str) -> Figure:
    """What a column shows stands above its first panel; a legend in the first row."""
    for ax, text in zip(axes[0], above, strict=True):
        ax.set_title(text, weight="normal", fontsize=10)
        ax.legend(loc="best", fontsize=8)
    for ax in axes[-1]:
        ax.set_xlabel(below)
    for ax in axes.ravel():
        ax.grid(True, color=_GRID, linewidth=0.8)
    return figure


def _shares(ax: Axes, edges: Float[ndarray, "parts1"], profile: Mapping[str, Any], shade: str) -> None:
    """Share of the error in each part as steps with error bars, above the share of the electrons."""
    share, error = (100.0 * np.nan_to_num(_numbers(profile[name])) for name in ("share", "share_error"))
    ax.stairs(100.0 * np.array(profile["electrons"]), edges, fill=True, color="#d1d5db", label="electrons")
    ax.stairs(share, edges, color=shade, linewidth=1.7, label="error")
    middle = (edges[1:] + edges[:-1]) / 2.0
    seen = share > 0.2
    ax.errorbar(middle[seen], share[seen], yerr=error[seen], fmt="none", ecolor=shade, elinewidth=1.0)


def _band(
    ax: Axes, x: Float[ndarray, "parts"], values: Sequence[float | None], errors: Sequence[float | None], shade: str
) -> None:
    """Errors with their standard errors on a logarithmic axis, which shows no less than half of the smallest error."""
    mean, error = _numbers(values), np.nan_to_num(_numbers(errors))
    floor = 0.5 * float(np.nanmin(mean))
    ax.plot(x, mean, color=shade, label="model")
    ax.fill_between(x, np.maximum(mean - error, floor), mean + error, color=shade, alpha=0.25, linewidth=0)
    ax.set_yscale("log")


def _numbers(values: Sequence[float | None]) -> Float[ndarray, "parts"]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def figures(result: Mapping[str, Any]) -> dict[str, Figure]:
    """``errors``, ``elements``, ``distances``, ``densities``; ``surfaces_GROUP``: three errors in space."""
    from charge3net.plot.isosurface import error_isosurfaces

    groups = {name.replace("_", " "): group for name, group in result["groups"].items()}
    drawn = {
        "errors": error_histograms({name: group["structures"] for name, group in groups.items()}),
        "elements": element_errors({name: group["elements"] for name, group in groups.items()}),
        "distances": distance_profiles({name: group["distance"] for name, group in groups.items()}),
        "densities": density_profiles({name: group["density"] for name, group in groups.items()}),
    }
    for name, group in result["groups"].items():
        pictures = list(group["pictures"].items())
        drawn[f"surfaces_{name}"] = error_isosurfaces(
            [unpack_density(picture["error"]) for _, picture in pictures],
            [f"{which}: {picture['formula']}\nε$_{{mae}}$ = {picture['nmae']:.2f} %" for which, picture in pictures],
            [picture["level"] for _, picture in pictures],
        )
    return drawn
