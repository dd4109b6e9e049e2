"""The compiled read: densities of a ChargE3Net on grids and at points, on the CPU, without an edge list.

What it computes is :meth:`ChargE3Net.read_density` with radial tables in place of the radial networks; the tables are
checked against the networks when they are made (:mod:`charge3net.kernels.read_model`). How: src/read.cpp.
"""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.types import AtomState
from charge3net.grid import Grid
from charge3net.kernels import enabled
from charge3net.kernels.cell_list import CellList, cell_list
from charge3net.kernels.library import library
from charge3net.kernels.messages import MAX_L
from charge3net.kernels.read_model import ReadWeights, layout, pack_senders, read_weights
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import ChargE3Net
from charge3net.nn.convolution import ON_ATOM

#: Points given to the kernel at once, at most: their positions take 24 bytes each.
BLOCK = 1 << 17

#: Points a thread takes at once: a multiple of the kernel's search group.
_LARGE_CHUNK, _SMALL_CHUNK = 4096, 256


class _CellList(ctypes.Structure):
    """``CellList`` of src/neighbors.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("positions", "cell", "inverse", "low", "width")),
        *((name, ctypes.c_void_p) for name in ("bins", "periodic", "bounds", "members", "wraps")),
        ("cutoff", ctypes.c_double),
    )


class _Head(ctypes.Structure):
    """``Head`` of src/head.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("n_layers", "n_scalars", "channels")),
        *((name, ctypes.c_void_p) for name in ("bounds", "rows", "angle", "mix", "readout")),
    )


class _Channels(ctypes.Structure):
    """``Channels`` of src/tile.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("lmax", "n_steps")),
        ("on_atom", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("vectors", "table", "senders")),
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
    """One structure's density, ready to be read.

    Args:
        model: gives the weights.
        weights: packed probe side of the model.
        state: the encoded atoms.
        geometry: the structure; its periodicity is taken as it stands.
    """

    def __init__(self, model: ChargE3Net, weights: ReadWeights, state: AtomState, geometry: Geometry) -> None:
        handle = library().handle
        assert handle is not None
        self._handle, self._weights = handle, weights
        self._atoms = cell_list(geometry)
        self._senders = pack_senders(model, state.layers, weights.vectors, layout(handle)[0])
        job = _Job()
        job.n_atoms = len(geometry)
        for name in ("positions", "cell", "inverse", "low", "width", "bins", "periodic", "bounds", "members", "wraps"):
            setattr(job.atoms, name, getattr(self._atoms, name).ctypes.data)
        job.atoms.cutoff = model.cutoff
        job.channels.lmax, job.channels.n_steps, job.channels.on_atom = model.lmax, weights.steps, ON_ATOM
        job.channels.vectors, job.channels.table = weights.vectors.ctypes.data, weights.table.ctypes.data
        job.channels.senders = self._senders.ctypes.data
        job.head.n_layers = len(weights.bounds) - 1
        job.head.channels, job.head.n_scalars = weights.readout.shape
        for name in ("bounds", "rows", "angle", "mix", "readout"):
            setattr(job.head, name, getattr(weights, name).ctypes.data)
        self._job = job

    @property
    def channels(self) -> int:
        """How many densities are read."""
        return self._weights.channels

    def read(
        self,
        points: Float[ndarray, "points 3"],
        out: Float[ndarray, "channels places"],
        targets: Int[ndarray, "points"] | None = None,
    ) -> None:
        """Write the density at ``points`` (Å) into ``out``, e/Å³.

        Args:
            points: float64, Cartesian.
            out: float32, its rows contiguous.
            targets: column of ``out`` for each point; None: its own number.
        """
        points = np.ascontiguousarray(points, dtype=np.float64)
        assert out.dtype == np.float32 and out.strides[1] == 4 and len(out) == self.channels
        job = _Job.from_buffer_copy(self._job)
        job.n_points, job.points, job.out = len(points), points.ctypes.data, out.ctypes.data
        job.out_stride = out.strides[0] // 4
        if targets is not None:
            targets = np.ascontiguousarray(targets, dtype=np.int64)
            job.targets = targets.ctypes.data
        job.n_threads = torch.get_num_threads()
        job.chunk = _LARGE_CHUNK if len(points) >= 8 * _LARGE_CHUNK * job.n_threads else _SMALL_CHUNK
        if self._handle.c3n_read(ctypes.byref(job)):
            raise MemoryError("no memory for reading a tile of points")


def compiled_read(model: DensityModel, state: AtomState, geometry: Geometry) -> CompiledRead | None:
    """The compiled read of a structure, or None where it does not fit and torch has to do it.

    It is for :class:`ChargE3Net` itself in float32 on the CPU, up to order 6, where kernels are built and not switched
    off, and no table of the radial functions is too coarse.
    """
    handle = library().handle
    if handle is None or not enabled() or type(model) is not ChargE3Net or model.lmax > MAX_L:
        return None
    if model.dtype != torch.float32 or model.device.type != "cpu" or geometry.positions.shape[0] != state.atoms.n_atoms:
        return None
    weights = read_weights(model, handle)
    return None if weights is None else CompiledRead(model, weights, state, geometry)
