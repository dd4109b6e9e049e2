"""Density: values on a grid, with the structure they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid


@dataclass(frozen=True, eq=False)
class Density:
    """Electron density on a grid.

    Attributes:
        geometry: the atoms and the cell.
        grid: the mesh of the values.
        values: [channels, nx, ny, nz] in e/Å³; channel 0 the total density, channel 1, if there, the collinear
            magnetisation (up − down). [nx, ny, nz] is taken for one channel.
        augmentation: the PAW occupancy blocks of a CHGCAR, one text per channel, unchanged.
        provenance: its origin (file, model, settings); passed on, not used in computations.

    Raises:
        InputError: for values whose shape does not fit the grid, or not 1 or 2 channels.
    """

    geometry: Geometry
    grid: Grid
    values: Float[ndarray, "*channels nx ny nz"]
    augmentation: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim == 3:
            values = values[None]
        if values.ndim != 4 or values.shape[1:] != self.grid.shape or values.shape[0] not in (1, 2):
            raise InputError(f"values must be [1 or 2, {', '.join(map(str, self.grid.shape))}], found {values.shape}")
        object.__setattr__(self, "values", values)

    @property
    def structure(self) -> Any:
        """The atoms as a pymatgen Structure."""
        return self.geometry.to_structure()

    @property
    def total(self) -> Float[ndarray, "nx ny nz"]:
        """[nx, ny, nz] total density in e/Å³."""
        return self.values[0]

    @property
    def spin(self) -> Float[ndarray, "nx ny nz"] | None:
        """[nx, ny, nz] magnetisation density (up − down) in e/Å³, or None without spin."""
        return self.values[1] if len(self.values) == 2 else None

    def electrons(self) -> float:
        """∫ρ over the grid: the number of electrons the density holds."""
        return float(self.total.sum(dtype=np.float64) * self.grid.voxel_volume)

    def magnetisation(self) -> float | None:
        """∫m over the grid in μ_B, or None without spin."""
        return None if self.spin is None else float(self.spin.sum(dtype=np.float64) * self.grid.voxel_volume)

    def difference(self, other: Density) -> Density:
        """self − other on the same grid (channels both have), e.g. predicted minus true.

        Raises:
            InputError: if the grids differ.
        """
        if not self.grid.same_as(other.grid):
            raise InputError(f"the grids differ: {self.grid.shape} against {other.grid.shape}, or another cell")
        channels = min(len(self.values), len(other.values))
        return replace(self, values=self.values[:channels] - other.values[:channels], augmentation=(), provenance={})

    def write(self, path: str | Path, format: str | None = None) -> None:
        """Write to a file whose format follows from the name; see :func:`charge3net.io.write_density`."""
        from charge3net.io import write_density

        write_density(self, path, format)
