"""Gaussian cube files: any origin, lengths in Bohr (or Å), densities in e/Bohr³, last axis fastest.

Source: the description of cubegen in the Gaussian manual. A cube file does not say what is periodic; files written
here say it in their second line, others are taken as periodic along all three axes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from io import BufferedIOBase

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import MAX_ATOMIC_NUMBER, Geometry
from charge3net.grid import Grid
from charge3net.io.files import Source
from charge3net.io.number_stream import ValueReader
from charge3net.io.numbers.format import NumberFormat, write_numbers
from charge3net.io.numbers.fortran import parse_integers, parse_numbers
from charge3net.io.poscar import one_line
from charge3net.units import BOHR, E_PER_BOHR3

_FORMAT = NumberFormat(digits=6, width=13, zero_lead=False)
_BLOCK = 1 << 17  # values read at a time
_PER_LINE = 6
_LARGEST_COUNT = 10**9
_PERIODIC = re.compile(r"pbc ([TF]) ([TF]) ([TF])$")


def read_cube(source: Source) -> Density:
    """Density from a cube file with one data set, or two: total and magnetisation.

    Raises:
        InputError: for a file that is cut short, holds something else, or announces an orbital.
    """
    title, geometry, grid, data_sets = read_cube_head(source)
    _refuse_orbital(source, title, data_sets)
    channels = len(data_sets)
    if channels not in (1, 2):
        raise source.error(f"holds {channels} data sets; a density has one, or two with the magnetisation")
    what = f"the grid {' x '.join(map(str, grid.shape))}" + (" with two data sets" if channels == 2 else "")
    source.check_room(2 * channels * math.prod(grid.shape), f"{what} needs {channels * math.prod(grid.shape)} numbers")
    values = np.empty((len(grid), channels))
    flat, row = values.reshape(-1), grid.shape[2] * channels
    reader = ValueReader(source, flat.size, what, row)
    block = max(_BLOCK // row, 1) * row
    for start in range(0, flat.size, block):
        part = flat[start : start + block]
        reader.fill(part)
        part *= E_PER_BOHR3
    if source.content_line():
        raise source.error(f"more numbers than the {flat.size} that {what} needs")
    ordered = np.ascontiguousarray(values.T).reshape(channels, *grid.shape)
    return Density(geometry, grid, ordered, provenance={"file": source.name, "format": "cube", "title": title})


def read_cube_head(source: Source) -> tuple[str, Geometry, Grid, list[int]]:
    """Title, structure, grid and identifiers of the data sets; the source is left before the first value.

    A file without a list of data sets has one, with the identifier 0. Lengths are in Å where the numbers of voxels are
    negative, and where the comment says so.

    Raises:
        InputError: for a head that cannot be read, or a dummy or ghost atom.
    """
    title = source.text_line("a title")
    comment = source.text_line("a second line of comment")
    first = _numbers(source, "the number of atoms and the origin", 4, 5)
    atoms, counts, steps = _count(source, first[0], "the number of atoms"), [], []
    for i in (1, 2, 3):
        line = _numbers(source, f"number of voxels and step {i}", 4, 4)
        counts.append(_count(source, line[0], f"the number of voxels along axis {i}"))
        steps.append(line[1:])
    per_point = _count(source, first[4], "the number of values per voxel") if len(first) > 4 else 1
    if min(counts) < 0 < max(counts) or not all(counts):
        raise source.error(f"the numbers of voxels {counts} mix lengths in Bohr and in Å, or hold a zero")
    length = 1.0 if counts[0] < 0 or _says_angstrom(source, title, comment) else BOHR
    shape = tuple(abs(n) for n in counts)
    source.check_room(10 * abs(atoms), f"{abs(atoms)} atoms are announced")
    rows = [_numbers(source, f"atom {i + 1} of {abs(atoms)}", 5, 5) for i in range(abs(atoms))]
    table = np.array(rows).reshape(-1, 5)
    data_sets = _data_sets(source) if atoms < 0 else [0]
    if per_point > 1:
        data_sets = data_sets * per_point
    try:
        cell = np.array(steps) * np.array(shape)[:, None] * length
        grid = Grid(cell, (shape[0], shape[1], shape[2]), first[1:4] * length)
        return title, _geometry(source, table, length, grid, comment), grid, data_sets
    except InputError as error:
        raise source.error(str(error)) from None


def _geometry(source: Source, table: Float[ndarray, "atoms 5"], length: float, grid: Grid, comment: str) -> Geometry:
    """The atoms: number, charge and position of each."""
    numbers = [_count(source, number, "an atomic number") for number in table[:, 0]]
    if not numbers:
        raise InputError("a structure needs at least one atom")
    for i, number in enumerate(numbers):
        if not 1 <= number <= MAX_ATOMIC_NUMBER:
            kind = "a dummy or ghost atom" if number == 0 else "no element"
            raise InputError(f"atom {i + 1} has the atomic number {number}: {kind}; remove it from the file")
    periodic = _PERIODIC.search(comment)
    pbc = np.array([flag == "T" for flag in periodic.groups()] if periodic else [True] * 3)
    return Geometry(np.array(numbers), table[:, 2:] * length, grid.cell, pbc)


def _says_angstrom(source: Source, title: str, comment: str) -> bool:
    """Whether one of the two lines of comment says that lengths are in Å, against the format's convention."""
    if not re.search(r"\b(angstroms?|ångströms?)\b", f"{title} {comment}", re.IGNORECASE):
        return False
    source.warn("lengths are taken in Å, as its comment says, although the numbers of voxels are positive (Bohr)")
    return True


def _refuse_orbital(source: Source, title: str, data_sets: list[int]) -> None:
    """Refuse a file whose single data set has the number of an orbital."""
    if len(data_sets) == 1 and data_sets[0] > 1:
        announced = f"a negative number of atoms announces it, the title is {title[:40]!r}"
        raise source.error(f"holds orbital {data_sets[0]}, not a density ({announced})")


def write_cube(stream: BufferedIOBase, density: Density) -> None:
    """Write as a cube file in Bohr and e/Bohr³, 6 digits per value; a magnetisation becomes the second data set.

    Lengths have 12 decimals, more than the format's traditional 6, so that the volume keeps its digits.

    Raises:
        InputError: for values that are not finite.
    """
    channels = len(density.values)
    title = str(density.provenance.get("title") or "electron density")
    what = "total density and magnetisation (up - down)" if channels == 2 else "electron density"
    planes = (
        np.moveaxis(np.asarray(density.values[:, x], dtype=np.float64), 0, -1).reshape(-1) / E_PER_BOHR3
        for x in range(density.grid.shape[0])
    )
    _write(stream, density.geometry, density.grid, planes, (title, f"{what} in e/Bohr^3"), channels)


def write_cube_field(
    stream: BufferedIOBase, geometry: Geometry, grid: Grid, values: Float[ndarray, "nx ny nz"], what: str
) -> None:
    """Write any scalar field as a cube file, 6 digits per value, lengths in Bohr.

    Args:
        stream: where to.
        geometry, grid: atoms, and where the values live.
        values: [nx, ny, nz] written as they are, whatever their unit.
        what: the field and its unit, for the head of the file.

    Raises:
        InputError: for values that are not finite.
    """
    planes = (np.asarray(plane, dtype=np.float64).reshape(-1) for plane in values)
    _write(stream, geometry, grid, planes, (what, what), 1)


def _write(
    stream: BufferedIOBase,
    geometry: Geometry,
    grid: Grid,
    planes: Iterable[Float[ndarray, "values"]],
    texts: tuple[str, str],
    channels: int,
) -> None:
    """Head (title and comment are ``texts``) and values, plane by plane along the first axis."""
    pbc = " ".join("T" if flag else "F" for flag in geometry.pbc)
    lines = [one_line(texts[0]), f"{one_line(texts[1])}; written by charge3net; pbc {pbc}"]
    lines.append(f"{-len(geometry) if channels == 2 else len(geometry):5d}" + _triple(grid.origin / BOHR))
    steps = grid.cell / np.array(grid.shape)[:, None] / BOHR
    lines += [f"{n:5d}" + _triple(step) for n, step in zip(grid.shape, steps, strict=True)]
    lines += [
        f"{z:5d} {min(z, MAX_ATOMIC_NUMBER):17.12f}" + _triple(position / BOHR)
        for z, position in zip(geometry.numbers, geometry.positions, strict=True)
    ]
    if channels == 2:
        lines.append("    2    1    2")
    stream.write(("\n".join(lines) + "\n").encode())
    write_numbers(stream, planes, _FORMAT, _PER_LINE, row=grid.shape[2] * channels)


def _triple(vector: Float[ndarray, "3"]) -> str:
    return "".join(f" {x:17.12f}" for x in vector)


def _numbers(source: Source, what: str, least: int, most: int) -> Float[ndarray, "numbers"]:
    line = source.text_line(what)
    try:
        values = np.array(parse_numbers(line.encode()))
        if least <= len(values) <= most and np.isfinite(values).all():
            return values
    except ValueError:
        pass
    raise source.error(f"expected {what} ({least} numbers), found {line[:60]!r}")


def _count(source: Source, value: float, what: str) -> int:
    """A whole number of a size that a file can hold."""
    if value != round(value) or abs(value) > _LARGEST_COUNT:
        raise source.error(f"expected {what}, a whole number, found {value:g}")
    return int(value)


def _data_sets(source: Source) -> list[int]:
    """The identifiers in the list ``count id id …`` behind the atoms."""
    identifiers = parse_integers(source.text_line("the list of data sets").encode())
    if not identifiers or not 1 <= identifiers[0] <= _LARGEST_COUNT:
        raise source.error("a negative number of atoms announces a list of data sets, found none after the atoms")
    count = identifiers[0]
    while len(identifiers) < count + 1:
        more = parse_integers(source.text_line(f"{count} numbers of data sets").encode())
        if not more:
            raise source.error(f"expected {count} numbers of data sets, found {len(identifiers) - 1}")
        identifiers += more
    if len(identifiers) > count + 1:
        raise source.error(f"expected {count} numbers of data sets, found {len(identifiers) - 1}")
    return identifiers[1:]
