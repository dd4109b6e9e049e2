"""Files and densities for the tests of io, written without the code under test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy import ndarray

from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid

CELL = np.array([[3.0, 0.2, 0.0], [0.0, 4.0, -0.3], [0.5, 0.0, 5.0]])
VOLUME = 3.0 * (4.0 * 5.0) + 0.2 * (-0.3 * 0.5)  # by Sarrus: a1 b2 c3 + a2 b3 c1
SHAPE = (3, 4, 5)


def fortran(value: float) -> str:
    """One number as VASP prints it, made from Python's own digits."""
    digits, exponent = f"{abs(value):.10E}".split("E")
    power = int(exponent) + 1 if value else 0
    return f" {'-' if value < 0 else '0'}.{digits.replace('.', '')}E{power:+03d}"


def body(values: ndarray) -> str:
    """[nx, ny, nz] numbers, first axis fastest, five in a line."""
    words = [fortran(x) for x in values.ravel(order="F")]
    return "".join("".join(words[i : i + 5]) + "\n" for i in range(0, len(words), 5))


def head(species: str = "   Li   O\n", counts: str = "  1  2", title: str = "a title", scale: str = "1.0") -> str:
    """A POSCAR of three atoms."""
    vectors = "\n".join(" ".join(f"{x:12.6f}" for x in row) for row in CELL)
    positions = "0.0 0.0 0.0\n0.25 0.5 0.75\n0.5 0.25 0.125\n"
    return f"{title}\n {scale}\n{vectors}\n{species}{counts}\nDirect\n{positions}"


def augmentation(first: float) -> str:
    """Blocks of three atoms with 1, 5 and 7 numbers."""
    text = ""
    for atom, count in enumerate((1, 5, 7), start=1):
        text += f"augmentation occupancies{atom:4d}{count:4d}\n"
        words = [f"  {first + atom + i / 10:.7E}" for i in range(count)]
        text += "".join("".join(words[i : i + 5]) + "\n" for i in range(0, count, 5))
    return text


MOMENTS = "  0.10000000000E+01  0.20000000000E+01  0.30000000000E+01\n"


def values(seed: int = 0) -> ndarray:
    """[3, 4, 5] numbers of many magnitudes and both signs; ρ·V of a made-up file."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=SHAPE) * 10.0 ** rng.integers(-12, 4, size=SHAPE)


def write_chgcar(path: Path, spin: bool = False, moments: bool = False) -> Path:
    """A CHGCAR of three atoms with augmentation."""
    shape = "   3   4   5\n"
    text = head() + "\n" + shape + body(values(0)) + augmentation(0.0)
    if spin:
        text += (MOMENTS if moments else "") + shape + body(values(1)) + augmentation(10.0)
    path.write_text(text)
    return path


def density(channels: int = 1, shape: tuple[int, int, int] = SHAPE, dtype: type = np.float64) -> Density:
    """A density of three atoms that no file was read for."""
    rng = np.random.default_rng(5)
    geometry = Geometry(
        np.array([3, 8, 8]), np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-0.5, 4.5, 2.0]]), CELL, np.ones(3, bool)
    )
    return Density(geometry, Grid(CELL, shape), rng.random((channels, *shape)).astype(dtype) - 0.1)
