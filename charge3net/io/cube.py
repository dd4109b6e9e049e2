"""Gaussian cube files: any origin, lengths in Bohr (or Å), densities in e/Bohr³, last axis fastest.

Source: the description of cubegen in the Gaussian manual. A cube file does not say what is periodic; files written
here say it in their second line, others are taken as periodic along all three axes.
"""

from __future__ import annotations

import re
from io import BufferedIOBase

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import MAX_ATOMIC_NUMBER, Geometry
from charge3net.grid import Grid
from charge3net.io.digits import NumberFormat, write_numbers
from charge3net.io.files import Source
from charge3net.io.numbers import parse_integers, parse_numbers
from charge3net.io.values import read_values
from charge3net.units import BOHR, E_PER_BOHR3

_FORMAT = NumberFormat(digits=6, width=13, zero_lead=False)
_PER_LINE = 6
_PERIODIC = re.compile(r"pbc ([TF]) ([TF]) ([TF])$")


def read_cube(source: Source) -> Density:
    """Density from a cube file with one data set, or two: total and magnetisation.

    Raises:
        InputError: for a file that is cut short or holds something else.
    """
    title, geometry, grid, channels = read_cube_head(source)
    if channels not in (1, 2):
        raise source.error(f"holds {channels} data sets; a density has one, or two with the magnetisation")
    what = f"the grid {' x '.join(map(str, grid.shape))}" + (" with two data sets" if channels == 2 else "")
    try:
        values = np.empty((len(grid), channels))
    except (MemoryError, ValueError):
        raise source.error(f"{what} does not fit into memory") from None
    flat, done = values.reshape(-1), 0
    for block in read_values(source, flat.size, what, row=grid.shape[2] * channels):
        np.multiply(block, E_PER_BOHR3, out=flat[done : done + len(block)])
        done += len(block)
    while line := source.line():
        if line.strip():
            raise source.error(f"more numbers than the {flat.size} that {what} needs")
    ordered = np.ascontiguousarray(values.T).reshape(channels, *grid.shape)
    return Density(geometry, grid, ordered, (), {"file": source.name, "format": "cube", "title": title})


def read_cube_head(source: Source) -> tuple[str, Geometry, Grid, int]:
    """Title, structure, grid and number of data sets; the source is left before the first value.

    Raises:
        InputError: for a head that cannot be read.
    """
    title = source.text_line("a title")
    comment = source.text_line("a second line of comment")
    first = _numbers(source, "the number of atoms and the origin", 4)
    atoms = round(first[0])
    channels = round(first[4]) if len(first) > 4 else 1
    axes = np.array([_numbers(source, f"number of voxels and step {i}", 4)[:4] for i in (1, 2, 3)])
    counts = np.rint(axes[:, 0]).astype(int)
    if (counts < 0).any() and not (counts < 0).all():
        raise source.error(f"the signs of the numbers of voxels {counts.tolist()} mix lengths in Bohr and in Å")
    length = 1.0 if counts[0] < 0 else BOHR
    shape = tuple(int(n) for n in np.abs(counts))
    rows = [_numbers(source, f"atom {i + 1} of {abs(atoms)}", 5)[:5] for i in range(abs(atoms))]
    table = np.array(rows).reshape(-1, 5)
    if atoms < 0:
        channels *= _data_set_count(source)
    periodic = _PERIODIC.search(comment)
    pbc = np.array([flag == "T" for flag in periodic.groups()] if periodic else [True] * 3)
    numbers = table[:, 0].round().astype(int)
    try:
        grid = Grid(
            axes[:, 1:] * np.array(shape)[:, None] * length, (shape[0], shape[1], shape[2]), first[1:4] * length
        )
        geometry = Geometry(numbers, table[:, 2:] * length, grid.cell, pbc)
    except InputError as error:
        raise source.error(str(error)) from None
    return title, geometry, grid, channels


def write_cube(stream: BufferedIOBase, density: Density) -> None:
    """Write as a cube file in Bohr and e/Bohr³, 6 digits per value; a magnetisation becomes the second data set.

    Lengths have 12 decimals, more than the format's traditional 6, so that the volume keeps its digits.

    Raises:
        InputError: for values that are not finite.
    """
    geometry, grid = density.geometry, density.grid
    channels = len(density.values)
    title = str(density.provenance.get("title") or "electron density").replace("\n", " ")
    pbc = " ".join("T" if flag else "F" for flag in geometry.pbc)
    what = "total density and magnetisation (up - down)" if channels == 2 else "electron density"
    lines = [title, f"{what} in e/Bohr^3; written by charge3net; pbc {pbc}"]
    lines.append(f"{-len(geometry) if channels == 2 else len(geometry):5d}" + _triple(grid.origin / BOHR))
    steps = grid.cell / np.array(grid.shape)[:, None] / BOHR
    lines += [f"{n:5d}" + _triple(step) for n, step in zip(grid.shape, steps, strict=True)]
    lines += [
        f"{z:5d}{min(z, MAX_ATOMIC_NUMBER):18.12f}" + _triple(position / BOHR)
        for z, position in zip(geometry.numbers, geometry.positions, strict=True)
    ]
    if channels == 2:
        lines.append("    2    1    2")
    stream.write(("\n".join(lines) + "\n").encode())
    planes = (
        np.moveaxis(np.asarray(density.values[:, x], dtype=np.float64), 0, -1).reshape(-1) / E_PER_BOHR3
        for x in range(grid.shape[0])
    )
    write_numbers(stream, planes, _FORMAT, _PER_LINE, row=grid.shape[2] * channels)


def _triple(vector: Float[ndarray, "3"]) -> str:
    return "".join(f"{x:18.12f}" for x in vector)


def _numbers(source: Source, what: str, size: int) -> Float[ndarray, "numbers"]:
    line = source.text_line(what)
    try:
        values = np.array(parse_numbers(line.encode()))
        if len(values) >= size and np.isfinite(values).all():
            return values
    except ValueError:
        pass
    raise source.error(f"expected {what} ({size} numbers), found {line[:60]!r}")


def _data_set_count(source: Source) -> int:
    """The number of data sets from the list ``count id id …`` behind the atoms."""
    identifiers = parse_integers(source.text_line("the list of data sets").encode())
    if not identifiers or identifiers[0] < 1:
        raise source.error("a negative number of atoms announces a list of data sets, found none behind the atoms")
    count = identifiers[0]
    while len(identifiers) < count + 1:
        more = parse_integers(source.text_line(f"{count} numbers of data sets").encode())
        if not more:
            raise source.error(f"expected {count} numbers of data sets, found {len(identifiers) - 1}")
        identifiers += more
    return count
