"""CHGCAR and files of the same layout: AECCAR0/1/2, CHG, PARCHG.

A head like a POSCAR's, the mesh, then ρ·V (e per cell, V the cell's volume) with the first axis fastest, the PAW
augmentation occupancies, and in spin-polarised files the moments of the atoms and the same again for up − down.
Source: VASP wiki, CHGCAR.
"""

from __future__ import annotations

import logging
import math
import re
from dataclasses import replace
from io import BufferedIOBase

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.files import BLANK_LINES, Source
from charge3net.io.number_stream import ValueReader
from charge3net.io.numbers.columns import Columns
from charge3net.io.numbers.compiled import compiled_reading, turn_planes
from charge3net.io.numbers.format import NumberFormat, write_numbers
from charge3net.io.numbers.fortran import parse_integers, parse_numbers
from charge3net.io.poscar import format_poscar, read_poscar, species_runs

logger = logging.getLogger(__name__)

_AUGMENTATION = re.compile(rb"\s*augmentation occupancies(?: \(imaginary part\))?\s*(\d+|\*+)\s+(\d+)\s*")
_NUMBERS = re.compile(rb"[\d\s.+\-EeDd*]*")
_PLANES = 8  # planes transposed together, or a multiple: whole cache lines of the result
_PLANE_VALUES = 1 << 16
_LARGE_PAGE = 1 << 21  # bytes, on most machines
_FORMAT = NumberFormat(digits=11, width=18, zero_lead=True)
_PER_LINE = 5


def read_chgcar(source: Source) -> Density:
    """Density from a file in CHGCAR layout: the total, and the magnetisation of a collinear calculation.

    Of a non-collinear file (four grids) only the total density is returned, with a warning;
    :func:`read_chgcar_magnetisation` gives the vector.

    Raises:
        InputError: for a file that is cut short or holds something else.
    """
    title, geometry, grid, values, texts = _read_grids(source)
    if len(values) == 4:
        source.warn("a non-collinear density: only the total is read, without the magnetisation vector")
        values, texts = values[:1], texts[:1]
    augmentation = tuple(texts) if any(text.strip() for text in texts) else ()
    return Density(geometry, grid, values, augmentation, {"file": source.name, "format": "chgcar", "title": title})


def read_chgcar_magnetisation(source: Source) -> Float[ndarray, "3 nx ny nz"]:
    """[3, nx, ny, nz] magnetisation vector (x, y, z as in the file) of a non-collinear CHGCAR, μ_B/Å³.

    Raises:
        InputError: for a file with another number of grids than four.
    """
    values = _read_grids(source)[3]
    if len(values) != 4:
        raise source.error(f"holds {len(values)} grids; a magnetisation vector needs the four of a non-collinear file")
    return values[1:]


def _read_grids(
    source: Source,
) -> tuple[str, Geometry, Grid, Float[ndarray, "channels nx ny nz"], list[str]]:
    """Title, structure, grid, the one, two or four sets of values in e/Å³, and the text after each."""
    title, geometry = read_poscar(source)
    shape = _read_shape(source)
    voxels = math.prod(shape)
    source.check_room(2 * voxels, f"the grid {_times(shape)} needs {voxels} numbers")
    grid = Grid(geometry.cell, shape)
    values = [_allocate(source, 1, grid)]
    texts: list[str] = []
    vectors = False
    names = ["", "the magnetisation on ", "the third of four grids, ", "the last of four grids, "]
    while True:
        what = f"{names[len(texts)]}the grid {_times(shape)}"
        layout = _read_channel(source, grid, what, values[-1][-1])
        text, again, moments = _read_tail(source, shape, len(geometry), layout)
        vectors |= moments == 3 * len(geometry)
        texts.append(text.decode("ascii", "replace"))
        if not again:
            break
        if len(texts) == 4:
            raise source.error("holds more than four grids")
        if len(texts) == 1:
            both = _allocate(source, 2, grid)
            both[0] = values[0][0]
            values = [both]
        else:
            values.append(_allocate(source, 1, grid))
    if vectors and len(texts) != 4:
        raise source.error(f"expected {len(geometry)} moments of atoms before the next grid, found {3 * len(geometry)}")
    if len(texts) == 3:
        raise source.error("holds three grids; one, two (spin) or four (non-collinear) are expected")
    return title, geometry, grid, values[0] if len(values) == 1 else np.concatenate(values), texts


def read_chgcar_grid(source: Source) -> Grid:
    """The grid of a file in CHGCAR layout; its values are not read.

    Raises:
        InputError: for a head that cannot be read.
    """
    _, geometry = read_poscar(source)
    return Grid(geometry.cell, _read_shape(source))


def write_chgcar(stream: BufferedIOBase, density: Density) -> None:
    """Write in CHGCAR layout: VASP 5 head, ρ·V with 11 digits, augmentation as in the density.

    The atoms keep their order; every run of one element gets its own count, since VASP pairs the atoms of a POSCAR, of
    its potentials and of a CHGCAR by their order.
    Numbers below 1e-98 become 0: Fortran's three-digit exponents are not understood by all readers.

    Raises:
        InputError: for a grid that is not the whole cell, and values that are not finite.
    """
    density = placed_at_origin(density)
    geometry = density.geometry
    title = str(density.provenance.get("title") or " ".join(species_runs(geometry.numbers)[0]))
    stream.write(format_poscar(title, geometry).encode() + b"\n")
    shape = density.grid.shape
    for channel, values in enumerate(density.values):
        stream.write("".join(f" {n:4d}" for n in shape).encode() + b"\n")
        planes = (
            np.asarray(values[:, :, z : z + _PLANES], dtype=np.float64).T.reshape(-1) * density.grid.volume
            for z in range(0, shape[2], _PLANES)
        )
        write_numbers(stream, planes, _FORMAT, _PER_LINE)
        text = density.augmentation[channel] if channel < len(density.augmentation) else ""
        stream.write(text.encode() + (b"" if text.endswith("\n") or not text else b"\n"))


def _read_shape(source: Source) -> tuple[int, int, int]:
    """The three numbers of voxels, after the blank line that ends the head."""
    line = source.content_line()
    if not line:
        raise source.error("the file ends where the grid (three numbers of voxels) was expected")
    shape = parse_integers(line)
    if len(shape) != 3 or min(shape) < 1:
        found = line[:40].decode("utf-8", "replace").strip()
        raise source.error(f"expected the grid (three numbers of voxels) after the atoms, found {found!r}")
    return shape[0], shape[1], shape[2]


def _allocate(source: Source, channels: int, grid: Grid) -> Float[ndarray, "channels nx ny nz"]:
    shape, size = (channels, *grid.shape), channels * len(grid)
    try:
        if size * 8 < 2 * _LARGE_PAGE:
            return np.empty(shape)
        # From the start of a large page on: numpy asks the system for large pages, which costs few page faults.
        room = np.empty(size + 2 * _LARGE_PAGE // 8)
        start = -room.ctypes.data % _LARGE_PAGE // 8
        return room[start : start + size].reshape(shape)
    except (MemoryError, ValueError):
        raise source.error(f"the grid {_times(grid.shape)} does not fit into memory") from None


def _read_channel(source: Source, grid: Grid, what: str, values: Float[ndarray, "nx ny nz"]) -> Columns | None:
    """Fill ``values`` with ρ in e/Å³ from ρ·V with the first axis fastest; returns how the numbers are printed."""
    nx, ny, nz = grid.shape
    planes_at_once = min(max(_PLANE_VALUES // (nx * ny * _PLANES), 1) * _PLANES, nz)
    planes = np.empty(planes_at_once * nx * ny)
    reader = ValueReader(source, len(grid), what)
    for z in range(0, nz, planes_at_once):
        part = planes[: (nz - z) * nx * ny]
        reader.fill(part)
        _turn(part.reshape(-1, ny, nx), grid.volume, values, z)
    return reader.columns


def _turn(planes: Float[ndarray, "planes ny nx"], volume: float, values: Float[ndarray, "nx ny nz"], z: int) -> None:
    """Planes with the first axis fastest, divided by the volume, into ``values`` from z on."""
    handle = compiled_reading()
    if handle is not None and values.flags.c_contiguous:
        turn_planes(handle, planes, volume, values, z)
    else:
        np.divide(planes.T, volume, out=values[:, :, z : z + len(planes)])


def _read_tail(
    source: Source, shape: tuple[int, int, int], atoms: int, layout: Columns | None
) -> tuple[bytes, bool, int]:
    """The text after a grid, verbatim, whether another grid follows, and the number of moments.

    After a grid come augmentation blocks of all atoms or of none, and one number per atom (its moment) before the
    next grid.
    """
    lines: list[bytes] = []
    atom, missing, moments, blank = 0, 0, 0, 0
    while line := source.line():
        header = _AUGMENTATION.fullmatch(line)
        integers = parse_integers(line)
        if header and not missing:
            atom = _next_atom(source, header, atom, atoms)
            missing = int(header[2][:18])
        elif len(integers) == 3 and not missing:
            if tuple(integers) != shape:
                raise source.error(f"expected another grid of {_times(shape)} voxels, found {_times(integers)}")
            break
        elif not line.strip():
            blank += 1
            if blank > BLANK_LINES:
                raise source.error("blank lines without end follow the grid")
        elif not missing and not atom and layout is not None and layout.like(line):
            raise source.error(
                f"more numbers than the grid has voxels: {line[:60].decode().strip()!r} follows the last"
            )
        elif _NUMBERS.fullmatch(line) and (missing or moments < 3 * atoms):
            _check_numbers(source, line)
            count = len(line.split())
            moments += 0 if missing else count
            missing -= count if missing else 0
        else:
            _refuse_line(source, line, atom, missing, lines)
        if missing < 0:
            raise source.error(f"the augmentation of atom {atom} has {-missing} numbers more than its header announces")
        lines.append(line)
    if missing:
        raise source.error(f"the augmentation of atom {atom} of {atoms} lacks {missing} numbers where the file ends")
    if atom not in (0, atoms):
        raise source.error(f"augmentation of {atoms} atoms was expected, found that of atoms up to {atom}")
    if moments and not line:
        if not atom:
            raise source.error(f"more numbers than the grid has voxels: {moments} follow the last one")
        raise source.error("expected the magnetisation grid after the atoms' moments, but the file ends")
    if moments not in (0, atoms, 3 * atoms):
        raise source.error(f"expected {atoms} moments of atoms before the next grid, found {moments}")
    text = b"".join(lines)
    return (text if text.strip() else b""), bool(line), moments


def _next_atom(source: Source, header: re.Match[bytes], atom: int, atoms: int) -> int:
    """The atom of an augmentation header, which must be the next one (or, for an imaginary part, the same)."""
    imaginary = b"imaginary" in header[0]
    expected = atom if imaginary else atom + 1
    found = expected if header[1].startswith(b"*") else int(header[1][:18])
    if expected > atoms:
        raise source.error(f"augmentation of {atoms} atoms was expected, found more blocks: atom {found}")
    if found != expected:
        problem = "is missing" if found > expected else "is out of order or occurs twice"
        raise source.error(
            f"the augmentation of atom {min(found, expected)} {problem}: expected atom {expected}, found {found}"
        )
    return found


def _check_numbers(source: Source, line: bytes) -> None:
    try:
        parse_numbers(line)
    except ValueError as error:
        raise source.error(f"expected numbers after the grid, found {error}") from None


def _refuse_line(source: Source, line: bytes, atom: int, missing: int, before: list[bytes]) -> None:
    found = line[:60].decode("ascii", "replace").strip()
    if missing:
        raise source.error(f"the augmentation of atom {atom} lacks {missing} numbers, found {found!r}")
    if b"augmentation" in line:
        raise source.error(f"expected 'augmentation occupancies ATOM COUNT' for atom {atom + 1}, found {found!r}")
    if not before and _NUMBERS.fullmatch(line):
        raise source.error(f"more numbers than the grid has voxels: {found!r} follows the last one")
    raise source.error(f"expected augmentation, a second grid or the end of the file after the grid, found {found!r}")


def _times(shape: tuple[int, ...] | list[int]) -> str:
    return " x ".join(map(str, shape))


def placed_at_origin(density: Density) -> Density:
    """The density with its grid's corner at the origin and the grid's cell as the structure's."""
    geometry, grid = density.geometry, density.grid
    if geometry.pbc.any() and not np.allclose(geometry.cell, grid.cell, rtol=0.0, atol=1e-5):
        raise InputError("a CHGCAR holds the whole cell, but this grid spans another one; write a cube or npz file")
    if grid.origin.any():
        logger.info("CHGCAR has no origin: atoms and grid are moved together by %s Å", (-grid.origin).tolist())
    moved = Geometry(geometry.numbers, geometry.positions - grid.origin, grid.cell, np.ones(3, dtype=bool))
    return replace(density, geometry=moved, grid=Grid(grid.cell, grid.shape))
