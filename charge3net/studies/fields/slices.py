"""Maps of ρ, IRI and DORI on a plane, as plain JSON values."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.analysis.angular import gradient_spectral
from charge3net.analysis.field_errors import LocalDensity
from charge3net.analysis.interpolation import interpolate
from charge3net.analysis.spectral import hessian_spectral, refined
from charge3net.data.store import StoreEntry
from charge3net.models.base import DensityModel
from charge3net.plot.plane import Plane
from charge3net.studies.fields.measure import model_derivatives

#: Points along a side.
RESOLUTION = 121

#: Side of the window (Å) in which the plane is chosen: a small molecule without its images.
SELECTING = 5.0

#: The DFT density is interpolated (cubic splines) on a grid this many times finer, with the same plane waves.
FINER = 2


@dataclass(frozen=True, eq=False)
class FieldSlice:
    """Fields of two densities on a plane.

    Attributes:
        key, formula: the structure.
        size: side of the window in Å.
        floor: e/Å³; below it nothing is drawn.
        numbers: [atoms] atomic numbers of the atoms in the plane.
        places: [atoms, 2] their positions, Å from the middle.
        maps: {dft, model: {density, iri, dori: [n, n]}}; NaN where they are not defined.
    """

    key: str
    formula: str
    size: float
    floor: float
    numbers: Int[ndarray, "atoms"]
    places: Float[ndarray, "atoms 2"]
    maps: Mapping[str, Mapping[str, Float[ndarray, "n n"]]]


def cut(model: DensityModel, entry: StoreEntry, floor: float, size: float) -> FieldSlice:
    """The plane through most atoms of a smaller window, centred on them."""
    plane = Plane.through_most_atoms(entry.geometry, SELECTING)
    seen = plane.atoms_in(entry.geometry)[1].mean(axis=0)
    plane = Plane(plane.centre + seen[0] * plane.right + seen[1] * plane.up, plane.right, plane.up, size)
    points = plane.points(RESOLUTION).reshape(-1, 3)
    true = _between_voxels(entry, points)
    numbers, places = plane.atoms_in(entry.geometry)
    hidden = true.values <= 0.5 * floor  # the figure is cut at the floor, between the points
    maps = {
        method: {name: _square(field, hidden) for name, field in _three(one).items()}
        for method, one in (("dft", true), ("model", model_derivatives(model, entry.geometry, points)))
    }
    return FieldSlice(entry.key, entry.formula, size, floor, numbers, places, maps)


def pack_slice(one: FieldSlice) -> dict[str, Any]:
    """As plain JSON values; maps in half precision."""
    return {
        "key": one.key,
        "formula": one.formula,
        "size": one.size,
        "floor": one.floor,
        "numbers": one.numbers.tolist(),
        "places": np.round(one.places, 4).tolist(),
        "maps": {method: {name: _pack(values) for name, values in maps.items()} for method, maps in one.maps.items()},
    }


def unpack_slice(packed: Mapping[str, Any]) -> FieldSlice:
    """The slice of :func:`pack_slice`."""
    maps = {method: {name: _unpack(text) for name, text in maps.items()} for method, maps in packed["maps"].items()}
    places = np.array(packed["places"], dtype=np.float64).reshape(-1, 2)
    return FieldSlice(
        packed["key"], packed["formula"], packed["size"], packed["floor"], np.array(packed["numbers"]), places, maps
    )


def _between_voxels(entry: StoreEntry, points: Float[ndarray, "n 3"]) -> LocalDensity:
    values, grid = refined(entry.values[0], entry.grid, FINER)
    gradient, hessian = gradient_spectral(values, grid), hessian_spectral(values, grid)
    slope = np.stack([interpolate(part, grid, points) for part in gradient], axis=-1)
    second = np.empty((len(points), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            second[:, i, j] = second[:, j, i] = interpolate(hessian[i, j], grid, points)
    return LocalDensity(interpolate(values, grid, points), slope, second)


def _three(one: LocalDensity) -> dict[str, Float[ndarray, "n"]]:
    return {"density": one.values, "iri": one.iri.clip(max=100.0), "dori": one.dori}


def _square(field: Float[ndarray, "n"], hidden: ndarray) -> Float[ndarray, "m m"]:
    return np.where(hidden, np.nan, field).reshape(RESOLUTION, RESOLUTION)


def _pack(values: Float[ndarray, "n n"]) -> str:
    return base64.b64encode(zlib.compress(values.astype("<f2").tobytes(), 9)).decode()


def _unpack(text: str) -> Float[ndarray, "n n"]:
    flat = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<f2").astype(np.float64)
    side = round(len(flat) ** 0.5)
    return flat.reshape(side, side)
