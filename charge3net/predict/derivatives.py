"""Gradient and Hessian of the density with respect to the point.

Gradients of ChargE3Net and of models on fitted atoms come from the compiled kernels where these can be used
(docs/kernels.md). All else is automatic differentiation of the model: the density at a point depends on no other point,
so one backward pass gives the gradients at many points, and three more give the Hessians. Points are taken in chunks
with a bounded number of edges.

Two conventions, since the networks are not smooth everywhere. On an atom (closer than 1e-5 Å) derivatives do not exist;
they are set to zero. Where an atom crosses the cutoff, the derivative of either smooth side is given, without the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike
from torch import Tensor

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_probe_graph
from charge3net.graph.chunks import chunk_probes, restrict_to_neighbours
from charge3net.graph.neighbors import find_neighbors
from charge3net.graph.types import AtomState, ProbeGraph
from charge3net.grid import Grid
from charge3net.models.base import DensityModel
from charge3net.nn.edges import ON_ATOM
from charge3net.predict.backends.cpu import CpuBackend, open_backend
from charge3net.predict.encoded import as_points

#: Pairs of probe and atom differentiated at once, by order; a backward pass stores up to 50 kB and 150 kB for each.
EDGES_AT_ONCE = {1: 1 << 12, 2: 1 << 10}

#: Points searched for neighbours at once.
_POINTS_AT_ONCE = 1 << 13


@dataclass(frozen=True, eq=False)
class Derivatives:
    """The density and its derivatives at some points, in the model's dtype.

    Attributes:
        values: [points, channels] e/Å³.
        gradient: [points, channels, 3] e/Å⁴, Cartesian.
        hessian: [points, channels, 3, 3] e/Å⁵, symmetric; None for order 1.
    """

    values: Float[ndarray, "points channels"]
    gradient: Float[ndarray, "points channels 3"]
    hessian: Float[ndarray, "points channels 3 3"] | None = None


def density_derivatives(
    model: DensityModel,
    state: AtomState,
    geometry: Geometry,
    points: ArrayLike | Grid,
    order: int = 1,
    edges_at_once: int | None = None,
) -> Derivatives:
    """Density, gradient and, for order 2, Hessian at any points or at the voxels of a grid.

    Args:
        model: any density model; its weights and the atoms are taken as constants.
        state: its encoded atoms.
        geometry: the structure, its atoms in the order of the state.
        points: [n, 3] Cartesian positions in Å; or a grid in the structure's coordinates, its voxels in C order.
        order: 1 or 2.
        edges_at_once: pairs of point and atom that torch differentiates at once (a single point may have more); bounds
            the memory.

    Raises:
        InputError: for another order, points of another shape or not finite, or a result that is not finite.
    """
    places = points.points() if isinstance(points, Grid) else as_points(points)
    if order not in EDGES_AT_ONCE:
        raise InputError(f"derivatives of order 1 or 2 are computed, not {order}")
    backend = open_backend(model, state, geometry, order) if order == 1 else None
    if isinstance(backend, CpuBackend):
        return _compiled(backend, model.channels, geometry, places, points if isinstance(points, Grid) else None)
    n, channels, dtype = len(places), model.channels, torch.empty(0, dtype=model.dtype).numpy().dtype
    values, gradient = np.empty((n, channels), dtype), np.empty((n, channels, 3), dtype)
    hessian = np.empty((n, channels, 3, 3), dtype) if order > 1 else None
    start = 0
    with _weights_constant(model):
        for probes in _chunks(geometry, places, model.cutoff, edges_at_once or EDGES_AT_ONCE[order]):
            found = _differentiate(model, *restrict_to_neighbours(state, probes), order)
            stop = start + probes.n_probes
            values[start:stop], gradient[start:stop] = found.values, found.gradient
            if hessian is not None:
                hessian[start:stop] = found.hessian
            start = stop
    return Derivatives(values, gradient, hessian)


def arranged(gradient: Float[ndarray, "points channels 3"], where: ArrayLike | Grid) -> Float[ndarray, "*shape"]:
    """As it is at points, [points, channels, 3]; on a grid [channels, 3, nx, ny, nz]."""
    if not isinstance(where, Grid):
        return gradient
    return np.ascontiguousarray(np.moveaxis(gradient, 0, -1)).reshape(gradient.shape[1], 3, *where.shape)


def _compiled(
    backend: CpuBackend, channels: int, geometry: Geometry, places: Float[ndarray, "points 3"], grid: Grid | None
) -> Derivatives:
    """Density and gradient by the kernels; ``grid``: given where the places are its voxels."""
    rows = np.empty((backend.rows, len(places)), dtype=np.float32)
    if grid is None:
        backend.points(places, rows)
    else:
        backend.grid(grid, rows)
    gradient = rows[channels:].reshape(channels, 3, -1).transpose(2, 0, 1).copy()
    gradient[find_neighbors(places, geometry, ON_ATOM).receivers] = 0.0
    return Derivatives(rows[:channels].T.copy(), gradient)


def _chunks(
    geometry: Geometry, points: Float[ndarray, "points 3"], cutoff: float, edges_at_once: int
) -> Iterator[ProbeGraph]:
    for start in range(0, len(points), _POINTS_AT_ONCE):
        yield from chunk_probes(
            build_probe_graph(geometry, points[start : start + _POINTS_AT_ONCE], cutoff), edges_at_once
        )


def _differentiate(model: DensityModel, state: AtomState, probes: ProbeGraph, order: int) -> Derivatives:
    """Of one chunk."""
    on_atom = _points_on_atoms(state, probes)
    with torch.enable_grad():
        points = probes.points.detach().to(model.device).requires_grad_()
        values = model.density_at(state, replace(probes.to(model.device), points=points))
        gradient = torch.stack([_gradient(one, points, order > 1) for one in values.unbind(1)], dim=1)
        second = [_gradient(one, points, True) for one in gradient.flatten(1).unbind(1)] if order > 1 else []
    first = _numpy(gradient, model.dtype, on_atom)
    hessian = None
    if second:
        full = torch.stack(second, dim=1).unflatten(1, (model.channels, 3))
        hessian = _numpy((full + full.mT) / 2, model.dtype, on_atom)
    density = values.detach().cpu().numpy()
    _check_finite(probes, density, first, *([] if hessian is None else [hessian]))
    return Derivatives(density, first, hessian)


def _gradient(
    values: Float[Tensor, "points"], points: Float[Tensor, "points 3"], again: bool
) -> Float[Tensor, "points 3"]:
    """∂ value / ∂ point, for every point; ``again``: to be differentiated a second time."""
    return torch.autograd.grad(values.sum(), points, create_graph=again, retain_graph=True, materialize_grads=True)[0]


def _points_on_atoms(state: AtomState, probes: ProbeGraph) -> Int[ndarray, "on_atom"]:
    """Indices of the points that are on an atom."""
    lengths = probes.edge_vectors(state.atoms.positions.cpu(), torch.float64).square().sum(1).sqrt()
    return probes.receivers[lengths <= ON_ATOM].numpy()


def _numpy(derivative: Float[Tensor, "points *_"], dtype: torch.dtype, zero: Int[ndarray, "zero"]) -> ndarray:
    array = derivative.detach().to(dtype).cpu().numpy()
    array[zero] = 0.0
    return array


def _check_finite(probes: ProbeGraph, *arrays: Float[ndarray, "points *_"]) -> None:
    for array in arrays:
        finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        if not finite.all():
            where = ", ".join(f"{x:.3f}" for x in probes.points[int(np.argmin(finite))].tolist())
            raise InputError(
                f"the model gives a derivative that is not finite at ({where}) Å; check model and structure"
            )


@contextmanager
def _weights_constant(model: DensityModel) -> Iterator[None]:
    """Without gradients of the weights, which the backward passes would compute too."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)
