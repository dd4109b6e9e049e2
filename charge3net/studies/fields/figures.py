"""Figures: fields of two densities on a plane, and errors of derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.plot.slices import draw_symbols
from charge3net.plot.style import GREY, PAGE_WIDTH, colour, marker, plain_log_ticks, styled
from charge3net.studies.fields.slices import FieldSlice, unpack_slice
from charge3net.studies.fields.summary import ErrorCurve, curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import Figure

#: Levels of colour: few, so that they show as isolines and files stay small.
_LEVELS = 24

#: Colour where the density is below the floor.
_NOTHING = "#e5e7eb"

#: Field → (title, highest value drawn, ticks, colour map, isovalue drawn as a line); ρ is drawn from the floor on.
_FIELDS: dict[str, tuple[str, float | None, list[float], str, float | None]] = {
    "density": ("ρ (e/Å³)", None, [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0], "viridis", None),
    "iri": ("IRI (atomic units)", 2.0, [0.0, 0.5, 1.0, 1.5, 2.0], "magma", 1.0),
    "dori": ("DORI", 1.0, [0.0, 0.25, 0.5, 0.75, 1.0], "cividis", 0.9),
}


@styled
def field_maps(one: FieldSlice, titles: Mapping[str, str]) -> Figure:
    """ρ, IRI and DORI (rows) of the densities (columns); white lines: IRI = 1, DORI = 0.9.

    Args:
        one: the slice.
        titles: ``dft`` and ``model`` → what the columns are called.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.0 * len(titles) + 1.0, 8.3), layout="constrained")
    axes = figure.subplots(len(_FIELDS), len(titles), squeeze=False, sharex=True, sharey=True)
    for row, name in zip(axes, _FIELDS, strict=True):
        title, _, ticks, *_ = _FIELDS[name]
        levels = _levels(one, name)
        shown = [_map(ax, one, method, name, levels) for ax, method in zip(row, titles, strict=True)]
        bar = figure.colorbar(shown[0], ax=list(row), label=title, shrink=0.85, pad=0.02)
        marked = [tick for tick in ticks if levels[0] <= tick <= levels[-1]]
        bar.set_ticks(marked, labels=[f"{tick:g}" for tick in marked])
        row[0].set_ylabel("Å")
    for ax, method in zip(axes[0], titles, strict=True):
        ax.set_title(titles[method])
    for ax in axes[-1]:
        ax.set_xlabel("Å")
    return figure


def _levels(one: FieldSlice, name: str) -> Float[ndarray, "levels"]:
    highest = _FIELDS[name][1]
    if highest is not None:
        return np.linspace(0.0, highest, _LEVELS + 1)
    return np.geomspace(one.floor, float(np.nanmax(one.maps["dft"][name])), _LEVELS + 1)


def _map(ax: Axes, one: FieldSlice, method: str, name: str, levels: Float[ndarray, "levels"]) -> QuadContourSet:
    """One panel; returns its contours for the colour bar."""
    _, _, _, colours, line = _FIELDS[name]
    places = np.linspace(-one.size / 2, one.size / 2, len(one.maps["dft"][name]))
    field = np.ma.masked_invalid(one.maps[method][name].clip(levels[0], levels[-1] * (1.0 - 1e-6)))
    shown = ax.contourf(places, places, field, levels=levels, cmap=colours, norm=_norm(name, levels))
    if line is not None:
        ax.contour(places, places, field, [line], colors="white", linewidths=0.9)
    rest = np.nan_to_num(one.maps["dft"]["density"], nan=0.0)
    ax.contourf(places, places, rest, levels=[-np.inf, one.floor], colors=_NOTHING, zorder=2.5)
    ax.set(aspect="equal", facecolor=_NOTHING)
    ax.scatter(one.places[:, 0], one.places[:, 1], s=10, color="white", edgecolors="black", linewidths=0.7, zorder=3)
    inside = (np.abs(one.places) < 0.46 * one.size).all(axis=1)  # room for the symbol
    draw_symbols(ax, one.numbers[inside], one.places[inside])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return shown


def _norm(name: str, levels: Float[ndarray, "levels"]) -> Normalize:
    from matplotlib.colors import LogNorm, Normalize

    kind = LogNorm if name == "density" else Normalize
    return kind(levels[0], levels[-1])


@styled
def derivative_errors(by_distance: Sequence[ErrorCurve], signs: Sequence[ErrorCurve]) -> Figure:
    """Errors of ρ and its derivatives against the distance to the nearest atom; how often the sign of λ₂ is correct.

    Args:
        by_distance: relative errors in %, x in Å.
        signs: shares of points in %, x is |λ₂| in e/Å⁵.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for ax, drawn in ((left, by_distance), (right, signs)):
        for curve in drawn:
            _curve(ax, curve)
        ax.grid(True, which="major", color="#e5e7eb", linewidth=0.8)
    left.set(yscale="log", xlabel="distance to the nearest atom (Å)", ylabel="Σ|difference| / Σ|DFT| (%)")
    plain_log_ticks(left, "y")
    left.legend(loc="upper left", bbox_to_anchor=(-0.2, -0.17), ncols=2, fontsize=8, columnspacing=0.8)
    right.set(xscale="log", xlabel="|λ₂| of the DFT density (e/Å⁵)", ylabel="points with DFT's sign of λ₂ (%)")
    right.axhline(50.0, color=GREY, linewidth=0.9, linestyle=(0, (2, 2)))
    right.legend(loc="upper left", bbox_to_anchor=(0.0, -0.17), ncols=2, fontsize=8)
    return figure


def _curve(ax: Axes, curve: ErrorCurve) -> None:
    ax.errorbar(
        curve.x,
        curve.mean,
        yerr=np.nan_to_num(curve.error),
        color=colour(curve.look),
        marker=marker(curve.look),
        markersize=4.5,
        markerfacecolor="white" if curve.reference else None,
        linestyle=(0, (4, 3)) if curve.reference else "-",
        linewidth=1.2 if curve.reference else 1.7,
        capsize=2.0,
        elinewidth=1.0,
        label=curve.label,
    )


def figures(result: Mapping[str, Any]) -> dict[str, Figure]:
    """``errors``: against distance and curvature; ``slice_1``, …: one figure for each structure with slices."""

    titles = {"dft": "DFT", "model": result["model"]["name"]}
    drawn = {f"slice_{i + 1}": field_maps(unpack_slice(packed), titles) for i, packed in enumerate(result["slices"])}
    return {"errors": derivative_errors(*curves(result)), **drawn}
