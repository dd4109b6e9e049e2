"""JSON files: read with care, and the densities and structures of pymatgen that they hold.

The Materials Project stores charge densities as ``*.json.gz`` of pymatgen's ``Chgcar``. Only plain numbers are taken
from such a file; no class that it names is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.augmentation import blocks_of, text_of_blocks
from charge3net.io.chgcar import placed_at_origin
from charge3net.io.elements import number_of_label
from charge3net.io.files import Source, open_source
from charge3net.io.plausible import what_looks_wrong
from charge3net.units import E_PER_BOHR3

if TYPE_CHECKING:
    from pymatgen.io.vasp.outputs import Chgcar

_OTHER_FIELDS = {"Locpot": "a potential", "Elfcar": "a localisation function"}


def read_json(path: str | Path, what: str) -> Any:
    """The content of a JSON file written by hand or by a program.

    Args:
        path: the file.
        what: what it should hold, for messages: ``"the split"``.

    Raises:
        InputError: for a file that cannot be read, is not JSON (NaN and infinity are not), is nested too deeply, or has
            a name twice in one object.
    """
    with open_source(path) as source:
        return parse_json(source.read_all(LARGEST), f"{path}: {what}")


LARGEST = 1 << 28


def parse_json(data: bytes | str, what: str) -> Any:
    """The same from its text; ``what`` names it in messages."""
    try:
        return json.loads(data, object_pairs_hook=_object, parse_constant=_no_constant)
    except RecursionError:
        raise InputError(f"{what} is nested too deeply to be read") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError among them
        raise InputError(f"{what} is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:60]!r} occurs twice in one object")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def read_json_density(source: Source) -> Density:
    """The density in a JSON file of pymatgen's ``Chgcar`` or ``VolumetricData``.

    Raises:
        InputError: for a file that holds something else.
    """
    content = _inner(_content(source))
    if not isinstance(content, dict) or "data" not in content:
        raise source.error("expected the JSON of a pymatgen Chgcar or VolumetricData, with 'data' and 'poscar'")
    structure = content.get("poscar", {}).get("structure") if "poscar" in content else content.get("structure")
    try:
        geometry = _geometry(structure)
        data = {str(key): _array(values) for key, values in content["data"].items()}
        return _density(str(content.get("@class", "Chgcar")), geometry, data, {"file": source.name, "format": "json"})
    except InputError as error:
        raise source.error(str(error)) from None


def read_json_structure(source: Source) -> Geometry | None:
    """The structure of a JSON file of pymatgen's Structure, Molecule, Chgcar or VolumetricData; None for other JSON."""
    content = _inner(_content(source))
    if not isinstance(content, dict):
        return None
    structure: Any = content
    if "sites" not in content:
        structure = content.get("poscar", content)
        structure = structure.get("structure") if isinstance(structure, dict) else None
    if not isinstance(structure, dict) or "sites" not in structure:
        return None
    try:
        return _geometry(structure)
    except InputError as error:
        raise source.error(str(error)) from None


def density_of(volumetric: Any) -> Density:
    """A Density from pymatgen's ``Chgcar`` (ρ·V) or ``VolumetricData`` (ρ·V, or e/Bohr³ if it came from a cube file).

    The augmentation is taken without spin only: pymatgen drops the moments that VASP expects between two grids.

    Raises:
        InputError: for a potential, a localisation function, or values of unknown unit; for anything else.
    """
    if not isinstance(getattr(volumetric, "data", None), Mapping) or not hasattr(volumetric, "structure"):
        raise InputError(f"expected pymatgen's Chgcar or VolumetricData, found {type(volumetric).__name__}")
    data = {str(key): np.asarray(values, dtype=np.float64) for key, values in dict(volumetric.data).items()}
    density = _density(type(volumetric).__name__, Geometry.of(volumetric.structure), data, {})
    text = text_of_blocks((getattr(volumetric, "data_aug", None) or {}).get("total"))
    return replace(density, augmentation=(text,)) if text and len(density.values) == 1 else density


def chgcar_of(density: Density) -> Chgcar:
    """pymatgen's ``Chgcar`` of a density, atoms and grid moved to the origin.

    Raises:
        InputError: for a grid that is not the whole cell.
    """
    from pymatgen.io.vasp.inputs import Poscar
    from pymatgen.io.vasp.outputs import Chgcar

    placed = placed_at_origin(density)
    scaled = np.asarray(placed.values, dtype=np.float64) * placed.grid.volume
    data = dict(zip(("total", "diff"), scaled, strict=False))
    blocks: Any = {n: blocks_of(text) for n, text in zip(("total", "diff"), placed.augmentation, strict=False)}
    return Chgcar(Poscar(placed.structure), data, blocks)


def _density(kind: str, geometry: Geometry, data: Mapping[str, ndarray], provenance: dict[str, Any]) -> Density:
    if kind in _OTHER_FIELDS:
        raise InputError(f"a {kind} holds {_OTHER_FIELDS[kind]}, not a density")
    total = data.get("total")
    if total is None or total.ndim != 3:
        raise InputError("expected three-dimensional values 'total'")
    channels = [total] + ([data["diff"]] if "diff" in data and "diff_x" not in data else [])
    if any(values.shape != total.shape or not np.isfinite(values).all() for values in channels):
        raise InputError("the values must be finite and on one grid")
    nx, ny, nz = total.shape
    grid = Grid(geometry.cell, (nx, ny, nz))
    scaled = Density(geometry, grid, np.stack(channels) / grid.volume, provenance=provenance)
    if kind == "Chgcar" or not what_looks_wrong(scaled):
        return scaled
    atomic_units = Density(geometry, grid, np.stack(channels) * E_PER_BOHR3, provenance=provenance)
    if not what_looks_wrong(atomic_units):
        return atomic_units
    raise InputError(f"the unit of a {kind} is not known: as ρ·V, {what_looks_wrong(scaled)}; give a Chgcar")


def _content(source: Source) -> Any:
    return parse_json(source.read_all(), source.name)


def _inner(content: Any) -> Any:
    """The object itself: some files wrap it in a list or under ``data``."""
    while True:
        if isinstance(content, list) and len(content) == 1:
            content = content[0]
        elif isinstance(content, dict) and isinstance(content.get("data"), dict) and "@class" in content["data"]:
            content = content["data"]
        else:
            return content


def _geometry(structure: Any) -> Geometry:
    """From the dictionary of a pymatgen Structure or Molecule."""
    try:
        sites = structure["sites"]
        lattice = structure.get("lattice")
        numbers = [_one_species(site["species"]) for site in sites]
        positions = np.array([site["xyz"] if "xyz" in site else site["abc"] for site in sites], dtype=np.float64)
        if lattice is None:
            return Geometry(np.array(numbers), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
        cell = np.array(lattice["matrix"], dtype=np.float64)
        if all("abc" in site for site in sites):
            positions = np.array([site["abc"] for site in sites], dtype=np.float64) @ cell
        return Geometry(
            np.array(numbers), positions, cell, np.array(lattice.get("pbc", (True, True, True)), dtype=bool)
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"holds no structure as pymatgen writes it ({type(error).__name__}: {error})") from None


def _one_species(species: list[dict[str, Any]]) -> int:
    if len(species) != 1 or not abs(float(species[0].get("occu", 1.0)) - 1.0) <= 1e-3:
        raise InputError("the structure has sites with partial occupation; order it first (one species per site)")
    return number_of_label(str(species[0]["element"]))


def _array(values: Any) -> ndarray:
    """An array of numbers, as a list or in monty's notation."""
    if isinstance(values, dict):
        values = values.get("data")
    try:
        return np.array(values, dtype=np.float64)
    except (ValueError, TypeError):
        raise InputError("the values are not numbers on a grid") from None
