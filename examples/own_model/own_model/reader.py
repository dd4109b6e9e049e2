"""Densities in XSF files of XCrySDen, read by ASE."""

import numpy as np
from ase.io.xsf import read_xsf as read

from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid


def read_xsf(path):
    """The first 3D data grid, in e/Å³; its last point along each axis repeats the first one and is dropped."""
    with open(path) as file:
        values, origin, vectors, atoms = read(file, read_data=True)
    values = np.ascontiguousarray(values[:-1, :-1, :-1])
    return Density(Geometry.of(atoms), Grid(np.array(vectors), values.shape, np.array(origin)), values[None])
