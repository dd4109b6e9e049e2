"""Files in, files out: densities and structures, by name and suffix (docs/formats.md)."""

from charge3net.io.densities import (
    read_density,
    read_density_stream,
    read_grid,
    read_magnetisation_vector,
    write_density,
    write_field,
)
from charge3net.io.formats import DENSITY_FORMATS
from charge3net.io.json_files import chgcar_of, density_of
from charge3net.io.structures import read_structure, read_structures

__all__ = [
    "DENSITY_FORMATS",
    "chgcar_of",
    "density_of",
    "read_density",
    "read_density_stream",
    "read_grid",
    "read_magnetisation_vector",
    "read_structure",
    "read_structures",
    "write_density",
    "write_field",
]
