"""Figures of magnetisation: errors by group, predicted against true moments, maps on a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.plot.errors import strip_row
from charge3net.plot.plane import Plane, sample
from charge3net.plot.slices import draw_atoms, draw_map
from charge3net.plot.style import GREY, colour, marker, plain_log_ticks, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Points along the side of a map.
RESOLUTION = 200


@styled
def grouped_strip(
    panels: Mapping[str, Mapping[str, Mapping[str, Float[ndarray, "structures"]]]], reference: str | None = None
) -> Figure:
    """Panels side by side; in each, blocks of rows: a dot a structure, mean ± standard error on top.

    Args:
        panels: label of the x axis → title of a block → name of a row → errors in %. Rows of one name look alike.
        reference: name of the rows drawn in grey.
    """
    from matplotlib.figure import Figure

    rows = max(sum(len(block) + 1 for block in blocks.values()) for blocks in panels.values())
    figure = Figure(figsize=(4.9 * len(panels), 0.27 * rows + 0.9), layout="constrained")
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
        text.set_fontsize(9)
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

    figure = Figure(figsize=(3.7 * len(panels), 3.8), layout="constrained")
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
        ax.legend(loc="upper left", handletextpad=0.3, borderaxespad=0.2)
    return figure


@styled
def magnetisation_maps(rows: Mapping[str, tuple[Density, Density]], titles: tuple[str, str]) -> Figure:
    """Two magnetisations of each structure on the plane in which most atoms lie, and their difference.

    Args:
        rows: name of a structure → two densities whose *total* is the magnetisation in e/Å³.
        titles: names of the two.
    """
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 2.6 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for line, (name, pair) in zip(axes, rows.items(), strict=True):
        plane = Plane.through_most_atoms(pair[0].geometry)
        maps = [sample(one.total, one.grid, plane.points(RESOLUTION)) for one in pair]
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
