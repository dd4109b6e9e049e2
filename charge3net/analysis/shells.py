"""Where the error of a density sits: by the distance to the nearest atom, and by the density itself.

Everything is an integral over a part of the cell, in electrons, so that parts add up and divide at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.nearest import nearest_atoms
from charge3net.density import Density

#: Width of a shell, Å.
SHELL = 0.1

#: Edges of the bins of the density, e/Å³: five a decade; what lies beyond is counted in the outermost.
DENSITY_EDGES = np.logspace(-5.0, 2.0, 36)


@dataclass(frozen=True, eq=False)
class ErrorParts:
    """Integrals over the parts of a cell.

    Attributes:
        edges: [parts + 1] limits of the parts: Å, or e/Å³.
        volume: [parts] Å³.
        reference: [parts] ∫|ρ| of the reference, electrons.
        error: [parts] ∫|ρ̂ − ρ|, electrons.
    """

    edges: Float[ndarray, "parts1"]
    volume: Float[ndarray, "parts"]
    reference: Float[ndarray, "parts"]
    error: Float[ndarray, "parts"]

    @property
    def share(self) -> Float[ndarray, "parts"]:
        """[parts] fraction of the whole error; zero throughout where there is none."""
        total = float(self.error.sum())
        return self.error / total if total > 0.0 else np.zeros_like(self.error)

    @property
    def relative(self) -> Float[ndarray, "parts"]:
        """[parts] error in % of the reference in the same part; NaN where that is empty."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.reference > 0.0, 100.0 * self.error / self.reference, np.nan)


def by_distance(
    reference: Density, prediction: Float[ndarray, "nx ny nz"], distances: Float[ndarray, "voxels"] | None = None
) -> ErrorParts:
    """Error in shells of :data:`SHELL` Å about the atoms, every voxel counted by its distance to the nearest.

    Args:
        reference: the true density with its atoms.
        prediction: [nx, ny, nz] e/Å³ on the same grid.
        distances: of :func:`distances_to_atoms`, where they are at hand.
    """
    distances = distances_to_atoms(reference) if distances is None else distances
    shells = int(np.floor(distances.max() / SHELL)) + 1
    slot = np.minimum((distances / SHELL).astype(int), shells - 1)
    return _parts(np.arange(shells + 1) * SHELL, slot, reference, prediction)


def by_density(reference: Density, prediction: Float[ndarray, "nx ny nz"]) -> ErrorParts:
    """Error by the value of the true density, in the bins of :data:`DENSITY_EDGES`.

    Args as for :func:`by_distance`.
    """
    return _parts(DENSITY_EDGES, _density_slot(reference.total.reshape(-1)), reference, prediction)


def density_histogram(density: Density) -> Float[ndarray, "bins"]:
    """[bins] volume in Å³ where the density lies in each bin of :data:`DENSITY_EDGES`; what is not positive lies in the
    first."""
    slot = _density_slot(density.total.reshape(-1))
    return np.bincount(slot, minlength=len(DENSITY_EDGES) - 1) * density.grid.voxel_volume


def distances_to_atoms(density: Density) -> Float[ndarray, "voxels"]:
    """[voxels] distance of each voxel to the nearest atom, Å."""
    return nearest_atoms(density.grid.points(), density.geometry).distances


def _density_slot(values: Float[ndarray, "voxels"]) -> ndarray:
    return np.clip(np.searchsorted(DENSITY_EDGES, values, side="right") - 1, 0, len(DENSITY_EDGES) - 2)


def _parts(edges: ndarray, slot: ndarray, reference: Density, prediction: ndarray) -> ErrorParts:
    true = np.asarray(reference.total, dtype=np.float64).reshape(-1)
    error = np.abs(np.asarray(prediction, dtype=np.float64).reshape(-1) - true)
    parts, voxel = len(edges) - 1, reference.grid.voxel_volume
    volume, held, wrong = (np.bincount(slot, weights=w, minlength=parts) for w in (None, np.abs(true), error))
    return ErrorParts(edges, volume * voxel, held * voxel, wrong * voxel)
