"""A structure and its grid moved such that the operations of the crystal hold exactly.

Positions in files obey the operations to a few digits; the tolerance here is 1e-5 Å. Where an atom sits on a voxel
or at the cutoff of one, a shift of 1e-6 Å decides whether it counts, and equivalent voxels differ by a per cent. So
cell, atoms and their place on the grid are symmetrised first. The moves are about as large as the deviations from
the symmetry.

**Atoms.** An operation takes the fractional position x to R·x + t (spglib's convention) and atom i to atom π(i),
but for a lattice vector n: ``R·x_i + t = x_π(i) + n + δ_i``. The translation that leaves no mean δ depends only on
π, n and the mean position of the atoms, so these translations belong to a group, and the mean of the images of an
atom over the group is symmetric. Pure translations come first (they are multiples of 1/m, m their number), then one
operation for each R.

**Cell.** It becomes ``C·U``, U symmetric, such that its metric is the mean of ``Rᵀ·C·Cᵀ·R``.

**Grid.** Voxel g of a grid with shape N and fractional origin o sits at g/N + o, so an operation takes voxel g to
voxel M·g + s with ``M_ij = N_i·R_ij/N_j`` and ``s = N∘(t + R·o − o)``. It maps the grid onto itself where all these
are integers. Where the s are integers to the tolerance only, a common shift u of all atoms makes them exact: ``(R −
1)·u = (s − round(s))/N``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: Positions that agree to this length in Å are the same position.
TOLERANCE = 1e-5

#: The search for operations takes seconds above this many atoms when there are none to find.
MAX_ATOMS = 3000

#: The orbits take four bytes per voxel; larger grids are evaluated in full.
MAX_VOXELS = 50_000_000

#: Fractional positions are equal to rounding.
_EXACT = 1e-11

#: The largest move in tolerances; pairs of atoms agree to one tolerance, chains of them to some.
_FARTHEST = 5.0

_NO_GROUP = "the operations found do not form a group"


class NoSymmetryError(Exception):
    """Symmetry saves nothing here; the message gives the reason."""


@dataclass(frozen=True, eq=False)
class Symmetrised:
    """A structure on a grid, and the operations that hold exactly and map the grid onto itself.

    Attributes:
        geometry: the structure, its atoms in the given order.
        grid: with the cell of ``geometry`` and the fractional origin of the given grid.
        matrices, shifts: [ops, 3, 3] and [ops, 3] integers; voxel g goes to ``matrices @ g + shifts``.
        moved: the largest move of an atom, Å.
    """

    geometry: Geometry
    grid: Grid
    matrices: Int[ndarray, "ops 3 3"]
    shifts: Int[ndarray, "ops 3"]
    moved: float


def symmetrise(geometry: Geometry, grid: Grid, proper: bool = False) -> Symmetrised:
    """The structure and the grid with the operations that hold to 1e-5 Å, where some of them map the grid onto itself.

    Args:
        geometry: a structure that is periodic in all three directions.
        grid: a grid that spans the structure's cell; its origin may lie anywhere.
        proper: use rotations and translations only, for channels that change sign under a mirror or inversion.

    Raises:
        NoSymmetryError: if no operation but the identity is left; the message gives the reason.
    """
    _check(geometry, grid)
    rotations, translations = _operations(geometry)
    if proper:
        keep = np.linalg.det(rotations) > 0
        rotations, translations = rotations[keep], translations[keep]
    if len(rotations) < 2:
        raise NoSymmetryError(f"the structure has no {'proper ' if proper else ''}symmetry to {TOLERANCE:g} Å")
    fractional = geometry.positions @ np.linalg.inv(geometry.cell)
    symmetric, translations = _symmetric_positions(geometry, fractional, rotations, translations)
    cell = _symmetric_cell(geometry.cell, rotations)
    origin = grid.origin @ np.linalg.inv(grid.cell)
    matrices, shifts, moved = _on_grid(rotations, translations, Grid(cell, grid.shape, origin @ cell))
    positions = (symmetric + moved) @ cell
    distance = float(np.linalg.norm(positions - geometry.positions, axis=1).max())
    if distance > _FARTHEST * TOLERANCE:
        raise NoSymmetryError(_NO_GROUP)
    return Symmetrised(
        Geometry(geometry.numbers, positions, cell, geometry.pbc),
        Grid(cell, grid.shape, origin @ cell),
        *(matrices, shifts, distance),
    )


def _check(geometry: Geometry, grid: Grid) -> None:
    if not geometry.pbc.all():
        raise NoSymmetryError("the structure is not periodic in all three directions")
    if not np.allclose(grid.cell, geometry.cell, rtol=0.0, atol=TOLERANCE):
        raise NoSymmetryError("the grid does not span the cell of the structure")
    if len(geometry) > MAX_ATOMS:
        raise NoSymmetryError(f"it is not looked for above {MAX_ATOMS} atoms")
    if len(grid) > MAX_VOXELS:
        raise NoSymmetryError(f"it is not looked for above {MAX_VOXELS} voxels")


def _operations(geometry: Geometry) -> tuple[Int[ndarray, "ops 3 3"], Float[ndarray, "ops 3"]]:
    """Rotations (on fractional coordinates) and translations of the space group, supercell translations included."""
    import spglib

    crystal: Any = (geometry.cell, geometry.positions @ np.linalg.inv(geometry.cell), geometry.numbers)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about spglib's own error handling
            found = spglib.get_symmetry(crystal, symprec=TOLERANCE)
    except Exception as error:  # spglib's own exception exists from version 2.7 on
        raise NoSymmetryError(f"spglib finds no symmetry: {error}") from error
    if found is None:
        raise NoSymmetryError("spglib finds no symmetry")
    return np.asarray(found["rotations"], dtype=np.int64), np.asarray(found["translations"], dtype=np.float64)


def _symmetric_positions(
    geometry: Geometry,
    fractional: Float[ndarray, "atoms 3"],
    rotations: Int[ndarray, "ops 3 3"],
    translations: Float[ndarray, "ops 3"],
) -> tuple[Float[ndarray, "atoms 3"], Float[ndarray, "ops 3"]]:
    """Symmetric fractional positions, and the translations of the operations that hold for them to rounding."""
    unique, first, kind = np.unique(rotations.reshape(-1, 9), axis=0, return_index=True, return_inverse=True)
    unique, kind = unique.reshape(-1, 3, 3), kind.ravel()
    pure = translations[(rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2))]
    count = len(pure)
    if len(rotations) != count * len(unique):
        raise NoSymmetryError(_NO_GROUP)
    symmetric = _translated_means(geometry.numbers, fractional, pure)
    chosen = translations[first]
    for last in (False, True):  # the second pass finds nothing left to move
        moves, sites = np.zeros_like(symmetric), _Sites(geometry.numbers, symmetric)
        for g, rotation in enumerate(unique):
            image, missed = sites.nearest(geometry.numbers, symmetric @ rotation.T + chosen[g])
            mean = missed.mean(axis=0)
            chosen[g] -= mean
            moves[image] += (missed - mean) / len(unique)
        if last and np.abs(moves).max() > _EXACT:
            raise NoSymmetryError(_NO_GROUP)
        symmetric = symmetric + moves
    between = translations - chosen[kind]
    return symmetric, chosen[kind] + np.rint(between * count) / count


def _translated_means(
    numbers: Int[ndarray, "atoms"], fractional: Float[ndarray, "atoms 3"], pure: Float[ndarray, "translations 3"]
) -> Float[ndarray, "atoms 3"]:
    """The positions with the pure translations, multiples of 1/m, in them exactly."""
    count = len(pure)
    if count == 1:
        return fractional
    if len(numbers) % count:
        raise NoSymmetryError(_NO_GROUP)
    symmetric, open_atoms = fractional.copy(), np.ones(len(numbers), dtype=bool)
    exact, sites = np.rint(pure * count) / count, _Sites(numbers, fractional)
    while open_atoms.any():
        one = int(np.argmax(open_atoms))
        members, missed = sites.nearest(np.full(count, numbers[one]), fractional[one] + exact)
        if len(np.unique(members)) != count or not open_atoms[members].all():
            raise NoSymmetryError(_NO_GROUP)
        open_atoms[members] = False
        symmetric[members] = fractional[members] + missed - missed.mean(axis=0)
    return symmetric


class _Sites:
    """Atoms at fractional positions, to be found by element and place."""

    def __init__(self, numbers: Int[ndarray, "atoms"], fractional: Float[ndarray, "atoms 3"]) -> None:
        from scipy.spatial import KDTree

        self.fractional = fractional
        members = {int(z): np.flatnonzero(numbers == z) for z in np.unique(numbers)}
        self._trees = {z: (m, KDTree(_wrapped(fractional[m]), boxsize=1.0)) for z, m in members.items()}

    def nearest(
        self, elements: Int[ndarray, "places"], places: Float[ndarray, "places 3"]
    ) -> tuple[Int[ndarray, "places"], Float[ndarray, "places 3"]]:
        """The nearest atom (or image) of the element to each place, and the vector from it to the place; fractional."""
        image = np.empty(len(places), dtype=np.int64)
        for z, (members, tree) in self._trees.items():
            wanted = elements == z
            if wanted.any():
                image[wanted] = members[tree.query(_wrapped(places[wanted]))[1]]
        missed = places - self.fractional[image]
        return image, missed - np.rint(missed)


def _wrapped(fractional: Float[ndarray, "places 3"]) -> Float[ndarray, "places 3"]:
    inside = fractional % 1.0
    return np.where(inside >= 1.0, 0.0, inside)  # −1e-20 % 1 is 1


def _symmetric_cell(cell: Float[ndarray, "3 3"], rotations: Int[ndarray, "ops 3 3"]) -> Float[ndarray, "3 3"]:
    """The cell under the strain without rotation that gives it the symmetric metric."""
    unique = np.unique(rotations.reshape(-1, 9), axis=0).reshape(-1, 3, 3).astype(np.float64)
    turned = np.swapaxes(unique, 1, 2)
    metric = np.mean(turned @ (cell @ cell.T) @ unique, axis=0)
    if np.abs(turned @ metric @ unique - metric).max() > _EXACT * np.abs(metric).max():
        raise NoSymmetryError(_NO_GROUP)
    inverse = np.linalg.inv(cell)
    square, axes = np.linalg.eigh(inverse @ metric @ inverse.T)
    return np.asarray(cell @ (axes * np.sqrt(square)) @ axes.T)


def _on_grid(
    rotations: Int[ndarray, "ops 3 3"], translations: Float[ndarray, "ops 3"], grid: Grid
) -> tuple[Int[ndarray, "fitting 3 3"], Int[ndarray, "fitting 3"], Float[ndarray, "3"]]:
    """M and s of the operations that map the grid onto itself, and the fractional shift of the atoms that makes
    s exact.

    Raises:
        NoSymmetryError: if only the identity does.
    """
    shape = np.array(grid.shape, dtype=np.int64)
    matrices, remainder = np.divmod(rotations * shape[:, None], shape[None, :])
    origin = grid.origin @ np.linalg.inv(grid.cell)
    places = (translations + rotations @ origin - origin) * shape
    shifts = np.rint(places)
    missed, fits = (places - shifts) / shape, (remainder == 0).all(axis=(1, 2))
    distances, turned = np.where(fits, np.linalg.norm(missed @ grid.cell, axis=1), np.inf), rotations - np.eye(3)
    tolerance = TOLERANCE
    while True:  # operations that are all within the tolerance need not agree about the shift; the exact ones do
        near = distances <= tolerance
        shift = np.linalg.lstsq(turned[near].reshape(-1, 3), missed[near].ravel())[0]
        exact = fits & (np.abs(missed - turned @ shift).max(axis=1) <= _EXACT)
        if exact[near].all():
            break
        tolerance /= 2
    if exact.sum() < 2:
        raise NoSymmetryError(
            f"none of the {len(rotations)} operations of the structure maps the {'×'.join(map(str, grid.shape))} grid "
            "onto itself"
        )
    return matrices[exact], shifts[exact].astype(np.int64) % shape, shift
