"""Figures: gain against ζ, the two definitions of ζ, densities against the distance to the nearest atom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.nearest import nearest_atoms
from charge3net.analysis.shells import SHELL, by_distance
from charge3net.analysis.statistics import spearman
from charge3net.density import Density
from charge3net.grid import Grid
from charge3net.io.packed import unpack_density
from charge3net.plot.style import PAGE_WIDTH, colour, marker, styled
from charge3net.studies.angular_dependence.summary import columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Dots drawn of a density.
DOTS = 6000


@styled
def gain_by_kind(
    zeta: Float[ndarray, "materials"],
    gains: Float[ndarray, "seeds materials"],
    relative_gains: Float[ndarray, "seeds materials"],
    kinds: Sequence[str],
    orders: tuple[int, int],
) -> Figure:
    """Gain of the higher of two rotation orders against ζ: left in percentage points, right relative to the lower.

    Args:
        zeta: ζ of the true densities.
        gains: ε(low) − ε(high) of each seed, percentage points; bars reach from the lowest to the highest seed.
        relative_gains: the same over ε(low), in %.
        kinds: of each material; coloured, with Spearman's ρ of each kind in the legend, and of all above if there are
            several.
        orders: the rotation orders.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.9), layout="constrained")
    low, high = orders
    labels = (f"ε(L={low}) − ε(L={high}) (% points)", f"gain of L={high} (% of ε(L={low}))")
    for ax, values, label in zip(figure.subplots(1, 2), (gains, relative_gains), labels, strict=True):
        ax.axhline(0.0, color="#9ca3af", linewidth=0.9)
        for i, kind in enumerate(dict.fromkeys(kinds)):
            chosen = np.array([k == kind for k in kinds])
            own = values[:, chosen]
            middle = own.mean(axis=0)
            bars = [middle - own.min(axis=0), own.max(axis=0) - middle]
            ax.errorbar(
                zeta[chosen],
                middle,
                yerr=bars,
                fmt=marker(i),
                color=colour(i),
                ecolor=colour(i),
                alpha=0.8,
                elinewidth=0.8,
                markersize=5,
                markeredgecolor="white",
                markeredgewidth=0.5,
                label=f"{kind}, {_spearman_text(zeta[chosen], middle)}",
            )
        ax.set(xlabel="angular variation ζ of the true density", ylabel=label)
        if len(set(kinds)) > 1:
            ax.set_title(f"all, {_spearman_text(zeta, values.mean(axis=0))}", fontsize=9)
        ax.grid(True, color="#e5e7eb", linewidth=0.8)
        if np.ptp(values.mean(axis=0)) > 20.0 * np.subtract(*np.percentile(values.mean(axis=0), [75, 25])):
            ax.set_yscale("symlog", linthresh=1.0)
        ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.17), fontsize=8.5, handletextpad=0.2)
    return figure


def _spearman_text(x: Float[ndarray, "points"], y: Float[ndarray, "points"]) -> str:
    found = spearman(x, y)
    if found is None:
        return f"n = {len(x)}: too few for ρ"
    text = f"n = {found.count}: ρ = {found.rho:+.2f} ({found.low:+.2f} … {found.high:+.2f})"
    return text.replace("-", "−")


@styled
def two_methods(
    zeta: Float[ndarray, "materials"], zeta_published: Float[ndarray, "materials"], kinds: Sequence[str]
) -> Figure:
    """ζ from the published finite differences against ζ from spectral gradients, and their difference.

    Args:
        zeta, zeta_published: of the same densities.
        kinds: of each material, coloured.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    ends = [float(min(zeta.min(), zeta_published.min())) - 0.02, float(max(zeta.max(), zeta_published.max())) + 0.02]
    left.plot(ends, ends, color="black", linewidth=0.9, linestyle=(0, (4, 3)))
    right.axhline(0.0, color="#9ca3af", linewidth=0.9)
    for i, kind in enumerate(dict.fromkeys(kinds)):
        chosen = np.array([k == kind for k in kinds])
        style = {"color": colour(i), "marker": marker(i), "linestyle": "none", "markersize": 5.0, "alpha": 0.8}
        left.plot(zeta[chosen], zeta_published[chosen], label=kind, markeredgecolor="white", **style)
        right.plot(zeta[chosen], (zeta_published - zeta)[chosen], markeredgecolor="white", **style)
    left.set(xlabel="ζ, spectral gradient", ylabel="ζ, published differences", xlim=ends, ylim=ends, aspect="equal")
    right.set(xlabel="ζ, spectral gradient", ylabel="ζ(published) − ζ(spectral)")
    left.legend()
    for ax in (left, right):
        ax.grid(True, color="#e5e7eb", linewidth=0.8)
    return figure


@styled
def radial_profiles(structures: Sequence[tuple[str, Sequence[Density]]], labels: Sequence[str]) -> Figure:
    """Densities and errors against the distance to the nearest atom, one row per structure.

    Left: ρ of some voxels; a density that depended on the distance alone would be one line per element.
    Right: mean |ρ̂ − ρ| in shells of 0.1 Å.

    Args:
        structures: title, and its densities on one grid: the true one, then predictions.
        labels: of the densities.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 2.9 * len(structures)), layout="constrained")
    panels = figure.subplots(len(structures), 2, squeeze=False)
    for (left, right), (title, densities) in zip(panels, structures, strict=True):
        true = densities[0]
        nearest = nearest_atoms(true.grid.points(), true.geometry)
        _dots(left, nearest.distances, true, nearest.atoms)
        left.set(title=title)
        for i, (density, label) in enumerate(zip(densities[1:], labels[1:], strict=True)):
            parts = by_distance(true, density.total, nearest.distances)
            filled = parts.volume > 0.0
            middles, means = parts.edges[:-1][filled] + SHELL / 2, parts.error[filled] / parts.volume[filled]
            right.plot(middles, means, color=colour(i + 3), marker=marker(i), markersize=4, label=label)
        right.set(yscale="log", xlabel="distance to the nearest atom (Å)", ylabel="mean |ρ̂ − ρ| (e/Å³)")
        right.grid(True, color="#e5e7eb", linewidth=0.8)
        right.legend()
    return figure


def _dots(ax: Axes, distances: Float[ndarray, "voxels"], density: Density, atoms: ndarray) -> None:
    """ρ of a random part of the voxels, coloured by the element of the nearest atom."""
    from ase.data import chemical_symbols

    values = np.asarray(density.total).reshape(-1)
    numbers = density.geometry.numbers[atoms]
    shown = np.random.default_rng(0).permutation(len(values))[:DOTS]
    for i, number in enumerate(np.unique(numbers)):
        own = shown[numbers[shown] == number]
        ax.scatter(
            distances[own],
            values[own],
            s=3,
            color=colour(i),
            alpha=0.4,
            linewidths=0,
            rasterized=True,
            label=f"near {chemical_symbols[number]}",
        )
    ax.set(xlabel="distance to the nearest atom (Å)", ylabel=f"ρ(DFT) (e/Å³), {len(shown):,} voxels")
    ax.set_ylim(0.0, float(np.percentile(values, 99.9)) * 1.05)
    ax.grid(True, color="#e5e7eb", linewidth=0.8)
    ax.legend(markerscale=3.0)


def _block_of_cells(density: Density) -> Density:
    """The cell repeated along its short vectors, so that the block is nearly as long in all directions."""
    lengths = np.linalg.norm(density.grid.cell, axis=1)
    counts = np.maximum(np.rint(lengths.max() / lengths).astype(int), 1)
    nx, ny, nz = (int(n) for n in counts * density.grid.shape)
    grid = Grid(density.grid.cell * counts[:, None], (nx, ny, nz), density.grid.origin)
    return replace(density, grid=grid, values=np.tile(density.values, (1, *counts)))


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """``gain`` (``gain_fitted``): gain against ζ for test (training) materials; ``methods``: both ζ; ``highest_zeta``,
    ``lowest_zeta``, ``profiles``: densities of the materials with the highest and lowest ζ."""
    from charge3net.plot.isosurface import clear_level, isosurfaces

    low, high = result["orders"]
    table = columns(result["materials"])
    kinds = [material["kind"] for material in result["materials"]]
    titles = ("DFT", f"L = {low}", f"L = {high}")
    drawn = {
        "gain": gain_by_kind(table.zeta, table.gains, table.relative_gains, kinds, (low, high)),
        "methods": two_methods(table.zeta, table.zeta_published, kinds),
    }
    if result["fitted"]:
        fitted = columns(result["fitted"])
        kinds = [material["kind"] for material in result["fitted"]]
        drawn["gain_fitted"] = gain_by_kind(fitted.zeta, fitted.gains, fitted.relative_gains, kinds, (low, high))
    named = {material["key"]: material for material in result["materials"]}
    profiles = []
    for extreme in result["extremes"]:
        material = named[extreme["key"]]
        densities = [unpack_density(packed) for packed in extreme["densities"]]
        title = f"{material['formula']}: ζ = {material['zeta']:.3f}"
        level = clear_level(densities[0])
        paired = zip(densities, titles, strict=True)
        shown = [(d, name) for d, name in paired if d.total.min() < level < d.total.max()]
        surfaces = isosurfaces([_block_of_cells(d) for d, _ in shown], [name for _, name in shown], level)
        width, height = surfaces.get_size_inches()
        surfaces.set_size_inches((PAGE_WIDTH, PAGE_WIDTH * height / width))
        surfaces.text(0.46, 1.08, title, ha="center", va="bottom", weight="bold", fontsize=11)
        drawn[f"{extreme['which']}_zeta"] = surfaces
        profiles.append((title, densities))
    return {**drawn, "profiles": radial_profiles(profiles, titles)}
