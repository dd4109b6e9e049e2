"""The values of a density on a grid with their structure, and the arithmetic of densities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

D = TypeVar("D", bound="DensityValues")


@dataclass(frozen=True, eq=False, repr=False)
class DensityValues:
    """What :class:`charge3net.Density` stores; see there."""

    geometry: Geometry
    grid: Grid
    values: Float[ndarray, "*channels nx ny nz"]
    augmentation: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    __array_ufunc__ = None  # numpy's numbers leave `2 * density` to this class

    def __post_init__(self) -> None:
        object.__setattr__(self, "geometry", Geometry.of(self.geometry))
        values = np.asarray(self.values)
        if values.ndim == 3:
            values = values[None]
        if values.ndim != 4 or values.shape[1:] != self.grid.shape or values.shape[0] not in (1, 2):
            raise InputError(f"values must be [1 or 2, {', '.join(map(str, self.grid.shape))}], found {values.shape}")
        object.__setattr__(self, "values", values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Float[ndarray, "channels nx ny nz"]:
        """``numpy.asarray(density)`` is its values."""
        return np.array(self.values, dtype, copy=copy) if copy else np.asarray(self.values, dtype)

    def __repr__(self) -> str:
        """One line: formula, atoms, voxels, electrons, and the moment if there is one."""
        atoms, voxels = len(self.geometry), "×".join(map(str, self.grid.shape))
        parts = [
            self.geometry.formula,
            f"{atoms} atom{'s' * (atoms > 1)}",
            f"{voxels} voxels",
            f"{self.electrons():.4f} e",
            *([] if self.spin is None else [f"{self.magnetisation():z.4f} μ_B"]),
        ]
        return f"Density({', '.join(parts)})"

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

    def up(self: D) -> D:
        """The density of the spin-up electrons, (ρ + m)/2, as a density without spin.

        Raises:
            InputError: for a density without spin.
        """
        return self._spin_part(1.0)

    def down(self: D) -> D:
        """The density of the spin-down electrons, (ρ − m)/2, as a density without spin.

        Raises:
            InputError: for a density without spin.
        """
        return self._spin_part(-1.0)

    def _spin_part(self: D, sign: float) -> D:
        if self.spin is None:
            raise InputError("this density has no spin, so it cannot be split into up and down")
        values = 0.5 * (self.total + sign * self.spin)
        return replace(self, values=values[None], augmentation=(), provenance={})

    def difference(self: D, other: D) -> D:
        """self − other on the same grid (channels both have), e.g. predicted minus true.

        Raises:
            InputError: if the grids differ.
        """
        return self._combined(other, 1.0, -1.0)

    def check_same_grid(self, other: DensityValues) -> None:
        """Refuse a density on another grid.

        Raises:
            InputError: if numbers of voxels, cells or origins differ; the message says which. For anything that is no
                density.
        """
        if not isinstance(other, DensityValues):
            raise InputError(f"expected a Density, found {type(other).__name__}; Density.read(path) reads one")
        mine, theirs = self.grid, other.grid
        if mine.shape != theirs.shape:
            shapes = " and ".join("×".join(map(str, grid.shape)) for grid in (mine, theirs))
            raise InputError(f"the grids differ: {shapes} voxels; bring one to the other with resample(other.grid)")
        if not mine.same_as(theirs):
            off = float(np.abs(mine.cell - theirs.cell).max())
            what = f"their cells by up to {off:.2g} Å" if off > 1e-5 else "their origins"
            raise InputError(f"the grids differ: {what}; densities of one cell and origin are needed")

    def check_whole_cell(self) -> None:
        """Refuse a grid over a part of a periodic cell: the density then does not repeat with the grid.

        Raises:
            InputError: for such a grid.
        """
        if self.geometry.pbc.any() and not np.allclose(self.geometry.cell, self.grid.cell, rtol=0.0, atol=1e-4):
            raise InputError("this needs a grid over the whole periodic cell; this density's grid spans another one")

    def _combined(self: D, other: D, mine: float, theirs: float) -> D:
        self.check_same_grid(other)
        channels = min(len(self.values), len(other.values))
        values = mine * self.values[:channels] + theirs * other.values[:channels]
        return replace(self, values=values, augmentation=(), provenance={})

    def __add__(self: D, other: D) -> D:
        """Sum on the same grid, of the channels both have; the atoms of the first; without augmentation."""
        return self._combined(other, 1.0, 1.0) if isinstance(other, DensityValues) else NotImplemented

    def __radd__(self: D, other: int) -> D:
        """``sum`` of densities begins with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __sub__(self: D, other: D) -> D:
        """:meth:`difference`."""
        return self.difference(other) if isinstance(other, DensityValues) else NotImplemented

    def __mul__(self: D, factor: float | int) -> D:
        """Every channel times a number; without augmentation."""
        if not isinstance(factor, Real):
            return NotImplemented
        return replace(self, values=self.values * float(factor), augmentation=(), provenance={})

    def __rmul__(self: D, factor: float | int) -> D:
        """As :meth:`__mul__`."""
        return self * factor

    def __truediv__(self: D, divisor: float | int) -> D:
        """Every channel divided by a number; without augmentation."""
        return self * (1.0 / divisor) if isinstance(divisor, Real) else NotImplemented

    def __neg__(self: D) -> D:
        """−ρ, −m."""
        return self * -1.0

    def __abs__(self: D) -> D:
        """|ρ|, |m|, voxel by voxel."""
        return replace(self, values=np.abs(self.values), augmentation=(), provenance={})
