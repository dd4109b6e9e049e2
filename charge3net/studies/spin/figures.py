"""Figures of magnetisation: errors by group, predicted against true moments, maps on a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.interpolation import interpolate
from charge3net.density import Density
from charge3net.io.packed import unpack_density
from charge3net.plot.errors import strip_row
from charge3net.plot.plane import Plane
from charge3net.plot.slices import draw_atoms, draw_map
from charge3net.plot.style import GREY, PAGE_WIDTH, colour, marker, plain_log_ticks, styled
from charge3net.studies.spin.summary import (
    GROUPS,
    UNSIGNED,
    WITH_TRAINED,
    atom_moments,
    chosen,
    over_seeds,
    variant_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Points along the side of a map.
RESOLUTION = 200


@styled
def grouped_strip(
    panels: Mapping[str, Mapping[str, Mapping[str, Float[ndarray, "structures"]]]], reference: str | None = None
) -> Figure:
    """Panels with blocks of rows: one dot per structure, mean ± standard error on top.

    Args:
        panels: label of the x axis → title of a block → name of a row → errors in %. Rows of one name have one colour.
        reference: name of the rows drawn in grey.
    """
    from matplotlib.figure import Figure

    rows = max(sum(len(block) + 1 for block in blocks.values()) for blocks in panels.values())
    figure = Figure(figsize=(PAGE_WIDTH, 0.27 * rows + 0.9), layout="constrained")
    names = list(dict.fromkeys(n for blocks in panels.values() for block in blocks.values() for n in block))
    shades = {name: colour(i) for i, name in enumerate(name for name in names if name != reference)}
    for ax, (label, blocks) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _blocks(ax, blocks, shades)
        ax.set(xscale="log", xlabel=label)
        plain_log_ticks(ax, "x")
        ax.grid(True, axis="x", which="major", color="#e5e7eb", linewidth=0.8)
        ax.tick_params(axis="y", length=0)
    return figure


def _blocks(ax: Axes, blocks: Mapping[str, Mapping[str, ndarray]], shades: Mapping[str, str]) -> None:
    rng, place = np.random.default_rng(0), 0.0
    ticks: list[tuple[float, str, bool]] = []
    for title, block in blocks.items():
        ticks.append((place, title, True))
        for name, values in block.items():
            place += 1.0
            ticks.append((place, name, False))
            strip_row(ax, place, values, shades.get(name, GREY), rng)
        place += 1.2
    ax.set_yticks([tick[0] for tick in ticks], [tick[1] for tick in ticks])
    for text, (_, _, heading) in zip(ax.get_yticklabels(), ticks, strict=True):
        text.set_fontweight("bold" if heading else "normal")
        text.set_fontsize(8)
    ax.set_ylim(place - 0.4, -0.8)


@dataclass(frozen=True, eq=False)
class Moments:
    """True and predicted moments of one kind.

    Attributes:
        label: in the legend.
        true: [points] μ_B.
        predicted: [seeds, points] μ_B; the mean is drawn, with a bar from the smallest to the largest.
    """

    label: str
    true: Float[ndarray, "points"]
    predicted: Float[ndarray, "seeds points"]


@styled
def moment_parity(panels: Mapping[str, Sequence[Moments]]) -> Figure:
    """Predicted against true moments, panels side by side.

    Args:
        panels: title → kinds of points.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.2), layout="constrained")
    for ax, (title, kinds) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for i, kind in enumerate(kinds):
            mean = kind.predicted.mean(axis=0)
            spread = np.abs(np.stack([kind.predicted.min(axis=0), kind.predicted.max(axis=0)]) - mean)
            ax.errorbar(
                kind.true,
                mean,
                yerr=spread,
                label=kind.label,
                fmt=marker(i),
                color=colour(i),
                markersize=4.5,
                markeredgewidth=0.0,
                alpha=0.75,
                elinewidth=0.9,
            )
        low, high = (f(*ax.get_xlim(), *ax.get_ylim()) for f in (min, max))
        ax.plot([low, high], [low, high], color="black", linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal", title=title)
        ax.set(xlabel="DFT (μ$_B$)", ylabel="predicted (μ$_B$)")
        ax.grid(True, color="#e5e7eb", linewidth=0.8)
        ax.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.22), handletextpad=0.3, fontsize=8.5)
    return figure


@styled
def magnetisation_maps(rows: Mapping[str, tuple[Density, Density]], titles: tuple[str, str]) -> Figure:
    """Two magnetisations of each structure on the plane through most atoms, and their difference.

    Args:
        rows: name of a structure → two densities whose *total* is the magnetisation in e/Å³.
        titles: names of the two.
    """
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 2.2 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for line, (name, pair) in zip(axes, rows.items(), strict=True):
        plane = Plane.through_most_atoms(pair[0].geometry)
        maps = [interpolate(one.total, one.grid, plane.points(RESOLUTION)) for one in pair]
        limit = float(np.percentile(np.abs(maps[0]), 99.5)) or 1e-6
        for ax, values in zip(line, [*maps, maps[1] - maps[0]], strict=True):
            image = draw_map(ax, plane, values, "RdBu_r", Normalize(-limit, limit))
            draw_atoms(ax, plane, pair[0])
            ax.set_xlabel("")
        line[0].set_ylabel(f"{name}\n\nÅ")
        figure.colorbar(image, ax=list(line), label="m (e/Å³)", shrink=0.9, pad=0.01, extend="both")
    for ax, title in zip(axes[0], (*titles, f"{titles[1]} − {titles[0]}"), strict=True):
        ax.set_title(title)
    for ax in axes[-1]:
        ax.set_xlabel("Å")
    return figure


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """``errors`` by group, ``moments`` and, where the result has them, ``maps``."""

    reference = "SAD"
    panels = {
        "ε$_{mae}$ of the total density (%)": _strip(result, "total", (None,), reference),
        "ε$_{mae}$ of the magnetisation, up to its sign (%)": _strip(result, "unsigned", ("parallel", "antiparallel")),
    }
    drawn = {"errors": grouped_strip(panels, reference), "moments": moment_parity(_moment_panels(result))}
    if result["maps"]:
        rows = {
            "-".join(key.split("-")[:3]): (unpack_density(pair["DFT"]), unpack_density(pair["predicted"]))
            for key, pair in result["maps"].items()
        }
        drawn["maps"] = magnetisation_maps(rows, ("DFT", "predicted"))
    return drawn


def _strip(
    result: dict[str, Any], name: str, alignments: Sequence[str | None], reference: str | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Title of a block → name of a model → errors of the structures."""
    blocks: dict[str, dict[str, np.ndarray]] = {}
    for group, title in WITH_TRAINED.items():
        for alignment in alignments:
            select = chosen(group, alignment)
            block = {}
            for variant in result["variants"]:
                kept = [[case for case in cases if select(case)] for cases in variant["cases"]]
                block[variant_name(variant)] = np.array(list(over_seeds(kept, name).values()))
            if reference:
                block[reference] = np.array(list(over_seeds(kept[:1], "baseline").values()))
            block = {row: values for row, values in block.items() if len(values)}
            if block:
                blocks[title + (f", {alignment}" if alignment else "")] = block
    return blocks


def _moment_panels(result: dict[str, Any]) -> dict[str, Any]:

    panels: dict[str, Any] = {}
    for variant in result["variants"]:
        if variant["loss"] == UNSIGNED:
            cases = variant["cases"]
            panels[f"atoms, {variant_name(variant)}"] = [
                Moments(title, *atom_moments(cases, chosen(group))) for group, title in GROUPS.items()
            ]
            last = cases
    tested = [[case for case in of_seed if case["group"] in GROUPS] for of_seed in last]
    panels[f"cells, L = {result['variants'][len(panels) - 1]['lmax']}"] = [
        Moments(title, np.array([c[name][0] for c in tested[0]]), np.array([[c[name][1] for c in s] for s in tested]))
        for name, title in {"cell": "∫m", "absolute": "∫|m|"}.items()
    ]
    return panels
