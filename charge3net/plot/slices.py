"""Density on a plane: true, predicted, and their difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.analysis.interpolation import interpolate
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.plot.plane import Plane
from charge3net.plot.style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

#: Points along the side of the window.
RESOLUTION = 240


@styled
def density_slice(
    true: Density,
    predicted: Density | None = None,
    plane: Plane | None = None,
    titles: tuple[str, str] = ("true", "predicted"),
) -> Figure:
    """Colour maps of one or two total densities on a plane, and of predicted − true.

    Args:
        true: the density (the reference if there are two).
        predicted: a second one of the same structure; it may have another grid.
        plane: the window; None takes :meth:`Plane.through_most_atoms`.
        titles: names of the two densities.

    Raises:
        InputError: if the two densities belong to different cells.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    plane = Plane.through_most_atoms(true.geometry) if plane is None else plane
    points = plane.points(RESOLUTION)
    maps = [interpolate(true.total, true.grid, points)]
    if predicted is not None:
        if not np.allclose(true.grid.cell, predicted.grid.cell, atol=1e-4):
            raise InputError("the two densities have different cells; a slice compares densities of one structure")
        maps.append(interpolate(predicted.total, predicted.grid, points))
    figure = Figure(figsize=(3.7 * (2 * len(maps) - 1) + 0.7, 3.9), layout="constrained")
    axes = figure.subplots(1, 2 * len(maps) - 1, squeeze=False)[0]
    top = max(float(maps[0].max()), 1e-2)  # of a plane without density, too
    bottom = min(max(top * 1e-3, float(maps[0].min()), 1e-3), top / 10)
    norm = LogNorm(vmin=bottom, vmax=top)
    for ax, values, title in zip(axes, maps, titles, strict=False):
        image = draw_map(ax, plane, np.clip(values, bottom, None), "viridis", norm)
        levels = np.geomspace(bottom, top, 10)[1:-1]
        levels, half = levels[(levels > values.min()) & (levels < values.max())], plane.size / 2
        if len(levels):
            ax.contour(values, levels, extent=(-half, half, -half, half), colors="white", linewidths=0.5, alpha=0.6)
        draw_atoms(ax, plane, true)
        ax.set_title(title)
    figure.colorbar(image, ax=list(axes[: len(maps)]), label="ρ (e/Å³)", shrink=0.86, pad=0.015)
    if len(maps) == 2:
        _difference(axes[2], plane, maps[1] - maps[0], true, f"{titles[1]} − {titles[0]}")
    axes[0].set_ylabel("Å")
    return figure


def _difference(ax: Axes, plane: Plane, values: Float[ndarray, "n n"], density: Density, title: str) -> None:
    from matplotlib.colors import Normalize

    limit = float(np.percentile(np.abs(values), 99.5)) or 1e-6
    image = draw_map(ax, plane, values, "RdBu_r", Normalize(-limit, limit))
    draw_atoms(ax, plane, density)
    ax.set_title(title)
    ax.figure.colorbar(image, ax=ax, label="Δρ (e/Å³)", shrink=0.86, pad=0.03, extend="both")


def draw_map(ax: Axes, plane: Plane, values: Float[ndarray, "n n"], colours: str, norm: Normalize) -> AxesImage:
    """Colours of the values on a plane, in Å from its centre."""
    half = plane.size / 2
    image = ax.imshow(
        values, origin="lower", extent=(-half, half, -half, half), cmap=colours, norm=norm, interpolation="bilinear"
    )
    ax.set_xlabel("Å")
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def draw_atoms(ax: Axes, plane: Plane, density: Density) -> None:
    """Dots and symbols of the atoms in the plane."""
    numbers, places = plane.atoms_in(density.geometry)
    inside = (np.abs(places) < 0.47 * plane.size).all(axis=1)  # room for the symbol
    numbers, places = numbers[inside], places[inside]
    ax.scatter(places[:, 0], places[:, 1], s=9, color="white", edgecolors="black", linewidths=0.7, zorder=3)
    draw_symbols(ax, numbers, places)


def draw_symbols(ax: Axes, numbers: Int[ndarray, "atoms"], places: Float[ndarray, "atoms 2"]) -> None:
    """Symbols of the elements (by atomic number) right above dots at ``places``, Å from the centre of the window."""
    from ase.data import chemical_symbols
    from matplotlib.patheffects import withStroke

    stroke = [withStroke(linewidth=2.0, foreground="white")]
    for z, (x, y) in zip(numbers, places, strict=True):
        ax.annotate(
            chemical_symbols[int(z)],
            (x, y),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=8,
            path_effects=stroke,
            annotation_clip=True,
        )
