"""The compiled read: densities on grids and at points, on the CPU, without an edge list.

What it computes is a model's ``read_density`` with radial tables in place of the radial networks; the tables are
checked against the networks when they are made (:mod:`charge3net.predict.backends.spline`). How: docs/kernels.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.cell_list import cell_list
from charge3net.graph.types import AtomState
from charge3net.grid import Grid
from charge3net.kernels import enabled
from charge3net.kernels.library import library
from charge3net.models.base import DensityModel
from charge3net.predict.backends.cpu_packing import Layout, Packed
from charge3net.predict.backends.point_order import grid_blocks, grid_subset_blocks, point_blocks

#: Points a thread takes at once: a multiple of the kernel's search region, or of its run of points when there are few.
_CHUNK, _SMALL_CHUNK = 4096, 256

#: Highest rotation order that is compiled.
_MAX_L = 6

#: Class of a model → module whose ``pack`` knows it. Classes, not names: a subclass may compute something else.
_PACKERS = {
    ("charge3net.models.charge3net", "ChargE3Net"): "charge3net.predict.backends.cpu_charge3net",
    ("charge3net.models.painn", "PaiNNDensity"): "charge3net.predict.backends.cpu_painn",
    ("charge3net.models.schnet", "SchNetDensity"): "charge3net.predict.backends.cpu_schnet",
}

#: Those whose ``pack`` knows the gradient too.
_WITH_GRADIENT = {("charge3net.models.charge3net", "ChargE3Net")}

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
    """``ReadJob<Network>`` of src/reading.h."""

    class Job(ctypes.Structure):
        _fields_ = (
            *((name, ctypes.c_int64) for name in ("n_points", "n_atoms", "out_stride")),
            *((name, ctypes.c_void_p) for name in ("points", "targets", "out", "nothing")),
            *((name, ctypes.c_int32) for name in ("n_threads", "chunk")),
            ("atoms", _CellList),
            ("network", network),
        )

    return Job


class CpuBackend:
    """One structure's density, ready to be read. Memory: some MB, and 6 kB per atom in the largest ChargE3Net.

    Args:
        model: one that :func:`unsupported_reason` has nothing against.
        state: its encoded atoms.
        geometry: the structure; its periodicity is taken as it stands.
        order: 0 reads the density; 1 its gradient too.

    Attributes:
        rows: numbers read at a point: the density in each channel, e/Å³; for order 1 then, for each channel, its
            derivatives with respect to x, y and z, e/Å⁴ (an atom at the point itself adds nothing to them).

    Raises:
        InputError: if :func:`unsupported_reason` has an answer.
    """

    def __init__(self, model: DensityModel, state: AtomState, geometry: Geometry, order: int = 0) -> None:
        reason = unsupported_reason(model, order)
        packed = None if reason else _pack(model, order)
        if packed is None:
            raise InputError(f"the compiled kernels cannot read this model: {reason}")
        self.rows = len(packed.nothing)
        self._packed, self._atoms = packed, cell_list(geometry)
        self._senders = packed.senders(model, state)
        self._job = _job_of(type(packed.network))()
        self._job.n_atoms, self._job.nothing = len(geometry), packed.nothing.ctypes.data
        for name in (field[0] for field in _CellList._fields_ if field[0] != "cutoff"):
            setattr(self._job.atoms, name, getattr(self._atoms, name).ctypes.data)
        self._job.atoms.cutoff = model.cutoff
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
            index: flat indices of the voxels to be read, one per column of ``out``; None: all of them.
            report: called with the points read and to be read, now and then.

        Raises:
            InputError: if a prediction is not finite.
        """
        blocks = grid_blocks(grid) if index is None else grid_subset_blocks(grid, index)
        self._read_blocks(blocks, out, len(grid) if index is None else len(index), report)

    def points(self, points: Float[ndarray, "points 3"], out: Float32[ndarray, "rows points"]) -> None:
        """Write the density (and derivatives) at any points (Å) into ``out``.

        Raises:
            InputError: if a prediction is not finite.
        """
        self._read_blocks(point_blocks(points), out, len(points), lambda done, total: None)

    def _read_blocks(
        self,
        blocks: Iterator[tuple[ndarray, ndarray]],
        out: Float32[ndarray, "rows points"],
        total: int,
        report: Callable[[int, int], None],
    ) -> None:
        done = 0
        for targets, points in blocks:
            self._read(points, targets, out)
            finite = np.isfinite(out[:, targets]).all(axis=0)
            if not finite.all():
                where = ", ".join(f"{x:.3f}" for x in points[int(np.argmin(finite))])
                raise InputError(
                    f"the model predicts a number that is not finite at ({where}) Å; check model and structure"
                )
            done += len(points)
            report(done, total)

    def _read(
        self,
        points: Float[ndarray, "block 3"],
        targets: Int[ndarray, "block"],
        out: Float32[ndarray, "rows points"],
    ) -> None:
        points, targets = np.ascontiguousarray(points), np.ascontiguousarray(targets, dtype=np.int64)
        if out.strides[1] != out.itemsize or len(out) != self.rows:
            raise ValueError(f"out must have {self.rows} contiguous row(s), found {out.shape}")
        job = type(self._job).from_buffer_copy(self._job)
        job.n_points, job.points, job.targets = len(points), points.ctypes.data, targets.ctypes.data
        job.out, job.out_stride = out.ctypes.data, out.strides[0] // out.itemsize
        job.n_threads = torch.get_num_threads()
        job.chunk = _CHUNK if len(points) >= 8 * _CHUNK * job.n_threads else _SMALL_CHUNK
        if getattr(library().handle, self._packed.function)(ctypes.byref(job)):
            raise MemoryError("no memory for reading a tile of points")


def unsupported_reason(model: DensityModel, order: int = 0) -> str:
    """Why a model (order 1: its gradient) is not read by the compiled kernels; empty when it is."""
    found = library()
    if found.handle is None:
        return found.reason
    if not enabled():
        return "compiled kernels are switched off"
    kind = (type(model).__module__, type(model).__qualname__)
    if kind not in (_WITH_GRADIENT if order else _PACKERS):
        return f"no compiled {'gradient' if order else 'read'} is written for {type(model).__name__}"
    if model.device.type != "cpu" or model.dtype != torch.float32:
        return f"the compiled read is for float32 on a cpu, not {str(model.dtype)[6:]} on {model.device.type}"
    if getattr(model, "lmax", 0) > _MAX_L:
        return f"the compiled read goes up to rotation order {_MAX_L}"
    if _pack(model, order) is None:
        return "no table of the radial functions is fine enough"
    return ""


def _pack(model: DensityModel, order: int) -> Packed | None:
    """The packed probe side, kept until the weights change; None when no table is fine enough."""
    handle = library().handle
    assert handle is not None
    layout = Layout.of(handle)
    tensors = [*model.parameters(), *model.buffers()]
    state = (layout, *((t.data_ptr(), t._version) for t in tensors))
    kept = _packed.setdefault(model, {})
    if order not in kept or kept[order][0] != state:
        packer = import_module(_PACKERS[type(model).__module__, type(model).__qualname__])
        with torch.no_grad():
            kept[order] = (state, packer.pack(model, layout, *([order] if order else [])))
    return kept[order][1]


def read_grid(
    model: DensityModel,
    state: AtomState,
    geometry: Geometry,
    grid: Grid,
    index: Int[ndarray, "points"] | None = None,
    out: Float32[ndarray, "channels points"] | None = None,
) -> Float32[ndarray, "channels points"]:
    """[channels, points] density at the voxels of a grid, or those with the flat indices ``index``, e/Å³.

    Raises:
        InputError: where :func:`unsupported_reason` has an answer, or a prediction is not finite.
    """
    if out is None:
        out = np.empty((model.channels, len(grid) if index is None else len(index)), dtype=np.float32)
    CpuBackend(model, state, geometry).grid(grid, out, index)
    return out


def read_points(
    model: DensityModel, state: AtomState, geometry: Geometry, points: Float[ndarray, "points 3"]
) -> Float32[ndarray, "channels points"]:
    """[channels, points] density at any points (Å), e/Å³.

    Raises:
        InputError: where :func:`unsupported_reason` has an answer, or a prediction is not finite.
    """
    out = np.empty((model.channels, len(points)), dtype=np.float32)
    CpuBackend(model, state, geometry).points(points, out)
    return out
