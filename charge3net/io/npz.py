"""NumPy archives: everything a :class:`~charge3net.density.Density` holds, to the last bit, in a file that numpy opens.

Keys (all but the first five may be missing): ``numbers``, ``positions`` [Å], ``cell`` [Å, rows], ``pbc``, ``density``
[nx, ny, nz] or [2, nx, ny, nz] in e/Å³, ``grid_cell`` and ``grid_origin`` [Å] where they differ from cell and 0,
``augmentation`` (one text per channel), ``meta`` (JSON: the provenance).
"""

from __future__ import annotations

import io
import json
import zipfile
from io import BufferedIOBase
from typing import Any

import numpy as np
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.files import Source

_STRUCTURE = ("numbers", "positions", "cell", "pbc")


def read_npz(source: Source) -> Density:
    """Density from an archive.

    Raises:
        InputError: for a file that is no archive, lacks a key, or holds numbers that are not finite.
    """
    with _open(source) as archive:
        geometry = _geometry(source, archive)
        values = _get(source, archive, "density")
        if values.dtype.kind != "f" or values.ndim not in (3, 4):
            raise source.error(f"'density' must be floats [nx, ny, nz], found {values.dtype} {list(values.shape)}")
        if not np.isfinite(values).all():
            raise source.error("'density' holds NaN or infinity")
        grid = _grid(source, archive, geometry, values.shape)
        augmentation = tuple(str(text) for text in _get(source, archive, "augmentation", ()))
        provenance = {"file": source.name, "format": "npz", **_meta(source, archive)}
    try:
        return Density(geometry, grid, values if values.ndim == 4 else values[None], augmentation, provenance)
    except InputError as error:
        raise source.error(str(error)) from None


def read_npz_geometry(source: Source) -> Geometry:
    """The structure in an archive; a density need not be there."""
    with _open(source) as archive:
        return _geometry(source, archive)


def read_npz_grid(source: Source) -> Grid:
    """The grid of an archive; its values are not read."""
    with _open(source) as archive:
        return _grid(source, archive, _geometry(source, archive), _stored_shape(source, archive))


def write_npz(stream: BufferedIOBase, density: Density) -> None:
    """Write as an archive. The values keep their dtype.

    Raises:
        InputError: for values that are not finite, and provenance that JSON cannot hold.
    """
    if not all(np.isfinite(plane).all() for channel in density.values for plane in channel):
        raise InputError("only finite numbers can be written; the density holds NaN or infinity")
    values = density.values[0] if len(density.values) == 1 else density.values
    try:
        meta = json.dumps(density.provenance)
    except TypeError as error:
        raise InputError(f"the density's provenance must be plain JSON values ({error})") from None
    arrays: dict[str, Any] = {key: getattr(density.geometry, key) for key in _STRUCTURE}
    arrays |= {"density": np.ascontiguousarray(values), "grid_cell": density.grid.cell}
    arrays |= {"grid_origin": density.grid.origin, "meta": np.array(meta)}
    if density.augmentation:
        arrays["augmentation"] = np.array(density.augmentation)
    np.savez(stream, **arrays)


def _open(source: Source) -> Any:
    try:
        archive = np.load(io.BytesIO(source.read_all()), allow_pickle=False)
        if isinstance(archive, np.lib.npyio.NpzFile):
            return archive
    except (ValueError, OSError, zipfile.BadZipFile):
        pass
    raise source.error("expected a NumPy archive (.npz), found something else or a file cut short")


def _get(source: Source, archive: Any, key: str, default: Any = None) -> ndarray:
    if key not in archive:
        if default is not None:
            return np.array(default)
        raise source.error(f"lacks the array '{key}'; it has {', '.join(sorted(archive.files)) or 'none'}")
    try:
        return archive[key]
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise source.error(f"the array '{key}' cannot be read ({error})") from None


def _geometry(source: Source, archive: Any) -> Geometry:
    numbers, positions, cell, pbc = (_get(source, archive, key) for key in _STRUCTURE)
    try:
        return Geometry(numbers, positions, cell, pbc)
    except (InputError, ValueError, TypeError) as error:
        raise source.error(str(error)) from None


def _grid(source: Source, archive: Any, geometry: Geometry, shape: tuple[int, ...]) -> Grid:
    cell = _get(source, archive, "grid_cell", geometry.cell)
    try:
        return Grid(cell, (shape[-3], shape[-2], shape[-1]), _get(source, archive, "grid_origin", np.zeros(3)))
    except (InputError, ValueError, TypeError) as error:
        raise source.error(str(error)) from None


def _meta(source: Source, archive: Any) -> dict[str, Any]:
    try:
        meta = json.loads(str(_get(source, archive, "meta", "{}")))
    except json.JSONDecodeError as error:
        raise source.error(f"'meta' is not JSON ({error})") from None
    return meta if isinstance(meta, dict) else {"meta": meta}


def _stored_shape(source: Source, archive: Any) -> tuple[int, ...]:
    """Shape of ``density`` from the head of the stored array, without its values."""
    if "density" not in archive:
        raise source.error("lacks the array 'density'")
    with archive.zip.open("density.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read_head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape: tuple[int, ...] = read_head(stream)[0]
    if len(shape) not in (3, 4):
        raise source.error(f"'density' must be [nx, ny, nz], found {list(shape)}")
    return shape
