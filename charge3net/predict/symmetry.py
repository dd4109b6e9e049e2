"""The irreducible points of a grid under the operations of the crystal that map the grid onto itself.

Operations come from :mod:`charge3net.predict.symmetrise`; translations of a supercell are operations like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.models.base import DensityModel
from charge3net.predict.symmetrise import NoSymmetryError, Symmetrised, symmetrise

_IMAGES_AT_ONCE = 1 << 15


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

    @property
    def description(self) -> str:
        """What it saves, in words."""
        return (
            f"{self.operations} operations, {len(self.representatives)} of {len(self.orbit)} voxels evaluated "
            f"({self.saving:.1f} times fewer)"
        )

    def spread(self, values: Shaped[ndarray, "irreducible"], out: Shaped[ndarray, "nx ny nz"]) -> None:
        """Copy the values at the representatives to all voxels, into ``out``."""
        orbit = self.orbit.reshape(out.shape)
        if out.flags.c_contiguous:
            np.take(values, orbit, out=out, mode="clip")  # "clip" writes into out without a buffer
            return
        for plane, names in zip(out, orbit, strict=True):
            plane[...] = values[names]


def irreducible_voxels(symmetrised: Symmetrised) -> GridSymmetry:
    """The voxels that the operations leave to compute.

    Raises:
        NoSymmetryError: if the operations do not form a group.
    """
    representatives, orbit = _orbits(symmetrised.matrices, symmetrised.shifts, symmetrised.grid.shape)
    return GridSymmetry(len(symmetrised.matrices), representatives, orbit)


def symmetrised_or_reason(model: DensityModel, geometry: Geometry, grid: Grid) -> Symmetrised | str:
    """The structure and the grid with exact symmetry, or why there is none that this model has."""
    if model.ignore_pbc:
        return "the model ignores periodic images"
    try:
        return symmetrise(geometry, grid, proper=any(p != 1 for p in model.channel_parity))
    except NoSymmetryError as reason:
        return str(reason)


def irreducible_or_reason(symmetrised: Symmetrised | str) -> GridSymmetry | str:
    """The voxels to evaluate, or why these are all of them."""
    if isinstance(symmetrised, str):
        return symmetrised
    try:
        return irreducible_voxels(symmetrised)
    except NoSymmetryError as reason:
        return str(reason)


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
        taken = not first.any() or orbit[images].max() >= 0
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
