"""The irreducible points of a grid under the operations of the crystal that map the grid onto itself.

An operation takes the fractional position x to R·x + t (spglib's convention). Voxel g of a grid with shape N and
fractional origin o sits at g/N + o, so the operation takes voxel g to voxel M·g + s with
``M_ij = N_i·R_ij/N_j`` and ``s = N∘(t + R·o − o)``. It maps the grid onto itself where all these are integers.
Translations of a supercell are operations like any other.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: Positions that agree to this length in Å are the same position.
TOLERANCE = 1e-5

#: The search for operations takes seconds above this many atoms when there are none to find.
MAX_ATOMS = 3000

#: The orbits take four bytes per voxel; larger grids are evaluated in full.
MAX_VOXELS = 50_000_000

_IMAGES_AT_ONCE = 1 << 15


class NoSymmetryError(Exception):
    """Symmetry saves nothing here; the message gives the reason."""


@dataclass(frozen=True, eq=False)
class GridSymmetry:
    """Which voxels are images of each other.

    Attributes:
        operations: number of operations used, the identity included.
        representatives: [irreducible] one flat voxel index for each set of equivalent voxels, ascending.
        orbit: [voxels] position in ``representatives`` of the voxel that represents this one.
    """

    operations: int
    representatives: Int[ndarray, "irreducible"]
    orbit: Int[ndarray, "voxels"]

    @property
    def saving(self) -> float:
        """Voxels per irreducible voxel."""
        return len(self.orbit) / len(self.representatives)

    def spread(self, values: Shaped[ndarray, "irreducible"], out: Shaped[ndarray, "nx ny nz"]) -> None:
        """Copy the values at the representatives to all voxels, into ``out``."""
        orbit = self.orbit.reshape(out.shape)
        if out.flags.c_contiguous:
            np.take(values, orbit, out=out, mode="clip")  # "clip" writes into out without a buffer
            return
        for plane, names in zip(out, orbit, strict=True):
            plane[...] = values[names]


def find_grid_symmetry(geometry: Geometry, grid: Grid, proper: bool = False) -> GridSymmetry:
    """The operations of the crystal, to 1e-5 Å, that map the grid onto itself, and the voxels they leave to compute.

    Args:
        geometry: a structure that is periodic in all three directions.
        grid: a grid that spans the structure's cell; its origin may lie anywhere.
        proper: use rotations and translations only, for channels that change sign under a mirror or inversion.

    Raises:
        NoSymmetryError: if nothing can be saved; the message gives the reason.
    """
    if not geometry.pbc.all():
        raise NoSymmetryError("the structure is not periodic in all three directions")
    if not np.allclose(grid.cell, geometry.cell, rtol=0.0, atol=TOLERANCE):
        raise NoSymmetryError("the grid does not span the cell of the structure")
    if len(geometry) > MAX_ATOMS:
        raise NoSymmetryError(f"it is not looked for above {MAX_ATOMS} atoms")
    if len(grid) > MAX_VOXELS:
        raise NoSymmetryError(f"it is not looked for above {MAX_VOXELS} voxels")
    rotations, translations = _operations(geometry)
    if proper:
        keep = np.linalg.det(rotations) > 0
        rotations, translations = rotations[keep], translations[keep]
    if len(rotations) < 2:
        raise NoSymmetryError(f"the structure has no {'proper ' if proper else ''}symmetry to {TOLERANCE:g} Å")
    matrices, shifts = _on_grid(rotations, translations, grid)
    if len(matrices) < 2:
        raise NoSymmetryError(
            f"none of the {len(rotations)} operations of the structure maps the {'×'.join(map(str, grid.shape))} grid "
            "onto itself"
        )
    representatives, orbit = _orbits(matrices, shifts, grid.shape)
    return GridSymmetry(len(matrices), representatives, orbit)


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


def _on_grid(
    rotations: Int[ndarray, "ops 3 3"], translations: Float[ndarray, "ops 3"], grid: Grid
) -> tuple[Int[ndarray, "fitting 3 3"], Int[ndarray, "fitting 3"]]:
    """M and s (see the module's docstring) of the operations that map the grid onto itself to within TOLERANCE."""
    shape = np.array(grid.shape, dtype=np.int64)
    scaled = rotations * shape[:, None]
    matrices, remainder = np.divmod(scaled, shape[None, :])
    origin = grid.origin @ np.linalg.inv(grid.cell)
    exact = (translations + rotations @ origin - origin) * shape
    shifts = np.rint(exact)
    missed = np.linalg.norm(((exact - shifts) / shape) @ grid.cell, axis=1)
    keep = (remainder == 0).all(axis=(1, 2)) & (missed <= TOLERANCE)
    return matrices[keep], shifts[keep].astype(np.int64) % shape


def _orbits(
    matrices: Int[ndarray, "ops 3 3"], shifts: Int[ndarray, "ops 3"], shape: tuple[int, int, int]
) -> tuple[Int[ndarray, "irreducible"], Int[ndarray, "voxels"]]:
    """Representatives and orbit of every voxel.

    Voxels are walked in ascending order, a window at a time. All images of those still without a representative are
    formed at once; the smallest image represents the orbit. It lies in the same window, because everything below the
    window is done. The work is about one image per voxel, whatever the number of operations.
    """
    n_voxels = shape[0] * shape[1] * shape[2]
    window = max(_IMAGES_AT_ONCE // len(matrices), 1)
    orbit = np.full(n_voxels, -1, dtype=np.int32)
    chosen: list[ndarray] = []
    n_chosen = 0
    for start in range(0, n_voxels, window):
        open_voxels = start + np.flatnonzero(orbit[start : start + window] < 0)
        if not len(open_voxels):
            continue
        images = _images(open_voxels, matrices, shifts, shape)
        first = images.min(axis=0) == open_voxels
        images = images[:, first]
        taken = orbit[images].max() >= 0
        names = np.arange(n_chosen, n_chosen + images.shape[1], dtype=np.int32)
        orbit[images] = names
        if taken or (orbit[images] != names).any():
            raise NoSymmetryError("the operations found do not form a group")
        chosen.append(open_voxels[first])
        n_chosen += images.shape[1]
    if orbit.min() < 0:
        raise NoSymmetryError("the operations found do not form a group")
    return np.concatenate(chosen), orbit


def _images(
    voxels: Int[ndarray, "voxels"],
    matrices: Int[ndarray, "ops 3 3"],
    shifts: Int[ndarray, "ops 3"],
    shape: tuple[int, int, int],
) -> Int[ndarray, "ops voxels"]:
    """Flat index of the image of each voxel under each operation.

    In float64, where matrix products and divisions are vectorised; integers of this size are exact in it.
    """
    ijk = np.stack(np.unravel_index(voxels, shape)).astype(np.float64)
    flat = np.zeros((len(matrices), len(voxels)))
    for axis, n in enumerate(shape):
        image = matrices[:, axis].astype(np.float64) @ ijk
        image += shifts[:, axis, None]
        image -= n * np.floor(image / n)
        flat *= n
        flat += image
    return flat.astype(np.int64)
