"""What an interactive picture shows: atoms, bonds, the cell, and isosurfaces as decimated triangles."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import map_coordinates

from charge3net.analysis.interpolation import interpolate
from charge3net.analysis.molecules import find_bonds, find_molecules, is_molecular, placed_in_cell
from charge3net.analysis.nearest import nearest_atoms
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: Finest spacing of the mesh from which a surface is made, Å, and most points along its longest axis.
SPACING, POINTS = 0.09, 84

#: Around molecules a surface may reach this far, Å.
MARGIN = 2.6

#: A field below this everywhere (e/Å³, μ_B/Å³) is rounding.
SMALLEST = 1e-6

#: An atom this near to a wall of the cell (fraction) is drawn at the opposite wall too.
_AT_WALL = 2e-3


@dataclass(frozen=True, eq=False)
class Shown:
    """Atoms that are drawn, and where surfaces are.

    Attributes:
        atoms: [shown] index of each atom in the structure; images repeat it.
        positions: [shown, 3] Å.
        bonds: [bonds, 2] indices into these.
        corner: [3] Å, first corner of the box in which surfaces are drawn.
        box: [3, 3] its vectors, Å, along the cell's.
        molecular: whether molecules are drawn whole, and surfaces around them; else one cell, cut at its walls.
        alone: whether it is one molecule, or nothing repeats, so that the cell does not matter.
    """

    atoms: Int[ndarray, "shown"]
    positions: Float[ndarray, "shown 3"]
    bonds: Int[ndarray, "bonds 2"]
    corner: Float[ndarray, "3"]
    box: Float[ndarray, "3 3"]
    molecular: bool
    alone: bool


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles with a normal at every vertex.

    Attributes:
        vertices, normals: [vertices, 3] Å, and unit vectors towards lower values.
        faces: [faces, 3].
    """

    vertices: Float[ndarray, "vertices 3"]
    normals: Float[ndarray, "vertices 3"]
    faces: Int[ndarray, "faces 3"]


def shown_atoms(geometry: Geometry, grid: Grid) -> Shown:
    """Whole molecules with their centres in the cell; of anything else the atoms of one cell, its walls included."""
    bonds = find_bonds(geometry)
    molecules = find_molecules(geometry, bonds)
    molecular = is_molecular(geometry, molecules)
    if molecular:
        atoms = np.concatenate([molecule.atoms for molecule in molecules])
        positions = np.concatenate([placed_in_cell(molecule, geometry) for molecule in molecules])
    else:
        atoms, positions = _in_one_cell(geometry, grid)
    alone = molecular and (len(molecules) == 1 or not geometry.pbc.any())
    inverse = np.linalg.inv(grid.cell)
    corner, box = grid.origin, grid.cell
    if molecular:
        margin = MARGIN * np.linalg.norm(inverse, axis=0)
        fractions = (positions - grid.origin) @ inverse
        low, high = fractions.min(axis=0) - margin, fractions.max(axis=0) + margin
        if not geometry.pbc.any():  # nothing repeats: stay within the grid
            low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
        corner, box = grid.origin + low @ grid.cell, (high - low)[:, None] * grid.cell
    return Shown(atoms, positions, _bonds_between(atoms, positions, geometry), corner, box, molecular, alone)


def _in_one_cell(geometry: Geometry, grid: Grid) -> tuple[Int[ndarray, "shown"], Float[ndarray, "shown 3"]]:
    fractions = (geometry.positions - grid.origin) @ np.linalg.inv(grid.cell)
    fractions -= np.floor(fractions + _AT_WALL) * geometry.pbc
    atoms, places = [np.arange(len(geometry))], [fractions]
    for shift in itertools.product((0, 1), repeat=3):
        moved = fractions + shift
        if any(shift) and geometry.pbc[np.array(shift, bool)].all():
            again = (moved < 1.0 + _AT_WALL).all(axis=1)
            atoms.append(np.flatnonzero(again))
            places.append(moved[again])
    return np.concatenate(atoms), np.concatenate(places) @ grid.cell + grid.origin


def _bonds_between(
    atoms: Int[ndarray, "shown"], positions: Float[ndarray, "shown 3"], geometry: Geometry
) -> Int[ndarray, "bonds 2"]:
    there = Geometry(geometry.numbers[atoms], positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
    bonds = find_bonds(there)
    once = bonds.first < bonds.second
    return np.stack([bonds.first[once], bonds.second[once]], axis=1)


def surface(
    values: Float[ndarray, "nx ny nz"], density: Density, shown: Shown, level: float, faces: int
) -> Surface | None:
    """The isosurface of a field around the shown atoms in at most about ``faces`` triangles; None if there is none.

    Closed by lids at the walls of the cell, except around whole molecules, where parts that belong to images that are
    not drawn are left out.
    """
    from skimage.measure import marching_cubes

    if not float(values.min()) < level < float(values.max()):
        return None
    lengths = np.linalg.norm(shown.box, axis=1)
    spacing = max(SPACING, float(lengths.max()) / POINTS)
    counts = np.maximum(np.ceil(lengths / spacing).astype(int), 8)
    axes = np.meshgrid(*[np.arange(n + 1) / n for n in counts], indexing="ij")
    field = interpolate(values, density.grid, np.stack(axes, axis=-1) @ shown.box + shown.corner)
    if not float(field.min()) < level < float(field.max()):
        return None
    padded = np.pad(field, 1, constant_values=min(float(field.min()), 2.0 * level - float(field.max())) - abs(level))
    vertices, triangles, _, _ = marching_cubes(padded, level, gradient_direction="ascent")
    fractions = np.clip((vertices - 1.0) / counts, 0.0, 1.0)
    triangles = triangles[_has_area(fractions @ shown.box, triangles)]
    if shown.molecular:
        triangles = triangles[_belongs(fractions @ shown.box + shown.corner, triangles, density.geometry, shown)]
    fractions, triangles = _decimated(fractions, triangles, faces)
    if not len(triangles):
        return None
    return _with_normals(fractions, triangles, field, shown)


def _has_area(placed: Float[ndarray, "vertices 3"], faces: Int[ndarray, "faces 3"]) -> Bool[ndarray, "faces"]:
    corners = placed[faces]
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) > 1e-10


def _belongs(
    placed: Float[ndarray, "vertices 3"], faces: Int[ndarray, "faces 3"], geometry: Geometry, shown: Shown
) -> Bool[ndarray, "faces"]:
    """Faces whose nearest atom is drawn there, and not an image of one elsewhere."""
    drawn = np.empty((len(geometry), 3))
    drawn[shown.atoms] = shown.positions
    middles = placed[faces].mean(axis=1)
    nearest = nearest_atoms(middles, geometry)
    cell = geometry.complete_cell
    moved = (drawn[nearest.atoms] - (middles - nearest.vectors)) @ np.linalg.inv(cell)
    return (np.abs(moved * geometry.pbc) < 1e-3).all(axis=1)


def _decimated(
    fractions: Float[ndarray, "vertices 3"], faces: Int[ndarray, "all 3"], most: int
) -> tuple[Float[ndarray, "fewer 3"], Int[ndarray, "faces 3"]]:
    """At most about ``most`` faces, flat parts thinned first (Garland and Heckbert's quadrics); no unused vertex."""
    if len(faces) > most:
        from fast_simplification import simplify

        thin, faces = simplify(fractions.astype(np.float32), faces.astype(np.int32), target_count=most)
        fractions = np.clip(np.asarray(thin, dtype=np.float64), 0.0, 1.0)
    used, faces = np.unique(faces, return_inverse=True)
    return fractions[used], faces.reshape(-1, 3)


def _with_normals(
    fractions: Float[ndarray, "vertices 3"],
    faces: Int[ndarray, "faces 3"],
    field: Float[ndarray, "a b c"],
    shown: Shown,
) -> Surface:
    """Normals by the gradient of the field; those of lids, which get vertices of their own, by their wall."""
    counts = np.array(field.shape) - 1
    inverse = np.linalg.inv(shown.box)
    slopes = [map_coordinates(s, (fractions * counts).T, order=1, mode="nearest") for s in np.gradient(field)]
    normals = -(np.stack(slopes, axis=1) * counts) @ inverse.T
    corners = fractions[faces]
    on_wall = np.stack([(corners < 1e-4).all(axis=1), (corners > 1.0 - 1e-4).all(axis=1)], axis=2)  # [faces, 3, 2]
    lids = on_wall.any(axis=(1, 2))
    outward = np.concatenate([-inverse.T, inverse.T])  # of the walls at 0, then at 1
    which = np.concatenate([on_wall[:, :, 0], on_wall[:, :, 1]], axis=1)[lids].argmax(axis=1)
    own = fractions[faces[lids]].reshape(-1, 3)
    placed = np.concatenate([fractions, own]) @ shown.box + shown.corner
    normals = np.concatenate([normals, np.repeat(outward[which], 3, axis=0)])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    lid_faces = len(fractions) + np.arange(len(own)).reshape(-1, 3)
    every = np.concatenate([faces[~lids], lid_faces])
    used, every = np.unique(every, return_inverse=True)
    return Surface(placed[used], normals[used], every.reshape(-1, 3))


def levels_enclosing(values: Float[ndarray, "nx ny nz"], shares: Sequence[tuple[float, float]]) -> list[float]:
    """The levels of |field| whose surfaces enclose a share of ∫|field|, but not more than a share of the cell.

    Args:
        values: the field.
        shares: of each level: share of ∫|field|, largest share of the volume.

    Raises:
        InputError: for a field that is nearly zero everywhere.
    """
    ordered = np.sort(np.abs(np.asarray(values, dtype=np.float64)).ravel())[::-1]
    if not ordered[0] > SMALLEST:
        raise InputError(f"this field is below {SMALLEST:g} everywhere, so there is no surface to show")
    inside = np.cumsum(ordered)
    found = []
    for share, volume in shares:
        enclosed = int(np.searchsorted(inside, share * inside[-1]))
        found.append(float(ordered[min(enclosed, int(volume * len(ordered)), len(ordered) - 1)]))
    return found
