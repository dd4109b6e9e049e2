"""Grid: the regular mesh of a density."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.units import HBAR2_2M

_TOO_MANY = 1e15


@dataclass(frozen=True, eq=False)
class Grid:
    """Periodic mesh: voxel (i, j, k) sits at ``origin + i/nx·a + j/ny·b + k/nz·c``.

    Attributes:
        cell: [3, 3] vectors a, b, c spanned by the whole mesh, as rows, in Å.
        shape: (nx, ny, nz) number of voxels along a, b, c.
        origin: [3] position of voxel (0, 0, 0) in Å.

    A *flat index* runs over voxels in C order (k fastest): ``(i·ny + j)·nz + k``.

    Raises:
        InputError: for a shape that is not three positive integers or holds 10¹⁵ voxels, or a cell without volume.
    """

    cell: Float[ndarray, "3 3"]
    shape: tuple[int, int, int]
    origin: Float[ndarray, "3"] = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        cell = np.array(self.cell, dtype=np.float64)
        origin = np.array(self.origin, dtype=np.float64)
        numbers = np.atleast_1d(np.asarray(self.shape))
        if numbers.shape != (3,) or numbers.dtype.kind not in "iuf" or (numbers < 1).any() or (numbers % 1).any():
            raise InputError(f"a grid shape is three positive integers, found {self.shape}")
        shape = tuple(int(n) for n in numbers)
        _check_size(shape)
        if cell.shape != (3, 3) or origin.shape != (3,) or not np.isfinite(cell).all() or not np.isfinite(origin).all():
            raise InputError("a grid needs a finite [3, 3] cell and [3] origin")
        if abs(np.linalg.det(cell)) < 1e-9:
            raise InputError("a grid needs a cell with a volume, found vectors in one plane")
        cell.setflags(write=False)
        origin.setflags(write=False)
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "shape", shape)

    def __len__(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def volume(self) -> float:
        """Volume of the cell in Å³."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in Å³."""
        return self.volume / len(self)

    @property
    def spacing(self) -> Float[ndarray, "3"]:
        """[3] distance between neighbouring voxels along a, b, c in Å."""
        return np.linalg.norm(self.cell, axis=1) / np.array(self.shape)

    def points(self, index: Int[ndarray, "points"] | None = None) -> Float[ndarray, "points 3"]:
        """Cartesian positions in Å of the voxels with these flat indices (all of them when None).

        Raises:
            InputError: for an index outside the grid.
        """
        index = np.arange(len(self)) if index is None else np.asarray(index)
        if index.size and (index.min() < 0 or index.max() >= len(self)):
            raise InputError(f"voxel indices must lie in 0 … {len(self) - 1}")
        ijk = np.stack(np.unravel_index(index, self.shape), axis=-1)
        return (ijk / np.array(self.shape)) @ self.cell + self.origin

    def same_as(self, other: Grid, tolerance: float = 1e-5) -> bool:
        """Whether the other grid has the same shape and, within ``tolerance`` Å, the same cell and origin."""
        return (
            self.shape == other.shape
            and np.allclose(self.cell, other.cell, rtol=0.0, atol=tolerance)
            and np.allclose(self.origin, other.origin, rtol=0.0, atol=tolerance)
        )

    @classmethod
    def from_spacing(cls, cell: Float[ndarray, "3 3"], spacing: float) -> Grid:
        """The coarsest FFT-friendly grid (factors 2, 3, 5, 7) whose spacing is at most ``spacing`` Å."""
        if not _positive(spacing):
            raise InputError(f"a grid spacing is a positive length in Å, found {spacing!r}")
        lengths = np.linalg.norm(np.asarray(cell, dtype=np.float64), axis=1)
        needed = np.maximum(np.ceil(lengths / spacing - 1e-9), 1)
        _check_size(needed)
        shape = tuple(fft_friendly(int(n)) for n in needed)
        return cls(cell, (shape[0], shape[1], shape[2]))

    @classmethod
    def like(cls, path: str | Path) -> Grid:
        """The grid of a density file (CHGCAR and similar files, cube, npz), whose values are not read.

        Raises:
            InputError: for a file that cannot be read.
        """
        from charge3net.io import read_grid

        return read_grid(path)

    @classmethod
    def from_encut(cls, cell: Float[ndarray, "3 3"], encut: float, factor: float = 2.0, fine: bool = True) -> Grid:
        """VASP's grid for a plane-wave cutoff.

        The smallest FFT-friendly n with ``n ≥ 2·factor·G_cut·|a|/2π``, ``G_cut = sqrt(ENCUT / (ħ²/2m))``:
        ``factor`` 2 is PREC = Accurate, 1.5 is PREC = Normal; ``fine`` doubles it to NGXF (the grid of a CHGCAR).
        Source: VASP manual, PREC and NGX. VASP may also round up for parallel FFTs; use ``--like`` to match a file.
        """
        if not _positive(encut):
            raise InputError(f"a plane-wave cutoff is a positive energy in eV, found {encut!r}")
        g_cut = np.sqrt(encut / HBAR2_2M)
        lengths = np.linalg.norm(np.asarray(cell, dtype=np.float64), axis=1)
        needed = np.ceil(factor * g_cut * lengths / np.pi - 1e-9)
        _check_size(needed)
        coarse = [fft_friendly(int(n)) for n in needed]
        shape = [2 * n if fine else n for n in coarse]
        return cls(cell, (shape[0], shape[1], shape[2]))


def _positive(value: object) -> bool:
    return isinstance(value, Real) and bool(np.isfinite(float(value))) and float(value) > 0


def _check_size(shape: Iterable[int] | Float[ndarray, "3"]) -> None:
    """Refuse grids that no computer holds, before anything is counted.

    Raises:
        InputError: for 10¹⁵ voxels and more.
    """
    voxels = math.prod(float(n) for n in shape)
    if voxels >= _TOO_MANY:
        raise InputError(f"a grid of {voxels:.2g} voxels does not fit in memory; take a coarser one")


def fft_friendly(n: int) -> int:
    """The smallest even integer ≥ n (or 1 for n = 1) with no prime factor above 7."""
    if n <= 1:
        return 1
    n += n % 2
    while True:
        rest = n
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 2
