"""Interactive pictures: an HTML page that draws atoms and isosurfaces by itself (``viewer/``), from no other place.

The page holds the triangles as deflated 16-bit numbers, and a small viewer written for WebGL 2, which browsers have.
"""

from __future__ import annotations

import base64
import html
import itertools
import json
import string
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density, View
from charge3net.errors import InputError
from charge3net.plot.scene import Shown, Surface, levels_enclosing, shown_atoms, surface

#: Triangles of all surfaces together; a page then takes at most about half a megabyte.
FACES = 30_000

#: Share of ∫|field| and of the cell's volume inside the two surfaces of a density, and inside those of a signed field.
SHARES, SIGNED_SHARES = ((0.85, 0.25), (0.4, 0.06)), ((0.6, 0.15),)

#: Colours of ρ outside and inside, of + and of −.
_OUTER, _INNER, _PLUS, _MINUS = (86, 160, 222), (0, 84, 150), (213, 94, 0), (0, 114, 178)

#: Room for the surface around a molecule, Å.
_AROUND = 1.3

_VIEWER = Path(__file__).parent / "viewer"


@dataclass(frozen=True, eq=False)
class Layer:
    """One surface to draw.

    Attributes:
        name: for the legend.
        values: [nx, ny, nz] the field.
        level: of the surface.
        colour: red, green, blue, 0 … 255.
        alpha: opacity; 1 hides what is behind.
        visible: whether it is shown at first.
    """

    name: str
    values: Float[ndarray, "nx ny nz"]
    level: float
    colour: tuple[int, int, int]
    alpha: float
    visible: bool = True


def density_view(
    density: Density,
    reference: Density | None = None,
    *,
    channel: str = "total",
    levels: float | Sequence[float] | None = None,
    faces: int = FACES,
    turns: bool = True,
    title: str | None = None,
) -> View:
    """Isosurfaces that can be turned, with atoms (Jmol's colours), bonds and cell.

    Args:
        density: what is shown: ρ at two levels; the magnetisation at ± a level with ``channel="magnetisation"``.
        reference: shows density − reference at ± a level instead, and ρ hidden at first.
        channel: ``"total"`` or ``"magnetisation"``.
        levels: e/Å³, one or two (of ± surfaces one); None encloses 85 % and 40 % of the electrons, of signed fields
            60 % of ∫|field|, but no more than a quarter of the cell.
        faces: most triangles of all surfaces together.
        turns: turn until the first touch.
        title: None takes the formula.

    Raises:
        InputError: for levels that no surface has, a channel that is not there, different grids, or without
            scikit-image and fast-simplification.
    """
    try:
        import fast_simplification  # noqa: F401
        import skimage  # noqa: F401
    except ImportError as error:
        raise InputError("an interactive picture needs the extra [plot]; pip install 'charge3net[plot]'") from error
    layers = _layers(density, reference, channel, None if levels is None else _checked(levels))
    shown = shown_atoms(density.geometry, density.grid)
    share = faces // len(layers)
    found = [(layer, surface(layer.values, density, shown, layer.level, share)) for layer in layers]
    if all(mesh is None for _, mesh in found):
        low, high = float(layers[0].values.min()), float(layers[0].values.max())
        asked = ", ".join(f"{layer.level:.3g}" for layer in layers)
        raise InputError(
            f"no surface at {asked} e/Å³: the field lies between {low:.3g} and {high:.3g}; give other levels"
        )
    drawn = [_packed(layer, mesh) for layer, mesh in found if mesh is not None]
    subtitle = _subtitle(density, reference, channel)
    scene = {**_scene(density, shown), "layers": drawn, "turns": turns, "name": density.geometry.formula}
    page = string.Template((_VIEWER / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(title or density.geometry.formula),
        subtitle=html.escape(subtitle),
        scene=json.dumps(scene, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"),
        script=(_VIEWER / "viewer.js").read_text(encoding="utf-8"),
    )
    return View(page)


def _checked(levels: float | Sequence[float]) -> list[float]:
    try:
        found = np.atleast_1d(np.asarray(levels, dtype=np.float64))
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape not in ((1,), (2,)) or not (np.isfinite(found) & (found > 0)).all():
        raise InputError(f"levels are one or two positive densities in e/Å³, found {levels!r}")
    return found.tolist()


def _layers(density: Density, reference: Density | None, channel: str, levels: Sequence[float] | None) -> list[Layer]:
    if channel not in ("total", "magnetisation"):
        raise InputError(f"the channel is 'total' or 'magnetisation', found {channel!r}")
    shown = density if reference is None else density - reference
    values = shown.total if channel == "total" else shown.spin
    if values is None:
        raise InputError("there is no magnetisation to show")
    if reference is None and channel == "total":
        return _of_density(values, levels)
    sign, unit = ("Δρ", "e/Å³") if channel == "total" else ("m" if reference is None else "Δm", "μ_B/Å³")
    level = levels[0] if levels else levels_enclosing(values, SIGNED_SHARES)[0]
    signed = [
        Layer(f"{sign} = +{level:.2g} {unit}", values, level, _PLUS, 0.75),
        Layer(f"{sign} = −{level:.2g} {unit}", -values, level, _MINUS, 0.75),
    ]
    outer = _of_density(density.total, None)[-1]
    return [*signed, Layer(outer.name, outer.values, outer.level, (150, 160, 172), 0.18, visible=False)]


def _of_density(values: Float[ndarray, "nx ny nz"], levels: Sequence[float] | None) -> list[Layer]:
    """The inner surface first: what is behind is drawn first."""
    chosen = sorted(levels or levels_enclosing(values, SHARES), reverse=True)
    names = [f"ρ = {level:.2g} e/Å³" for level in chosen]
    if len(chosen) == 1:
        return [Layer(names[0], values, chosen[0], _OUTER, 0.5)]
    return [Layer(names[0], values, chosen[0], _INNER, 0.8), Layer(names[1], values, chosen[1], _OUTER, 0.35)]


def _packed(layer: Layer, mesh: Surface) -> dict[str, Any]:
    """A surface for the page: places in 16 bits, normals in 8, indices as differences; deflated."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    vertices, normals, faces = _in_order_of_use(mesh)
    places = np.rint((vertices - low) / np.maximum(high - low, 1e-9) * 65535).astype("<u2")
    steps = np.diff(faces.ravel(), prepend=0).astype("<i4")
    data = places.T.tobytes() + steps.tobytes() + np.rint(normals.T * 127).astype("<i1").tobytes()
    return {
        "name": layer.name,
        "colour": layer.colour,
        "alpha": layer.alpha,
        "visible": layer.visible,
        "vertices": len(vertices),
        "faces": len(faces),
        "low": low.round(5).tolist(),
        "high": high.round(5).tolist(),
        "data": base64.b64encode(zlib.compress(data, 9)).decode(),
    }


def _in_order_of_use(mesh: Surface) -> tuple[ndarray, ndarray, ndarray]:
    """Vertices in the order in which the faces name them, so that differences of indices are small."""
    used, first = np.unique(mesh.faces.ravel(), return_index=True)
    order = used[np.argsort(first)]
    place = np.empty(len(mesh.vertices), dtype=np.int64)
    place[order] = np.arange(len(order))
    return mesh.vertices[order], mesh.normals[order], place[mesh.faces]


def _scene(density: Density, shown: Shown) -> dict[str, Any]:
    """Atoms, bonds, cell and camera."""
    numbers = density.geometry.numbers[shown.atoms]
    tints = np.rint(255 * jmol_colors).astype(int)
    corners = np.array(list(itertools.product((0, 1), repeat=3)), dtype=np.float64)
    cell = density.grid.cell
    edges: list[Any] = []
    if density.geometry.pbc.any() and not shown.alone:
        axes = ((200, 60, 50), (60, 150, 60), (60, 90, 200))
        for one, other in itertools.combinations(corners, 2):
            if np.abs(one - other).sum() == 1:
                along = int(np.argmax(other - one))
                ends = (np.stack([one, other]) @ cell + density.grid.origin).round(4).tolist()
                edges.append([*ends, list(axes[along]) if not one.any() else [140, 146, 156]])
    box = shown.positions if shown.alone else corners @ cell + density.grid.origin
    seen = np.concatenate([shown.positions, box])
    low, high = seen.min(axis=0), seen.max(axis=0)
    reach = float(np.linalg.norm(seen - (low + high) / 2, axis=1).max()) + (_AROUND if shown.alone else 0.0)
    return {
        "atoms": {
            "places": shown.positions.round(4).tolist(),
            "radii": [round(0.24 * float(covalent_radii[z]) + 0.1, 3) for z in numbers],
            "colours": tints[numbers].tolist(),
            "names": [f"{chemical_symbols[z]}, atom {i}" for z, i in zip(numbers, shown.atoms, strict=True)],
        },
        "bonds": shown.bonds.tolist(),
        "edges": edges,
        "vectors": cell.tolist() if edges else None,
        "elements": [[chemical_symbols[z], tints[z].tolist()] for z in sorted(set(numbers.tolist()))],
        "middle": ((low + high) / 2).round(4).tolist(),
        "size": round(2.0 * reach, 4),
        "eye": _eye(density, shown),
    }


def _eye(density: Density, shown: Shown) -> list[float]:
    """Where the viewer is: for a crystal beside b, a little above; for molecules along their thinnest direction."""
    if shown.alone and len(shown.positions) > 2:
        centred = shown.positions - shown.positions.mean(axis=0)
        thin = np.linalg.svd(centred)[2][2]
        return (thin + 0.15 * np.array([0.3, 0.5, 0.8])).round(4).tolist()
    return [0.45, -0.85, 0.3]


def _subtitle(density: Density, reference: Density | None, channel: str) -> str:
    what = "magnetisation" if channel == "magnetisation" else "electron density"
    if reference is not None:
        error = density.error(reference)
        nmae = error.nmae if channel == "total" else error.spin_nmae
        return f"difference of {what}, ε_mae {nmae:.3g} %"
    moment = "" if density.spin is None else f", {density.magnetisation():z.3f} μ_B"
    return f"{what}, {density.electrons():.3f} electrons{moment}"
