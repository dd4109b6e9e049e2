"""Derivatives of the DFT density and of the model for one structure, and their differences."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.analysis.angular import gradient_spectral
from charge3net.analysis.differences import REACH, Function, central_differences
from charge3net.analysis.field_errors import LocalDensity, by_bin, compare, magnitudes, ratio, sign_by_size
from charge3net.analysis.fields import reduced_gradient
from charge3net.analysis.nearest import nearest_atoms
from charge3net.analysis.spectral import hessian_spectral, low_pass
from charge3net.data.store import StoreEntry
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.graph.neighbors import find_neighbors
from charge3net.grid import Grid
from charge3net.io import write_field
from charge3net.kernels import torch_only
from charge3net.models.base import DensityModel
from charge3net.predict.derivatives import density_derivatives
from charge3net.predict.predictor import Predictor
from charge3net.units import E_PER_BOHR3

#: Bins of the distance to the nearest atom (Å) and of |λ₂| (e/Å⁵) in figures.
DISTANCES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0)
CURVATURES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

#: Plane waves beyond this fraction of the grid's limit are removed to test how much the reference depends on the grid.
RESOLVED = 0.8

#: Both densities are also compared without their plane waves beyond this fraction.
LONG_WAVES = 0.6

#: No finite differences within this distance of an atom (Å), where directions to it change within a step.
NEAR_ATOM = 0.1


@dataclass(frozen=True)
class Protocol:
    """How a structure is measured.

    Attributes:
        floor: points with a lower DFT density (e/Å³) are left out.
        points: largest number of random points.
        differences: points with finite differences of the model.
        step: of those, Å.
        seed: of the random points.
    """

    floor: float
    points: int
    differences: int
    step: float
    seed: int


def spectral_derivatives(values: Float[ndarray, "nx ny nz"], grid: Grid, voxels: Int[ndarray, "n"]) -> LocalDensity:
    """Value, gradient and Hessian of a periodic density at some voxels (flat indices)."""
    gradient = gradient_spectral(values, grid).reshape(3, -1)[:, voxels].T
    hessian = np.moveaxis(hessian_spectral(values, grid).reshape(3, 3, -1)[:, :, voxels], -1, 0)
    return LocalDensity(np.asarray(values, dtype=np.float64).reshape(-1)[voxels], gradient, hessian)


def model_derivatives(model: DensityModel, geometry: Geometry, points: Float[ndarray, "n 3"]) -> LocalDensity:
    """The model's total density at any points, by automatic differentiation; jumps at the cutoff are ignored."""
    geometry = as_trained(model, geometry)
    with torch.no_grad():
        state = model.encode_atoms(build_atom_graph(geometry, model.cutoff))
    found = density_derivatives(model, state, geometry, points, order=2)
    assert found.hessian is not None
    return LocalDensity(*(np.asarray(a[:, 0], np.float64) for a in (found.values, found.gradient, found.hessian)))


def as_trained(model: DensityModel, geometry: Geometry) -> Geometry:
    """The structure without periodic images for a model that was trained without them."""
    if not model.ignore_pbc:
        return geometry
    return Geometry(geometry.numbers, geometry.positions, geometry.cell, np.zeros(3, dtype=bool))


def measure_structure(model: DensityModel, entry: StoreEntry, protocol: Protocol) -> dict[str, Any]:
    """Errors of the model (float32) and of SAD, and the check by finite differences (float64).

    Returns:
        plain JSON values.
    """
    start, rng = time.process_time(), np.random.default_rng(protocol.seed)
    grid, values = entry.grid, np.asarray(entry.values[0], dtype=np.float64)
    inside = np.flatnonzero(values.reshape(-1) > protocol.floor)
    voxels = np.sort(rng.choice(inside, min(protocol.points, len(inside)), replace=False))
    points = grid.points(voxels)
    true = spectral_derivatives(values, grid, voxels)
    distances = nearest_atoms(points, entry.geometry).distances
    found = {"model": model_derivatives(model, entry.geometry, points)}
    on_grid = {"model": Predictor(model, device=model.device).predict(entry.geometry, grid=grid).total}
    if entry.baseline is not None:
        on_grid["superposition"] = entry.baseline
        found["superposition"] = spectral_derivatives(entry.baseline, grid, voxels)
    resolved = spectral_derivatives(low_pass(values, RESOLVED), grid, voxels)
    chosen = rng.choice(points, min(protocol.differences, len(points)), replace=False)
    return {
        "key": entry.key,
        "formula": entry.formula,
        "atoms": len(entry.geometry),
        "grid": list(grid.shape),
        "points": len(points),
        "inside": len(inside),
        "errors": {name: compare(true, one) for name, one in found.items()},
        "errors_of_grid": {"model": compare(true, spectral_derivatives(on_grid["model"], grid, voxels))},
        "errors_of_long_waves": _errors_of_long_waves(values, on_grid, grid, voxels),
        "beyond_resolved": {name: ratio(*parts) for name, parts in magnitudes(true, resolved).items()},
        "by_distance": {
            name: {
                what: by_bin(*parts, distances, np.array(DISTANCES)) for what, parts in magnitudes(true, one).items()
            }
            for name, one in found.items()
        },
        "sign_by_size": {name: sign_by_size(true, one, np.array(CURVATURES)) for name, one in found.items()},
        "differences": check_by_differences(model, entry.geometry, chosen, protocol.step),
        "jumps": jumps_at_cutoff(model, entry.geometry, protocol.floor, protocol.seed),
        "seconds": time.process_time() - start,
    }


def _errors_of_long_waves(
    true: Float[ndarray, "nx ny nz"],
    found: Mapping[str, Float[ndarray, "nx ny nz"]],
    grid: Grid,
    voxels: Int[ndarray, "n"],
) -> dict[str, dict[str, float]]:
    smooth = spectral_derivatives(low_pass(true, LONG_WAVES), grid, voxels)
    return {
        name: compare(smooth, spectral_derivatives(low_pass(values, LONG_WAVES), grid, voxels))
        for name, values in found.items()
    }


def check_by_differences(
    model: DensityModel, geometry: Geometry, points: Float[ndarray, "n 3"], step: float
) -> dict[str, Any]:
    """Automatic against finite differences of the model in float64, on the plain torch path.

    Points whose finite differences would cross the cutoff sphere of an atom, where the density is discontinuous, or
    come close to an atom, are left out and counted.
    """
    geometry, reach = as_trained(model, geometry), REACH * step
    edges = find_neighbors(points, geometry, model.cutoff + reach)
    lengths = np.linalg.norm(points[edges.receivers] - geometry.positions[edges.senders] - edges.shifts, axis=1)
    across = np.unique(edges.receivers[lengths > model.cutoff - reach])
    near = np.unique(edges.receivers[lengths < NEAR_ATOM])
    used = np.setdiff1d(np.arange(len(points)), np.concatenate([across, near]))
    counts = {"points": len(used), "across_cutoff": len(across), "near_atom": len(near), "step": step}
    if len(used) == 0:
        return counts
    precise, dtype = model.double(), model.dtype
    try:
        density = density_function(precise, geometry)
        with torch_only():
            gradient, hessian = central_differences(density, points[used], step)
            found = model_derivatives(precise, geometry, points[used])
    finally:
        model.to(dtype)
    differ = magnitudes(LocalDensity(found.values, gradient, hessian), found)
    return counts | {
        name: {"largest": float((part / whole.max()).max()), "relative": ratio(part, whole)}
        for name, (part, whole) in differ.items()
        if name != "density"
    }


def density_function(model: DensityModel, geometry: Geometry) -> Function:
    """[points, 3] Å → [points] e/Å³, the model's total density by the plain torch path."""
    predictor = Predictor(model, device=model.device, kernels=False)

    def density(points: Float[ndarray, "n 3"]) -> Float[ndarray, "n"]:
        values = np.asarray(predictor.at(geometry, points), dtype=np.float64)
        return values if values.ndim == 1 else values[:, 0]

    return density


def jumps_at_cutoff(
    model: DensityModel, geometry: Geometry, floor: float, seed: int, count: int = 2000
) -> dict[str, Any]:
    """|jump| / ρ of the model's density at random points of the cutoff spheres of atoms.

    Points where the density is below ``floor`` (e/Å³) are left out.

    Returns:
        ``places``: number of points; with any, ``median`` and ``largest``.
    """
    rng, geometry = np.random.default_rng(seed), as_trained(model, geometry)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    centres = geometry.positions[rng.integers(len(geometry), size=count)]
    density = density_function(model, geometry)
    inner, outer = (density(centres + directions * (model.cutoff + aside)) for aside in (-1e-5, 1e-5))
    keep = np.minimum(inner, outer) > floor
    jumps = (np.abs(outer - inner) / (0.5 * (inner + outer)))[keep]
    spread = {"median": float(np.median(jumps)), "largest": float(jumps.max())} if len(jumps) else {}
    return {"places": len(jumps), **spread}


#: Name of a cube file → the field, and its unit for the head of the file.
CUBES = {
    "density": "electron density in e/Bohr^3",
    "iri": "interaction region indicator |grad rho| / rho^1.1 in atomic units, at most 5",
    "dori": "density overlap regions indicator, 0 ... 1",
    "reduced_gradient": "reduced density gradient, at most 5",
    "lambda2": "second eigenvalue of the Hessian of the density in e/A^5",
    "gradient": "length of the gradient of the density in e/A^4",
}


def write_cubes(model: DensityModel, entry: StoreEntry, floor: float, folder: Path) -> None:
    """``dft_NAME.cube`` and ``model_NAME.cube`` of every field in :data:`CUBES`.

    Where the DFT density is below ``floor``: DORI, λ₂ and |∇ρ| are 0, IRI and the reduced gradient 5, their largest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = np.asarray(entry.values[0], dtype=np.float64)
    voxels = np.flatnonzero(values.reshape(-1) > floor)
    local = {
        "dft": spectral_derivatives(values, entry.grid, voxels),
        "model": model_derivatives(model, entry.geometry, entry.grid.points(voxels)),
    }
    for method, one in local.items():
        for name, field in _fields(one).items():
            whole = np.full(len(entry.grid), 5.0 if name in ("iri", "reduced_gradient") else 0.0)
            whole[voxels] = field
            shaped = whole.reshape(entry.grid.shape)
            write_field(shaped, entry.geometry, entry.grid, folder / f"{method}_{name}.cube", CUBES[name])


def _fields(one: LocalDensity) -> Mapping[str, Float[ndarray, "points"]]:
    return {
        "density": one.values / E_PER_BOHR3,
        "iri": np.nan_to_num(one.iri, nan=5.0).clip(max=5.0),
        "dori": np.nan_to_num(one.dori, nan=0.0),
        "reduced_gradient": np.nan_to_num(reduced_gradient(one.values, one.gradient), nan=5.0).clip(max=5.0),
        "lambda2": one.eigenvalues[:, 1],
        "gradient": np.linalg.norm(one.gradient, axis=1),
    }
