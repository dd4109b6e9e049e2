"""Densities from and to files."""

from __future__ import annotations

from io import BufferedIOBase
from pathlib import Path

from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.abinit import read_abinit, read_abinit_head
from charge3net.io.chgcar import read_chgcar, read_chgcar_grid, read_chgcar_magnetisation, write_chgcar
from charge3net.io.cube import read_cube, read_cube_head, write_cube, write_cube_field
from charge3net.io.files import Source, atomic_output, guarded, open_source, split_compression
from charge3net.io.formats import density_format, grid_format, other_readers
from charge3net.io.json_files import read_json_density
from charge3net.io.npz import read_npz, read_npz_grid, write_npz
from charge3net.io.qe.save_folder import read_save_folder, read_save_grid

_READERS = {
    "chgcar": read_chgcar,
    "cube": read_cube,
    "npz": read_npz,
    "abinit": read_abinit,
    "json": read_json_density,
}
_WRITERS = {"chgcar": write_chgcar, "cube": write_cube, "npz": write_npz}


def read_density(path: str | Path, format: str | None = None) -> Density:
    """Read a density, in e/Å³ whatever the file's unit.

    Args:
        path: a CHGCAR (also AECCAR0/1/2, CHG, PARCHG, ``*.chgcar``, ``*.vasp``), cube or npz file, or the JSON of a
            pymatgen Chgcar, known by its name; compressed when it ends in ``.gz``, ``.xz``, ``.bz2``, ``.lz4`` or
            ``.zz`` (zlib). Also the folder ``PREFIX.save`` of Quantum ESPRESSO (or the ``charge-density.dat`` in it),
            and ``*_DEN`` of ABINIT, and files with a suffix that another package reads (docs/extend.md).
        format: ``"chgcar"``, ``"cube"``, ``"npz"``, ``"qe"``, ``"abinit"`` or such a suffix when the name does not say
            it.

    Raises:
        InputError: in one sentence, which file, what was expected, what was found.
    """
    kind = density_format(path, format)
    if kind == "qe":
        with guarded(str(path)):
            return read_save_folder(path)
    if kind not in _READERS:
        return read_other_density(Path(path), kind)
    with open_source(path) as source:
        return _READERS[kind](source)


def read_other_density(path: Path, kind: str) -> Density:
    """A density in a format of another package; see :data:`charge3net.io.formats.READERS`.

    Raises:
        InputError: for a compressed file, whatever goes wrong in the reader, or a reader that returns something else.
    """
    if split_compression(path.name)[1]:
        raise InputError(f"{path}: files of the format {kind} are not read compressed; decompress it first")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    reader = other_readers()[kind]
    read = reader.load()
    with guarded(str(path)):
        density = read(path)
        if not isinstance(density, Density):
            raise InputError(f"{reader.value} of {reader.package} must return a Density, not {type(density).__name__}")
        return density


def read_density_stream(stream: BufferedIOBase, name: str, format: str | None = None) -> Density:
    """The same from an opened file, such as a member of a tar archive.

    Args:
        stream: the bytes as they are stored, so compressed if the name says so.
        name: decides on format and compression; used in messages.
        format: ``"chgcar"``, ``"cube"`` or ``"npz"`` when the name does not say it.

    Raises:
        InputError: as :func:`read_density`.
    """
    kind = density_format(name, format)
    if kind not in _READERS:
        raise InputError(f"{name}: a density of the format {kind} is read from its path, not from a stream")
    with guarded(name):
        return _READERS[kind](Source(stream, name))


def read_magnetisation_vector(path: str | Path) -> Float[ndarray, "3 nx ny nz"]:
    """[3, nx, ny, nz] magnetisation of a non-collinear (spin-orbit) CHGCAR in μ_B/Å³, components as in the file.

    Raises:
        InputError: for a file that cannot be read, or is not non-collinear.
    """
    with open_source(path) as source:
        return read_chgcar_magnetisation(source)


def read_grid(path: str | Path, format: str | None = None) -> Grid:
    """The grid of a density file, or of a potential (LOCPOT); its values are not read.

    Arguments and errors as in :func:`read_density`.
    """
    kind = grid_format(path, format)
    if kind == "qe":
        with guarded(str(path)):
            return read_save_grid(path)
    if kind not in _READERS:
        return read_other_density(Path(path), kind).grid
    with open_source(path) as source:
        if kind == "chgcar":
            return read_chgcar_grid(source)
        if kind == "abinit":
            return read_abinit_head(source).grid
        if kind == "cube":
            return read_cube_head(source)[2]
        return read_npz_grid(source) if kind == "npz" else read_json_density(source).grid


def write_density(density: Density, path: str | Path, format: str | None = None) -> None:
    """Write a density; the file appears whole or not at all.

    Args:
        density: what to write. CHGCAR holds 11 digits per value and the whole cell, cube 6 digits, npz everything.
        path: the name decides on format and compression, as in :func:`read_density` (``.zz`` is only read).
        format: ``"chgcar"``, ``"cube"`` or ``"npz"`` when the name does not say it.

    Raises:
        InputError: for a name without a known format, a folder that does not exist, values that are not finite, and
            densities that the format cannot hold.
    """
    kind = density_format(path, format)
    if kind not in _WRITERS:
        if kind not in ("qe", "abinit"):
            raise InputError(f"{path}: the format {kind} is only read; write chgcar, cube or npz")
        raise InputError(
            f"{path}: a start for Quantum ESPRESSO or ABINIT also needs the input or a density file of the run; "
            "charge3net predict writes it (docs/restart.md)"
        )
    try:
        with atomic_output(path) as stream:
            _WRITERS[kind](stream, density)
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from None


def write_field(
    values: Float[ndarray, "nx ny nz"], geometry: Geometry, grid: Grid, path: str | Path, what: str
) -> None:
    """Write a scalar field that is not a density (a derivative, an indicator) as a cube file, whole or not at all.

    Args:
        values: [nx, ny, nz], written as they are, whatever their unit; 6 digits.
        geometry, grid: the atoms, and where the values live.
        path: ends in .cube; compressed as in :func:`read_density`.
        what: the field and its unit, for the head of the file.

    Raises:
        InputError: for another name, a folder that does not exist, or values that are not finite.
    """
    if density_format(path) != "cube":
        raise InputError(f"{path}: fields are written as cube files; give a name that ends in .cube")
    try:
        with atomic_output(path) as stream:
            write_cube_field(stream, geometry, grid, values, what)
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from None
