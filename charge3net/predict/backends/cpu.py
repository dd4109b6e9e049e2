"""The compiled backend: densities on grids and at points, on the CPU, without an edge list.

It computes a model's ``density_at`` with radial tables in place of the radial networks; the tables are checked against
the networks when they are made (:mod:`charge3net.predict.backends.spline`). How it works: docs/kernels.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from importlib import import_module
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.graph.cell_list import cell_list
from charge3net.graph.neighbors import reach
from charge3net.graph.types import AtomState
from charge3net.grid import Grid
from charge3net.kernels import enabled
from charge3net.kernels.library import library
from charge3net.models.base import DensityModel
from charge3net.models.registry import ARCHITECTURES
from charge3net.predict.backends.base import check_finite
from charge3net.predict.backends.cpu_packing import Layout, Packed
from charge3net.predict.backends.point_order import grid_blocks, grid_subset_blocks, point_blocks

#: Points a thread takes at once: a multiple of the kernel's search region, or of its run of points when there are few.
_CHUNK, _SMALL_CHUNK = 4096, 256

#: Highest rotation order that is compiled.
_MAX_L = 6

#: Architecture → module whose ``pack`` arranges its weights, and the highest order of the derivatives it has.
_PACKERS = {
    "charge3net": ("charge3net.predict.backends.cpu_charge3net", 1),
    "painn": ("charge3net.predict.backends.cpu_painn", 0),
    "schnet": ("charge3net.predict.backends.cpu_schnet", 0),
    "charge3net_delta": ("charge3net.predict.backends.cpu_delta", 1),
    "delta_local": ("charge3net.predict.backends.cpu_delta", 1),
    "fitted_atoms": ("charge3net.predict.backends.cpu_delta", 1),
}

#: Model → {order of the derivatives: (what it was packed from, packed)}.
_packed: WeakKeyDictionary[DensityModel, dict[int, tuple[tuple[object, ...], Packed | None]]] = WeakKeyDictionary()


class _CellList(ctypes.Structure):
    """``CellList`` of src/cell_list.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("positions", "cell", "inverse", "low", "width")),
        *((name, ctypes.c_void_p) for name in ("bins", "periodic", "bounds", "members", "wraps")),
        ("cutoff", ctypes.c_double),
    )


@cache
def _job_of(network: type[ctypes.Structure]) -> type[ctypes.Structure]:
    """``EvaluationJob<Network>`` of src/evaluate.h."""

    class Job(ctypes.Structure):
        _fields_ = (
            *((name, ctypes.c_int64) for name in ("n_points", "n_atoms", "out_stride")),
            *((name, ctypes.c_void_p) for name in ("points", "targets", "out", "without_neighbours")),
            *((name, ctypes.c_int32) for name in ("n_threads", "chunk")),
            ("atoms", _CellList),
            ("network", network),
        )

    return Job


class CpuBackend:
    """Evaluates one structure's density by the compiled kernels; :func:`open_backend` makes it.

    Memory: some MB, and 6 kB per atom in the largest ChargE3Net.

    Args:
        model: the model.
        state: its encoded atoms.
        geometry: the structure; its periodicity is used as it is.
        packed: the model's weights for the density, or for the density and its gradient.

    Attributes:
        rows: numbers per point: the density in each channel, e/Å³; with the gradient then, for each channel, its
            derivatives with respect to x, y and z, e/Å⁴ (an atom at the point itself adds nothing to them).
        dtype: of these numbers.
        description: "compiled".
    """

    dtype = np.dtype(np.float32)
    description = "compiled"

    def __init__(self, model: DensityModel, state: AtomState, geometry: Geometry, packed: Packed) -> None:
        self.rows = len(packed.without_neighbours)
        self._packed, self._atoms = packed, cell_list(geometry)
        self._senders = packed.senders(model, state)
        self._job = _job_of(type(packed.network))()
        self._job.n_atoms, self._job.without_neighbours = len(geometry), packed.without_neighbours.ctypes.data
        for name in (field[0] for field in _CellList._fields_ if field[0] != "cutoff"):
            setattr(self._job.atoms, name, getattr(self._atoms, name).ctypes.data)
        self._job.atoms.cutoff = reach(model.cutoff)
        self._job.network = packed.network
        for path, array in self._senders.items():
            *parts, name = path.split(".")
            target = self._job.network
            for part in parts:
                target = getattr(target, part)
            setattr(target, name, array.ctypes.data)

    def grid(
        self,
        grid: Grid,
        out: Float32[ndarray, "rows points"],
        index: Int[ndarray, "points"] | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Write the density (and derivatives) at voxels into ``out``.

        Args:
            grid: in the coordinates of the structure.
            out: :attr:`rows` of them, each contiguous.
            index: flat indices of the voxels, one per column of ``out``; None: all of them.
            report: called with the number of points done and of all, now and then.

        Raises:
            InputError: if a prediction is not finite.
        """
        done, total = 0, len(grid) if index is None else len(index)
        for targets, points in grid_blocks(grid) if index is None else grid_subset_blocks(grid, index):
            self._evaluate(targets, points, out)
            done += len(points)
            report(done, total)

    def points(self, points: Float[ndarray, "points 3"], out: Float32[ndarray, "rows points"]) -> None:
        """Write the density (and derivatives) at any points (Å) into ``out``.

        Raises:
            InputError: if a prediction is not finite.
        """
        for targets, block in point_blocks(points):
            self._evaluate(targets, block, out)

    def _evaluate(
        self,
        targets: Int[ndarray, "block"],
        points: Float[ndarray, "block 3"],
        out: Float32[ndarray, "rows points"],
    ) -> None:
        """Some points, into the columns ``targets`` of ``out``."""
        points, targets = np.ascontiguousarray(points), np.ascontiguousarray(targets, dtype=np.int64)
        if out.strides[1] != out.itemsize or len(out) != self.rows:
            raise ValueError(f"out must have {self.rows} contiguous row(s), found {out.shape}")
        job = type(self._job).from_buffer_copy(self._job)
        job.n_points, job.points, job.targets = len(points), points.ctypes.data, targets.ctypes.data
        job.out, job.out_stride = out.ctypes.data, out.strides[0] // out.itemsize
        job.n_threads = torch.get_num_threads()
        job.chunk = _CHUNK if len(points) >= 8 * _CHUNK * job.n_threads else _SMALL_CHUNK
        if getattr(library().handle, self._packed.function)(ctypes.byref(job)):
            raise MemoryError("no memory for the sums of a tile of points")
        check_finite(out[:, targets], points)


def open_backend(model: DensityModel, state: AtomState, geometry: Geometry, order: int = 0) -> CpuBackend | str:
    """A structure's density on the compiled kernels, or why they cannot evaluate this model.

    Args:
        model: any model.
        state: its encoded atoms.
        geometry: the structure, atoms in the same order.
        order: 0 for the density; 1 for its gradient too.
    """
    packed = packed_or_reason(model, order)
    return packed if isinstance(packed, str) else CpuBackend(model, state, geometry, packed)


def packed_or_reason(model: DensityModel, order: int = 0) -> Packed | str:
    """The weights packed for the kernels, or why they do not evaluate this model (order 1: its gradient)."""
    found = library()
    if found.handle is None:
        return found.reason
    if not enabled():
        return "compiled kernels are switched off"
    _, highest = _PACKERS.get(model.architecture, ("", -1))
    known = ARCHITECTURES.get(model.architecture)
    if known is None or order > highest or type(model) is not known.load():  # a subclass may differ
        return f"no compiled {'gradient' if order else 'density'} is written for {type(model).__name__}"
    if model.device.type != "cpu" or model.dtype != torch.float32:
        return f"the compiled kernels are for float32 on a cpu, not {str(model.dtype)[6:]} on {model.device.type}"
    if getattr(model, "lmax", 0) > _MAX_L:
        return f"the compiled kernels go up to rotation order {_MAX_L}"
    return _pack(model, order, found.handle) or "no table of the radial functions is accurate enough"


def _pack(model: DensityModel, order: int, handle: ctypes.CDLL) -> Packed | None:
    """The packed probe side, cached until the weights change; None when no table is accurate enough.

    Raises:
        ImportError, AttributeError: if :data:`_PACKERS` names what is not there.
    """
    layout = Layout.of(handle)
    tensors = [*model.parameters(), *model.buffers()]
    version = (layout, *((t.data_ptr(), t._version) for t in tensors))
    cached = _packed.setdefault(model, {})
    if order not in cached or cached[order][0] != version:
        module, _ = _PACKERS[model.architecture]
        packer = import_module(module)
        with torch.no_grad():
            cached[order] = (version, packer.pack(model, layout, *([order] if order else [])))
    return cached[order][1]
