"""NumPy archives: everything a :class:`~charge3net.density.Density` holds, to the last bit, in a file that numpy opens.

Keys (all but the first five may be missing): ``numbers``, ``positions`` [Å], ``cell`` [Å, rows], ``pbc``, ``density``
[nx, ny, nz] or [2, nx, ny, nz] in e/Å³, ``grid_cell`` and ``grid_origin`` [Å] where they differ from cell and 0,
``augmentation`` (one text per channel), ``meta`` (JSON: the provenance).
"""

from __future__ import annotations

import io
import json
import math
from io import BufferedIOBase
from typing import Any

import numpy as np
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.files import FREE_BYTES, LARGEST_RATIO, Source, reason
from charge3net.io.json_files import parse_json

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
    # a compressed stream cannot go back, which zipfile must be shown
    np.savez(stream if isinstance(stream, io.BufferedWriter) else _WriteOnly(stream), **arrays)


class _WriteOnly(io.RawIOBase):
    """A stream without a position."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Pass the bytes on."""
        return self._stream.write(data)


def _open(source: Source) -> Any:
    try:
        archive = np.load(io.BytesIO(source.read_all()), allow_pickle=False)
    except Exception as error:  # of numpy, zipfile and zlib
        found = f"something else or a file cut short ({reason(error)})"
        raise source.error(f"expected a NumPy archive (.npz), found {found}") from None
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise source.error("expected a NumPy archive (.npz), found a single array")
    _check_members(source, archive)
    return archive


def _check_members(source: Source, archive: Any) -> None:
    """Refuse encrypted and repeated members, and those that expand to far more than a density would."""
    members = archive.zip.infolist()
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or len(set(archive.files)) != len(archive.files):
        twice = next(name for name in names if names.count(name) > 1 or names.count(f"{name}.npy") > 0)
        raise source.error(f"holds the array '{twice.removesuffix('.npy')}' twice")
    for member in members:
        if member.flag_bits & 1:
            raise source.error("is an encrypted archive")
        if member.file_size > max(FREE_BYTES, LARGEST_RATIO * member.compress_size):
            raise source.error(f"the array '{member.filename}' expands to more than {LARGEST_RATIO} times its size")


def _get(source: Source, archive: Any, key: str, default: Any = None) -> ndarray:
    if key not in archive:
        if default is not None:
            return np.array(default)
        raise source.error(f"lacks the array '{key}'; it has {', '.join(sorted(archive.files)) or 'none'}")
    name = f"{key}.npy"
    try:
        shape, dtype = _head(source, archive, key)
        size = archive.zip.getinfo(name).file_size
        if dtype.hasobject or math.prod(shape) * dtype.itemsize > size:
            raise ValueError("its values are objects" if dtype.hasobject else "it is cut short")
        return archive[key]
    except Exception as error:  # of numpy, zipfile and zlib
        raise source.error(f"the array '{key}' cannot be read ({reason(error)})") from None


def _head(source: Source, archive: Any, key: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and kind of an array from its head, without its values."""
    if f"{key}.npy" not in archive.zip.namelist():
        raise source.error(f"the member '{key}' is not a NumPy array")
    with archive.zip.open(f"{key}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read_head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_head(stream)
    return tuple(shape), dtype


def _geometry(source: Source, archive: Any) -> Geometry:
    numbers, positions, cell, pbc = (_get(source, archive, key) for key in _STRUCTURE)
    for key, values, kinds in (("numbers", numbers, "iu"), ("positions", positions, "iuf"), ("cell", cell, "iuf")):
        if values.dtype.kind not in kinds:
            raise source.error(f"'{key}' must be numbers, found {values.dtype}")
    if pbc.dtype.kind not in "biu" or pbc.shape not in ((), (3,)):
        raise source.error(f"'pbc' must be three booleans, found {pbc.dtype} {list(pbc.shape)}")
    if numbers.size and not numbers.all():
        raise source.error("'numbers' holds a dummy or ghost atom (atomic number 0); remove it")
    try:
        return Geometry(numbers, positions, cell, pbc)
    except (InputError, ValueError, TypeError) as error:
        raise source.error(str(error)) from None


def _grid(source: Source, archive: Any, geometry: Geometry, shape: tuple[int, ...]) -> Grid:
    cell = _get(source, archive, "grid_cell", geometry.cell)
    origin = _get(source, archive, "grid_origin", np.zeros(3))
    if cell.dtype.kind not in "iuf" or origin.dtype.kind not in "iuf":
        raise source.error("'grid_cell' and 'grid_origin' must be numbers")
    try:
        return Grid(cell, (shape[-3], shape[-2], shape[-1]), origin)
    except (InputError, ValueError, TypeError) as error:
        raise source.error(str(error)) from None


def _meta(source: Source, archive: Any) -> dict[str, Any]:
    meta = parse_json(str(_get(source, archive, "meta", "{}")), f"{source.name}: 'meta'")
    return meta if isinstance(meta, dict) else {"meta": meta}


def _stored_shape(source: Source, archive: Any) -> tuple[int, ...]:
    """Shape of ``density`` from the head of the stored array, without its values."""
    if "density" not in archive:
        raise source.error("lacks the array 'density'")
    shape = _head(source, archive, "density")[0]
    if len(shape) not in (3, 4):
        raise source.error(f"'density' must be [nx, ny, nz], found {list(shape)}")
    return shape
