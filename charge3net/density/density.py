"""Density: values on a grid, with the structure they belong to, and methods for everyday work.

The methods that read, compute or draw live in higher rooms and are imported when they are called
(tests/test_architecture.py names each of them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from charge3net.density.results import BaderCharges, DensityError, View
from charge3net.density.values import DensityValues
from charge3net.errors import InputError
from charge3net.grid import Grid

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure
    from pymatgen.core import Structure
    from pymatgen.io.vasp.outputs import Chgcar
    from xarray import DataArray
else:  # annotations resolve without importing these packages
    Atoms = Chgcar = DataArray = Figure = Structure = Any

#: Standard deviation of the Gaussians that stand for ions in a potential, Å.
ION_WIDTH = 0.25


class Density(DensityValues):
    """Electron density on a grid.

    ``a + b``, ``a - b``, ``2 * a``, ``a / 2``, ``-a`` and ``abs(a)`` give densities; two densities must share the grid.
    In a notebook a density shows itself: a slice, and an isosurface that can be turned.

    Attributes:
        geometry: the atoms and the cell; ASE Atoms and pymatgen's Structure and Molecule are converted.
        grid: the mesh of the values.
        values: [channels, nx, ny, nz] in e/Å³; channel 0 the total density, channel 1, if there, the collinear
            magnetisation (up − down). [nx, ny, nz] is taken for one channel.
        augmentation: the PAW occupancy blocks of a CHGCAR, one text per channel, unchanged.
        provenance: its origin (file, model, settings); passed on, not used in computations.

    Raises:
        InputError: for values whose shape does not fit the grid, or not 1 or 2 channels.
    """

    @property
    def structure(self) -> Structure:
        """The atoms as a pymatgen Structure."""
        return self.geometry.to_structure()

    @classmethod
    def read(cls, path: str | Path, format: str | None = None) -> Density:
        """From a file whose format follows from the name; see :func:`charge3net.io.read_density`.

        Raises:
            InputError: for a file that cannot be read.
        """
        from charge3net.io import read_density

        return read_density(path, format)

    def write(self, path: str | Path, format: str | None = None) -> None:
        """Write to a file whose format follows from the name; see :func:`charge3net.io.write_density`."""
        from charge3net.io import write_density

        write_density(self, path, format)

    @classmethod
    def from_pymatgen(cls, volumetric: Any) -> Density:
        """From pymatgen's ``Chgcar`` or ``VolumetricData``, with the augmentation of a Chgcar.

        Raises:
            InputError: for a potential, or values of unknown unit.
        """
        from charge3net.io import density_of

        return density_of(volumetric)

    def to_pymatgen(self) -> Chgcar:
        """As pymatgen's ``Chgcar`` (values ρ·V, spin as ``diff``), with the augmentation.

        A Chgcar has no origin: atoms and grid are moved together, as in a CHGCAR.

        Raises:
            InputError: for a grid that is not the whole cell.
        """
        from charge3net.io import chgcar_of

        return chgcar_of(self)

    def to_ase(self) -> Atoms:
        """The atoms as ASE Atoms, moved so that voxel (0, 0, 0) is at the origin, with the grid's cell.

        ASE has no object for densities; its functions take the values beside the atoms:
        ``ase.io.cube.write_cube(file, density.to_ase(), density.total)``.
        """
        import ase

        geometry = self.geometry
        positions = geometry.positions - self.grid.origin
        return ase.Atoms(geometry.numbers, positions, cell=self.grid.cell, pbc=geometry.pbc)

    def to_xarray(self) -> DataArray:
        """As an xarray DataArray (channel, a, b, c) with fractional coordinates; cell and atoms as attributes.

        Raises:
            InputError: without xarray.
        """
        try:
            from xarray import DataArray as Array
        except ImportError as error:
            raise InputError("to_xarray needs the package xarray; pip install xarray") from error
        coordinates: dict[str, Any] = {name: np.arange(n) / n for name, n in zip("abc", self.grid.shape, strict=True)}
        coordinates["channel"] = ["total", "magnetisation"][: len(self.values)]
        about = {
            "units": "e/Å³",
            "cell": self.grid.cell.tolist(),
            "origin": self.grid.origin.tolist(),
            "numbers": self.geometry.numbers.tolist(),
            "positions": self.geometry.positions.tolist(),
        }
        return Array(self.values, coordinates, ["channel", "a", "b", "c"], name="density", attrs=about)

    def at(self, points: ArrayLike, order: int = 3) -> Float[ndarray, "points *channels"]:
        """The density between the voxels, by periodic splines.

        The error of cubic splines (order 3) falls with the fourth power of the spacing; docs/densities.md compares
        them with the exact Fourier series.

        Args:
            points: [n, 3] Cartesian positions in Å, inside the cell or not.
            order: degree of the splines, 0 (nearest voxel) to 5.

        Returns:
            [n] e/Å³, or [n, 2] (total, magnetisation) of a density with spin.

        Raises:
            InputError: for points that are not [n, 3] finite numbers, another order, or a grid over a part of a cell.
        """
        from charge3net.analysis.interpolation import interpolate

        self.check_whole_cell()
        places = _numbers(points)
        if places.ndim != 2 or places.shape[1] != 3 or not np.isfinite(places).all():
            raise InputError(f"points are [n, 3] finite Cartesian positions in Å, found {places.shape}")
        found = [interpolate(channel, self.grid, places, order) for channel in self.values]
        return found[0] if len(found) == 1 else np.stack(found, axis=1)

    def resample(self, grid: Grid | Sequence[int]) -> Density:
        """The density on another grid of the same cell, through its Fourier series; the integrals stay.

        A coarser grid leaves out the waves it cannot hold, so values near nuclei may become negative. The augmentation
        stays, since it does not depend on the grid.

        Args:
            grid: a Grid of the same cell (its origin may differ), or (nx, ny, nz).

        Raises:
            InputError: for another cell, or a grid over a part of a periodic cell.
        """
        from charge3net.analysis.interpolation import resampled

        self.check_whole_cell()
        if not isinstance(grid, Grid):
            grid = Grid(self.grid.cell, _three(grid), self.grid.origin)
        values = np.stack([resampled(channel, self.grid, grid) for channel in self.values])
        return replace(self, grid=grid, values=values)

    def integrate(
        self, centre: int | ArrayLike, radius: float, channel: Literal["total", "magnetisation"] = "total"
    ) -> float:
        """Electrons in a sphere, or its moment; exact for the Fourier series of the density, without cut voxels.

        Args:
            centre: index of an atom, or [3] a Cartesian position in Å.
            radius: Å.
            channel: ``"total"`` gives electrons, ``"magnetisation"`` μ_B.

        Raises:
            InputError: for an atom that is not there, a radius that is not positive, or a channel that is not there.
        """
        from charge3net.analysis.interpolation import integral_in_sphere

        self.check_whole_cell()
        values = self.total if channel == "total" else self.spin
        if values is None:
            raise InputError("this density has no magnetisation to integrate")
        if isinstance(centre, int | np.integer):
            if not 0 <= centre < len(self.geometry):
                raise InputError(f"atoms are counted from 0 to {len(self.geometry) - 1}, found {centre}")
            centre = self.geometry.positions[centre]
        place = _numbers(centre)
        if place.shape != (3,):
            raise InputError(f"a sphere has an atom's index or a position [3] as its centre, found {centre!r}")
        return integral_in_sphere(values, self.grid, place, float(radius))

    def error(self, reference: Density) -> DensityError:
        """How far this density is from a reference on the same grid: ε_mae in % and more.

        Raises:
            InputError: if the grids differ.
        """
        from charge3net.analysis.metrics import ErrorSums

        self.check_same_grid(reference)
        sums = ErrorSums.of(self.total, reference.total)
        both = self.spin is not None and reference.spin is not None
        spin = ErrorSums.of(self.values[1], reference.values[1]).nmae if both else None
        return DensityError(sums.nmae, sums.rmse, sums.largest, sums.electron_error(self.grid.voxel_volume), spin)

    def dipole(self, valence: Mapping[str, int] | None = None) -> Float[ndarray, "3"]:
        """Dipole moment of a molecule in a box, [3] in e·Å (1 e·Å = 4.80320 Debye), from − to +.

        Args:
            valence: electrons of each element that the density holds, ``{"O": 6}``, which is the charge of its ion;
                None finds them from ∫ρ.

        Raises:
            InputError: without vacuum along every cell vector, or for valences that cannot be found.
        """
        from charge3net.analysis.electrostatics import dipole_moment

        self.check_whole_cell()
        return dipole_moment(self, self.valence(valence))

    def electrostatic_potential(
        self, valence: Mapping[str, int] | None = None, width: float = ION_WIDTH
    ) -> Float[ndarray, "nx ny nz"]:
        """[nx, ny, nz] potential in V felt by a small positive charge: ions minus electrons, periodic, mean zero.

        Args:
            valence: as for :meth:`dipole`.
            width: standard deviation of the Gaussians that stand for the ions, Å. About 4 widths from a nucleus their
                potential is that of point charges.

        Raises:
            InputError: for valences that cannot be found, or a grid over a part of a cell.
        """
        from charge3net.analysis.electrostatics import electrostatic_potential

        self.check_whole_cell()
        return electrostatic_potential(self, self.valence(valence), width)

    def bader(self, valence: Mapping[str, int] | None = None) -> BaderCharges:
        """Electrons and charges of the atoms in Bader volumes; ``print`` gives a table.

        A valence density has no maximum at some nuclei. So cores are added to find the volumes, and the cusp of 1s at
        hydrogens; ``note`` says what was added. Only the density itself is counted.

        Args:
            valence: electrons of each element that the density holds, ``{"O": 6}``; None finds them from ∫ρ.

        Raises:
            InputError: for valences that cannot be found, or a grid over a part of a cell.
        """
        from charge3net.analysis.bader_charges import charges_with_cores

        self.check_whole_cell()
        return charges_with_cores(self, self.valence(valence))

    def plot(
        self, reference: Density | None = None, *, atoms: Sequence[int] | None = None, size: float | None = None
    ) -> Figure:
        """A slice as a matplotlib figure; with a reference both and their difference.

        Args:
            reference: a density of the same cell; it may have another grid.
            atoms: three atoms (from 0) that span the plane; None takes the plane with most atoms.
            size: side of the window in Å; None takes 7, or more where a molecule of the three atoms needs it.

        Raises:
            InputError: for atoms on a line or not there, different cells, or without the extra [plot].
        """
        from charge3net.plot import Plane, density_slice

        if atoms is None:
            plane = Plane.through_most_atoms(self.geometry, size or 7.0)
        else:
            plane = Plane.through_atoms(self.geometry, atoms, size)
        if reference is None:
            return density_slice(self, plane=plane, titles=(self.geometry.formula, ""))
        return density_slice(reference, self, plane, ("reference", self.geometry.formula))

    def view(
        self,
        reference: Density | None = None,
        *,
        channel: Literal["total", "magnetisation"] = "total",
        levels: float | Sequence[float] | None = None,
    ) -> View:
        """Isosurfaces with atoms, bonds and cell that can be turned: in a notebook, or ``.save("x.html")``.

        Args:
            reference: shows self − reference at ± a level.
            channel: ``"magnetisation"`` shows m at ± a level.
            levels: e/Å³, one or two; None chooses.

        Raises:
            InputError: for levels without a surface, different grids, no magnetisation, or without the extra [plot].
        """
        from charge3net.plot.view import density_view

        return density_view(self, reference, channel=channel, levels=levels)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """For notebooks: a slice, and an isosurface that turns; the line of ``repr`` where they cannot be drawn."""
        from charge3net.plot.notebook import notebook_bundle

        return {"text/plain": repr(self), **notebook_bundle(self)}

    def valence(self, given: Mapping[str, int] | None = None) -> dict[int, int]:
        """Atomic number → electrons of each neutral atom that the density holds, from ∫ρ.

        Args:
            given: for some or all elements, by symbol.

        Raises:
            InputError: if no usual valences sum up to ∫ρ, or several do.
        """
        from charge3net.analysis.valence import valence_of

        return valence_of(self.geometry, self.electrons(), given)


def _numbers(given: Any) -> Float[ndarray, "*shape"]:
    """As an array; of anything else a lone nan, which no check of a shape lets pass."""
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array(np.nan)


def _three(shape: Any) -> tuple[int, int, int]:
    found = _numbers(shape)
    if found.shape != (3,) or not (found >= 1).all() or (found % 1).any():
        raise InputError(f"a grid shape is three positive integers, found {shape}")
    nx, ny, nz = (int(n) for n in found)
    return nx, ny, nz
