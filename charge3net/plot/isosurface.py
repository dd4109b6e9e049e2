"""Isosurfaces of a periodic density, drawn in Cartesian coordinates whatever the shape of the cell."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import map_coordinates

from charge3net.analysis.interpolation import interpolate
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.plot.style import PAGE_WIDTH, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d import Axes3D

#: Points along the longest axis of the cell: matplotlib draws each triangle by itself.
RESOLUTION = 60

#: How much of its panel a cell fills; with mplot3d's scaling 1 just fits.
FILL = 0.88

#: Part of the cell, along each vector, that the atoms of a molecule in a box fill at most.
_MUCH_SMALLER = 0.75

_LIGHT = np.array([-0.35, -0.55, 0.76])


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles of a surface.

    Attributes:
        vertices: [vertices, 3] Å.
        faces: [faces, 3] indices of vertices.
        normals: [faces, 3] unit normals, pointing to lower density.
        lids: [faces] whether the triangle closes the surface at a wall of the cell.
    """

    vertices: Float[ndarray, "vertices 3"]
    faces: Int[ndarray, "faces 3"]
    normals: Float[ndarray, "faces 3"]
    lids: Bool[ndarray, "faces"]


def isosurface_mesh(density: Density, level: float, start: Float[ndarray, "3"] | None = None) -> Mesh:
    """Marching cubes over one cell; the surface is closed by flat lids at the walls of the cell.

    Args:
        density: periodic density; the total is used, interpolated on a mesh by splines.
        level: e/Å³.
        start: [3] fractional coordinates of the drawn cell's first corner; None is the grid's origin.

    Raises:
        InputError: if the density never crosses the level.
    """
    from skimage.measure import marching_cubes

    low, high = float(density.total.min()), float(density.total.max())
    if not low < level < high:
        raise InputError(f"an isosurface needs a level between {low:.3g} and {high:.3g} e/Å³, found {level:g}")
    cell = density.grid.cell
    lengths = np.linalg.norm(cell, axis=1)
    counts = np.maximum(np.ceil(RESOLUTION * lengths / lengths.max()).astype(int), 12)
    corner = density.grid.origin + (np.zeros(3) if start is None else start) @ cell
    axes = np.meshgrid(*[np.arange(n + 1) / n for n in counts], indexing="ij")
    field = interpolate(density.total, density.grid, np.stack(axes, axis=-1) @ cell + corner)
    padded = np.pad(field, 1, constant_values=2.0 * low - high)
    vertices, faces, _, _ = marching_cubes(padded, level, gradient_direction="ascent")
    fractions = np.clip((vertices - 1.0) / counts, 0.0, 1.0)
    faces, facing, lids = _faces(fractions, faces, cell)
    slopes = np.gradient(field)  # per voxel, turned into one per Å
    middles = (fractions * counts)[faces].mean(axis=1).T
    smooth = -np.stack([map_coordinates(s, middles, order=1, mode="nearest") for s in slopes], axis=1)
    smooth = (smooth * counts) @ np.linalg.inv(cell).T
    smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
    return Mesh(fractions @ cell + corner, faces, np.where(lids[:, None], facing, smooth), lids)


def _faces(
    fractions: Float[ndarray, "vertices 3"], faces: Int[ndarray, "all 3"], cell: Float[ndarray, "3 3"]
) -> tuple[Int[ndarray, "faces 3"], Float[ndarray, "faces 3"], Bool[ndarray, "faces"]]:
    """Faces that have an area, their outward unit normals, and which of them are lids on the walls of the cell."""
    corners = fractions[faces]
    walls = np.stack([(corners < 1e-6).all(axis=1), (corners > 1.0 - 1e-6).all(axis=1)])  # [2, faces, 3]
    placed = corners @ cell
    normals = np.cross(placed[:, 1] - placed[:, 0], placed[:, 2] - placed[:, 0]) * np.sign(np.linalg.det(cell))
    lengths = np.linalg.norm(normals, axis=1)
    keep = lengths > 1e-10
    return faces[keep], normals[keep] / lengths[keep, None], np.any(walls, axis=(0, 2))[keep]


def quiet_start(density: Density, level: float) -> Float[ndarray, "3"]:
    """[3] fractional origin of the cell whose walls cut least of the isosurface, so that molecules are not cut."""
    above = np.asarray(density.total) > level
    start = []
    for axis, n in enumerate(density.grid.shape):
        cut = above.sum(axis=tuple(a for a in range(3) if a != axis))
        start.append(float(np.argmin(cut)) / n)
    return np.array(start)


def level_enclosing(density: Density, fraction: float) -> float:
    """The level in e/Å³ whose isosurface encloses this fraction of the electrons.

    Raises:
        InputError: for a fraction outside 0 … 1.
    """
    if not 0.0 < fraction < 1.0:
        raise InputError(f"the fraction of electrons inside an isosurface lies between 0 and 1, found {fraction}")
    values = np.sort(np.clip(np.asarray(density.total, dtype=np.float64).ravel(), 0.0, None))[::-1]
    inside = np.cumsum(values)
    return float(values[np.searchsorted(inside, fraction * inside[-1])])


def clear_level(density: Density) -> float:
    """The level in e/Å³ that encloses 80 % of the electrons, or a quarter of the volume where that is less.

    In a metal the density between the atoms is high and nearly constant. The surface around 80 % of its electrons
    fills most of the cell, and little is seen but the walls that cut it.
    """
    return max(level_enclosing(density, 0.8), float(np.quantile(density.total, 0.75)))


@styled
def isosurfaces(
    densities: Sequence[Density],
    titles: Sequence[str],
    level: float | None = None,
    difference: bool = True,
    view: tuple[float, float] = (18.0, -62.0),
) -> Figure:
    """Isosurfaces side by side, in one periodic cell placed so that it cuts little.

    Args:
        densities: of one structure; the first is the reference.
        titles: one for each.
        level: e/Å³; None takes :func:`clear_level` of the first.
        difference: colour the surfaces after the first by their difference from the first, e/Å³.
        view: elevation and azimuth in degrees.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    level = clear_level(densities[0]) if level is None else level
    start = quiet_start(densities[0], level)
    meshes = [isosurface_mesh(density, level, start) for density in densities]
    deltas = [_difference_on(mesh, density, densities[0]) for mesh, density in zip(meshes, densities, strict=True)]
    shown = [np.abs(d[~mesh.lids]) for d, mesh in zip(deltas[1:], meshes[1:], strict=True)]
    limit = max((float(np.percentile(d, 98)) for d in shown if len(d)), default=0.0) or 1e-6
    shades = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    figure = Figure(figsize=(4.3 * len(densities) + (0.9 if difference and len(densities) > 1 else 0), 4.4))
    width = 0.92 if difference and len(densities) > 1 else 1.0
    for i, (mesh, density, title) in enumerate(zip(meshes, densities, titles, strict=True)):
        ax = figure.add_axes(
            (width * i / len(densities), 0.0, width / len(densities), 0.92), projection="3d", computed_zorder=False
        )
        plain = np.tile([[0.36, 0.60, 0.85]], (len(mesh.faces), 1))
        colours = shades.to_rgba(deltas[i])[:, :3] if difference and i else plain
        colours[mesh.lids] = 0.80
        _draw(ax, mesh, colours, density.grid.cell, start @ density.grid.cell + density.grid.origin, view)
        figure.text(width * (i + 0.5) / len(densities), 0.95, title, ha="center", weight="bold", fontsize=10.5)
    figure.text(width / 2, 0.015, f"isosurface at ρ = {level:.3g} e/Å³", ha="center", fontsize=9, color="#374151")
    if difference and len(densities) > 1:
        figure.colorbar(
            shades, cax=figure.add_axes((0.935, 0.22, 0.016, 0.5)), label=f"ρ − ρ({titles[0]})  (e/Å³)", extend="both"
        )
    return figure


@styled
def error_isosurfaces(
    errors: Sequence[Density],
    titles: Sequence[str],
    levels: Sequence[float],
    view: tuple[float, float] = (18.0, -62.0),
) -> Figure:
    """Isosurfaces of errors side by side, at ± a level of predicted − true (red, blue), with the atoms.

    Args:
        errors: predicted − true, e/Å³; of any structures.
        titles: one for each.
        levels: e/Å³, one for each; a sign that does not reach it has no surface.
        view: elevation and azimuth in degrees.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH / 3 * len(errors), 2.9))
    for i, (error, title, level) in enumerate(zip(errors, titles, levels, strict=True)):
        ax = figure.add_axes((i / len(errors), 0.02, 1.0 / len(errors), 0.86), projection="3d", computed_zorder=False)
        start = quiet_start(replace(error, values=np.abs(error.values)), level)
        corner = start @ error.grid.cell + error.grid.origin
        mesh, signs = _signed_mesh(error, level, start)
        colours = np.where(signs[:, None] > 0, [[0.80, 0.24, 0.20]], [[0.20, 0.40, 0.75]])
        colours[mesh.lids] = 0.6 * colours[mesh.lids] + 0.4
        places = _drawn_atoms(error, corner)
        box, first, whole = _view_of(np.concatenate([mesh.vertices, places]), error.grid.cell, corner)
        _draw(ax, mesh, colours, box, first, view if whole else _onto_flat_side(box), alpha=0.55, walls=whole)
        _draw_atoms(ax, places, error.geometry.numbers, float(np.linalg.norm(box, axis=1).max()))
        figure.text((i + 0.5) / len(errors), 0.99, title, ha="center", va="top", weight="bold", fontsize=9)
        figure.text((i + 0.5) / len(errors), 0.015, f"± {level:.2g} e/Å³", ha="center", fontsize=9, color="#374151")
    return figure


def _signed_mesh(error: Density, level: float, start: Float[ndarray, "3"]) -> tuple[Mesh, Float[ndarray, "faces"]]:
    """The surfaces at + level and at − level as one mesh, and which of the two each triangle is of."""
    meshes, signs = [], []
    for sign in (1.0, -1.0):
        field = replace(error, values=sign * np.asarray(error.values, dtype=np.float64))
        if float(field.total.min()) < level < float(field.total.max()):
            meshes.append(isosurface_mesh(field, level, start))
            signs.append(np.full(len(meshes[-1].faces), sign))
    if not meshes:
        raise InputError(f"an error that nowhere reaches {level:g} e/Å³ has no isosurface there; take a smaller level")
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    joined = Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.lids for mesh in meshes]),
    )
    return joined, np.concatenate(signs)


def _view_of(
    points: Float[ndarray, "points 3"], cell: Float[ndarray, "3 3"], corner: Float[ndarray, "3"]
) -> tuple[Float[ndarray, "3 3"], Float[ndarray, "3"], bool]:
    """Vectors and first corner of what is drawn: the cell, or the part that holds all points if that is much smaller.

    The last value is True for the cell. The part has the directions of the cell and 0.5 Å of vacuum.
    """
    fractions = (points - corner) @ np.linalg.inv(cell)
    margin = 0.5 / np.linalg.norm(cell, axis=1)
    low, high = fractions.min(axis=0) - margin, fractions.max(axis=0) + margin
    if (high - low).max() > _MUCH_SMALLER:
        return cell, corner, True
    return cell * (high - low)[:, None], corner + low @ cell, False


def _onto_flat_side(box: Float[ndarray, "3 3"]) -> tuple[float, float]:
    """Elevation and azimuth from which a flat molecule is seen from above: near the shortest vector of its box."""
    x, y, z = box[np.argmin(np.linalg.norm(box, axis=1))]
    elevation, azimuth = np.degrees([np.arctan2(abs(z), np.hypot(x, y)), np.arctan2(y, x)])
    return float(np.clip(elevation, 18.0, 65.0)), float(azimuth) - 20.0


def _drawn_atoms(density: Density, corner: Float[ndarray, "3"]) -> Float[ndarray, "atoms 3"]:
    """Positions of the atoms in the drawn cell."""
    cell = density.grid.cell
    return ((density.geometry.positions - corner) @ np.linalg.inv(cell)) % 1.0 @ cell + corner


def _draw_atoms(ax: Axes3D, places: Float[ndarray, "atoms 3"], numbers: Int[ndarray, "atoms"], extent: float) -> None:
    """A ball for each atom, in ASE's colours; ``extent`` is the size of what is drawn in Å."""
    from ase.data import covalent_radii
    from ase.data.colors import jmol_colors

    size = 30.0 * covalent_radii[numbers] * 10.0 / extent
    shades = jmol_colors[numbers]
    ax.scatter(*places.T, s=size, c=shades, edgecolors="#111827", linewidths=0.6, depthshade=False, zorder=1.5)


def _difference_on(mesh: Mesh, density: Density, reference: Density) -> Float[ndarray, "faces"]:
    """ρ − ρ_reference at the middle of each triangle."""
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    return interpolate(density.total, density.grid, middles) - interpolate(reference.total, reference.grid, middles)


def _draw(
    ax: Axes3D,
    mesh: Mesh,
    colours: Float[ndarray, "faces 3"],
    cell: Float[ndarray, "3 3"],
    corner: Float[ndarray, "3"],
    view: tuple[float, float],
    alpha: float = 1.0,
    walls: bool = True,
) -> None:
    """One panel: shaded triangles, the cell's edges (``walls``) behind and before them, seen from infinitely far."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

    ax.view_init(elev=view[0], azim=view[1])
    ax.set_proj_type("ortho")
    eye = _eye(view)
    rgb = _shade(colours, mesh.normals, eye)
    rims: dict[str, Any] = {"edgecolors": rgb, "linewidths": 0.2} if alpha == 1.0 else {"edgecolors": "none"}
    surface = Poly3DCollection(mesh.vertices[mesh.faces], facecolors=rgb, alpha=alpha, zorder=2, **rims)
    ax.add_collection3d(surface)
    corners = np.array(list(itertools.product((0, 1), repeat=3)), dtype=float)
    edges = [(a, b) for a, b in itertools.combinations(corners, 2) if np.abs(a - b).sum() == 1]
    middle = cell.sum(axis=0) / 2
    far = corners[np.argmin((corners @ cell - middle) @ eye)]
    for hidden, zorder, colour in ((True, 1, "#9ca3af"), (False, 3, "#374151")) if walls else ():
        lines = [
            np.stack([a, b]) @ cell + corner for a, b in edges if bool((a == far).all() or (b == far).all()) is hidden
        ]
        ax.add_collection3d(Line3DCollection(lines, colors=colour, linewidths=0.9, zorder=zorder))
    placed = corners @ cell + corner
    low, high = placed.min(axis=0), placed.max(axis=0)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    right = np.cross([0.0, 0.0, 1.0], eye) / np.linalg.norm(np.cross([0.0, 0.0, 1.0], eye))
    seen = max(float(np.ptp(placed @ right)), float(np.ptp(placed @ np.cross(eye, right))))
    ax.set_box_aspect(high - low, zoom=float(FILL * np.linalg.norm(high - low) / seen))
    ax.set_axis_off()


def _eye(view: tuple[float, float]) -> Float[ndarray, "3"]:
    """[3] unit vector from the scene to the viewer."""
    elevation, azimuth = np.radians(view)
    return np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])


def _shade(
    colours: Float[ndarray, "faces 3"], normals: Float[ndarray, "faces 3"], eye: Float[ndarray, "3"]
) -> Float[ndarray, "faces 3"]:
    """Lambert's law with ambient light and a soft highlight (Blinn and Phong); both sides of a surface are lit."""
    light = _LIGHT / np.linalg.norm(_LIGHT)
    facing = np.where((normals @ eye)[:, None] < 0, -normals, normals)
    diffuse = np.clip(facing @ light, 0.0, 1.0)[:, None]
    half = (light + eye) / np.linalg.norm(light + eye)
    gloss = np.clip(facing @ half, 0.0, 1.0)[:, None] ** 28
    return np.clip(colours * (0.52 + 0.52 * diffuse) + 0.22 * gloss, 0.0, 1.0)
