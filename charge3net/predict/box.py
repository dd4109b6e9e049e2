"""The cell and grid of a prediction: a box for structures without a cell, the requested grid, and checks of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.neighbors import find_atom_neighbors
from charge3net.grid import Grid

#: Grid spacing in Å where the caller names no grid.
DEFAULT_SPACING = 0.1

_SAME_CELL = 1e-3
#: Atoms within these distances in Å are suspicious; are one atom, if of one element.
_CLOSE_ATOMS, _ONE_SITE = 0.5, 0.1


@dataclass(frozen=True, eq=False)
class PreparedGrid:
    """A structure and the grid of its density.

    Attributes:
        geometry: the atoms, in a cell with a volume.
        grid: in the coordinates of ``geometry``.
        notes: changes made to the given structure.
        warnings: reasons why the density may be wrong.
    """

    geometry: Geometry
    grid: Grid
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def prepare_grid(
    geometry: Geometry,
    vacuum: float,
    *,
    shape: tuple[int, int, int] | None = None,
    spacing: float | None = None,
    encut: float | None = None,
    grid: Grid | None = None,
    like: Grid | None = None,
) -> PreparedGrid:
    """The structure in a box, and the requested grid.

    At most one of the five names a grid; without any the spacing is :data:`DEFAULT_SPACING`. ``like`` gives its number
    of voxels and, where its cell is that of the structure, its origin. A structure without any cell takes that of
    ``grid`` or ``like``; else :func:`box_around` makes one.

    Raises:
        InputError: if more than one is given, the one given makes no grid, or the structure's cell is unusable.
    """
    options = {"shape": shape, "spacing": spacing, "encut": encut, "grid": grid, "like": like}
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"give one of shape, spacing, encut, grid and like, not {' and '.join(given)} together")
    own = grid if like is None else like
    if own is not None and not geometry.cell.any() and not geometry.pbc.any():
        geometry, note, warning = (
            geometry.with_cell(own.cell),
            "the structure has no cell: the cell of the grid is used",
            "",
        )
        mesh = own
    else:
        geometry, origin, note = box_around(geometry, vacuum)
        mesh, warning = _grid_on(geometry, origin, shape, spacing, encut, grid, like)
    warnings = [warning] * bool(warning) + atoms_outside(geometry, mesh)
    return PreparedGrid(geometry, mesh, (note,) if note else (), tuple(warnings))


def box_around(geometry: Geometry, vacuum: float) -> tuple[Geometry, Float[ndarray, "3"], str]:
    """Give every missing, non-periodic cell vector a length that leaves ``vacuum`` Å beyond the outermost atoms.

    The new vectors are normal to the present ones and to each other. The atoms stay where they are and the periodicity
    as it is.

    Returns:
        The structure with its cell, the corner of the box in Å, and a sentence on what was done (empty when nothing was
        missing).

    Raises:
        InputError: when a periodic direction has no cell vector, or the vectors given span no volume.
    """
    missing = np.linalg.norm(geometry.cell, axis=1) < 1e-6
    if (missing & geometry.pbc).any():
        raise InputError("a periodic direction of the structure has no cell vector; set the cell or its periodicity")
    present = geometry.cell[~missing]
    if np.sqrt(max(np.linalg.det(present @ present.T), 0.0)) < 1e-6:  # the length, area or volume they span
        raise InputError("the cell vectors of the structure do not span a volume; set another cell")
    if not missing.any():
        return geometry, np.zeros(3), ""
    from ase.geometry import complete_cell

    cell = np.array(complete_cell(geometry.cell), dtype=np.float64)
    corner = np.zeros(3)
    for axis in np.flatnonzero(missing):
        along = geometry.positions @ cell[axis]
        corner += (along.min() - vacuum) * cell[axis]
        cell[axis] *= along.max() - along.min() + 2.0 * vacuum
    lengths = " × ".join(f"{np.linalg.norm(vector):.2f}" for vector in cell)
    where = "" if missing.all() else f" along {int(missing.sum())} direction(s)"
    note = f"the structure has no cell{where}: put in a box of {lengths} Å with {vacuum:g} Å of vacuum on every side"
    return geometry.with_cell(cell), corner, note


def _grid_on(
    geometry: Geometry,
    origin: Float[ndarray, "3"],
    shape: tuple[int, int, int] | None,
    spacing: float | None,
    encut: float | None,
    grid: Grid | None,
    like: Grid | None,
) -> tuple[Grid, str]:
    """The requested grid on the structure's cell, and a warning (empty if there is none)."""
    if grid is not None:
        return grid, ""
    if shape is not None:
        return Grid(geometry.cell, shape, origin), ""
    if encut is not None:
        return _at(origin, Grid.from_encut(geometry.cell, encut)), ""
    if like is None:
        return _at(origin, Grid.from_spacing(geometry.cell, DEFAULT_SPACING if spacing is None else spacing)), ""
    difference = float(np.abs(like.cell - geometry.cell).max())
    if difference <= _SAME_CELL:
        return Grid(geometry.cell, like.shape, like.origin), ""
    return Grid(geometry.cell, like.shape, origin), (
        f"the cell of the structure differs by up to {difference:.3g} Å from that of the given grid: "
        "only the number of voxels was used"
    )


def _at(origin: Float[ndarray, "3"], grid: Grid) -> Grid:
    return Grid(grid.cell, grid.shape, origin)


def atoms_outside(geometry: Geometry, grid: Grid) -> list[str]:
    """A warning when atoms lie outside the grid along directions that are not periodic."""
    inside = (geometry.positions - grid.origin) @ np.linalg.inv(grid.cell)
    beyond = ((inside < -1e-6) | (inside > 1.0 + 1e-6))[:, ~geometry.pbc].any(axis=1)
    if not beyond.any():
        return []
    return [f"{int(beyond.sum())} atom(s) lie outside the grid along directions that are not periodic"]


def close_atoms(geometry: Geometry) -> list[str]:
    """A warning when two atoms are closer than in any molecule or crystal."""
    closest = _closest(geometry, _CLOSE_ATOMS, one_element=False)
    return [closest] if closest else []


def coincident_atoms(geometry: Geometry) -> str:
    """Two atoms of one element within 0.1 Å, in words; empty if there are none.

    Probably it is one atom that is listed twice, or a site of a disordered structure.
    """
    return _closest(geometry, _ONE_SITE, one_element=True)


def _closest(geometry: Geometry, limit: float, one_element: bool) -> str:
    """The closest pair of atoms (of one element) below a distance in Å, in words; empty if there is none."""
    receivers, senders, shifts = find_atom_neighbors(geometry, limit)
    lengths = np.linalg.norm(geometry.positions[receivers] - (geometry.positions[senders] + shifts), axis=1)
    if one_element:
        lengths[geometry.numbers[receivers] != geometry.numbers[senders]] = np.inf
    if not np.isfinite(lengths).any():
        return ""
    pair = int(lengths.argmin())
    first, second = sorted((int(senders[pair]), int(receivers[pair])))
    return f"atoms {first} and {second} (counted from 0) are only {lengths[pair]:.3f} Å apart"
