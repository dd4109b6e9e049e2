"""The compiled read: densities of a ChargE3Net on grids and at points, on the CPU, without an edge list.

What it computes is :meth:`ChargE3Net.read_density` with radial tables in place of the radial networks; the tables are
checked against the networks when they are made (:mod:`charge3net.kernels.read_model`). How: docs/kernels.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.types import AtomState
from charge3net.grid import Grid
from charge3net.kernels import enabled
from charge3net.kernels.cell_list import cell_list
from charge3net.kernels.library import library
from charge3net.kernels.messages import MAX_L
from charge3net.kernels.order import grid_blocks, grid_subset_blocks, point_blocks
from charge3net.kernels.read_model import layout, pack_senders, read_weights
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import ChargE3Net
from charge3net.nn.convolution import ON_ATOM

#: Points a thread takes at once: a multiple of the kernel's search region, or of its run of points when there are few.
_CHUNK, _SMALL_CHUNK = 4096, 256


class _CellList(ctypes.Structure):
    """``CellList`` of src/neighbors.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("positions", "cell", "inverse", "low", "width")),
        *((name, ctypes.c_void_p) for name in ("bins", "periodic", "bounds", "members", "wraps")),
        ("cutoff", ctypes.c_double),
    )


class _Channels(ctypes.Structure):
    """``Channels`` of src/read_tile.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("lmax", "n_steps")),
        ("on_atom", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("vectors", "table", "senders")),
    )


class _Head(ctypes.Structure):
    """``Head`` of src/read_head.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("n_layers", "n_scalars", "channels")),
        *((name, ctypes.c_void_p) for name in ("bounds", "rows", "angle", "mix", "readout")),
    )


class _Job(ctypes.Structure):
    """``ReadJob`` of src/read.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n_points", "n_atoms", "out_stride")),
        *((name, ctypes.c_void_p) for name in ("points", "targets", "out")),
        ("atoms", _CellList),
        ("channels", _Channels),
        ("head", _Head),
        *((name, ctypes.c_int32) for name in ("n_threads", "chunk")),
    )


class CompiledRead:
    """One structure's density, ready to be read. Memory: some MB, and 6 kB per atom in the largest model.

    Args:
        model: one that :func:`why_not` has nothing against.
        state: its encoded atoms.
        geometry: the structure; its periodicity is taken as it stands.

    Raises:
        InputError: if :func:`why_not` has an answer.
    """

    def __init__(self, model: DensityModel, state: AtomState, geometry: Geometry) -> None:
        reason, handle = why_not(model), library().handle
        if reason or handle is None or not isinstance(model, ChargE3Net):
            raise InputError(f"the compiled kernels cannot read this model: {reason}")
        weights = read_weights(model, handle)
        assert weights is not None  # why_not has asked
        self.channels = model.channels
        self._handle, self._weights, self._atoms = handle, weights, cell_list(geometry)
        self._senders = pack_senders(model, state.layers, weights.vectors, layout(handle)[0])
        job = self._job = _Job()
        job.n_atoms = len(geometry)
        for name in (field[0] for field in _CellList._fields_ if field[0] != "cutoff"):
            setattr(job.atoms, name, getattr(self._atoms, name).ctypes.data)
        job.atoms.cutoff = model.cutoff
        job.channels.lmax, job.channels.n_steps, job.channels.on_atom = model.lmax, weights.steps, ON_ATOM
        job.channels.vectors, job.channels.table = weights.vectors.ctypes.data, weights.table.ctypes.data
        job.channels.senders = self._senders.ctypes.data
        job.head.n_layers = len(weights.bounds) - 1
        job.head.channels, job.head.n_scalars = weights.readout.shape
        for name in ("bounds", "rows", "angle", "mix", "readout"):
            setattr(job.head, name, getattr(weights, name).ctypes.data)

    def grid(
        self,
        grid: Grid,
        out: Float32[ndarray, "channels points"],
        index: Int[ndarray, "points"] | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Write the density at voxels into ``out``, e/Å³.

        Args:
            grid: in the coordinates of the structure.
            out: a row per channel, contiguous.
            index: flat indices of the voxels to be read, one per column of ``out``; None: all of them.
            report: called with the points read and to be read, now and then.

        Raises:
            InputError: if a prediction is not finite.
        """
        blocks = grid_blocks(grid) if index is None else grid_subset_blocks(grid, index)
        self._read_blocks(blocks, out, len(grid) if index is None else len(index), report)

    def points(self, points: Float[ndarray, "points 3"], out: Float32[ndarray, "channels points"]) -> None:
        """Write the density at any points (Å) into ``out``, e/Å³; a row per channel.

        Raises:
            InputError: if a prediction is not finite.
        """
        self._read_blocks(point_blocks(points), out, len(points), lambda done, total: None)

    def _read_blocks(
        self,
        blocks: Iterator[tuple[ndarray, ndarray]],
        out: Float32[ndarray, "channels points"],
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
        out: Float32[ndarray, "channels points"],
    ) -> None:
        points, targets = np.ascontiguousarray(points), np.ascontiguousarray(targets, dtype=np.int64)
        if out.strides[1] != out.itemsize or len(out) != self.channels:
            raise ValueError(f"out must have {self.channels} contiguous row(s), found {out.shape}")
        job = _Job.from_buffer_copy(self._job)
        job.n_points, job.points, job.targets = len(points), points.ctypes.data, targets.ctypes.data
        job.out, job.out_stride = out.ctypes.data, out.strides[0] // out.itemsize
        job.n_threads = torch.get_num_threads()
        job.chunk = _CHUNK if len(points) >= 8 * _CHUNK * job.n_threads else _SMALL_CHUNK
        if self._handle.c3n_read(ctypes.byref(job)):
            raise MemoryError("no memory for reading a tile of points")


def why_not(model: DensityModel) -> str:
    """Why a model is not read by the compiled kernels; empty when it is."""
    found = library()
    if found.handle is None:
        return found.reason
    if not enabled():
        return "compiled kernels are switched off"
    if type(model) is not ChargE3Net:
        return f"no compiled read is written for {model.architecture}"
    if model.device.type != "cpu" or model.dtype != torch.float32:
        return f"the compiled read is for float32 on a cpu, not {str(model.dtype)[6:]} on {model.device.type}"
    if model.lmax > MAX_L:
        return f"the compiled read goes up to rotation order {MAX_L}, not {model.lmax}"
    if read_weights(model, found.handle) is None:
        return "no table of the radial functions is fine enough"
    return ""


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
        InputError: where :func:`why_not` has an answer, or a prediction is not finite.
    """
    if out is None:
        out = np.empty((model.channels, len(grid) if index is None else len(index)), dtype=np.float32)
    CompiledRead(model, state, geometry).grid(grid, out, index)
    return out


def read_points(
    model: DensityModel, state: AtomState, geometry: Geometry, points: Float[ndarray, "points 3"]
) -> Float32[ndarray, "channels points"]:
    """[channels, points] density at any points (Å), e/Å³.

    Raises:
        InputError: where :func:`why_not` has an answer, or a prediction is not finite.
    """
    out = np.empty((model.channels, len(points)), dtype=np.float32)
    CompiledRead(model, state, geometry).points(points, out)
    return out
