"""The GPU backend of ChargE3Net: densities on grids and at points by Triton kernels.

It computes ``ChargE3Net.density_at`` with radial tables in place of the radial networks. How, and what was
checked: docs/kernels.md. When it is used: :mod:`charge3net.predict.backends.gpu`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int
from numpy import ndarray
from torch import Tensor

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.cell_list import CellList, cell_list
from charge3net.graph.neighbors import reach
from charge3net.graph.types import AtomState
from charge3net.grid import Grid
from charge3net.models.charge3net import ChargE3Net
from charge3net.nn.edges import ON_ATOM
from charge3net.predict.backends.gpu_weights import Weights, head, pack_senders

#: Points of a tile: the lanes of a warp.
TILE = 32

#: How the search is compiled: products and sums are rounded one by one, as numpy does, and a tile is a warp.
SEARCH_OPTIONS = {"num_warps": 1, "enable_fp_fusion": False}

#: At once: points of a block, numbers in its sums, edges that are written down, points between two reports.
_POINTS, _SUMS, _EDGES, _CHUNK = 1 << 16, 1 << 25, 1 << 22, 1 << 22

#: Points start … stop − 1 on the device, [points, 3] Å; and some of them as numpy forms them, by number.
_Places = Callable[[int, int], Float64[Tensor, "points 3"]]
_Exactly = Callable[[Int[ndarray, "some"]], Float64[ndarray, "some 3"]]


def sum_options(width: int) -> dict[str, int]:
    """How the sums are compiled for blocks of some channels: 8 or 16 sums in a thread."""
    return {"num_warps": 2 if width == 16 else 4}


def kernels() -> ModuleType:
    """The Triton kernels; imports triton."""
    return import_module("charge3net.predict.backends.gpu_kernels")


class GpuBackend:
    """Evaluates one structure's density on the device of its encoded atoms.

    Memory on the device at L = 4, mul = 500, by the sizes of the arrays: 7 kB per atom, and below 0.5 GB for any grid.

    Args:
        model: with ``weights`` packed from it.
        state: its encoded atoms.
        geometry: the structure, atoms in the same order; its periodicity is used as it is.
        weights: the packed probe side, on the same device.
    """

    dtype = np.dtype(np.float32)
    description = "triton"

    def __init__(self, model: ChargE3Net, state: AtomState, geometry: Geometry, weights: Weights) -> None:
        self.rows, self._weights = model.channels, weights
        self._device = state.layers[0].device
        self._atoms = _DeviceAtoms(cell_list(geometry), model.cutoff, weights.steps, self._device)
        self._n_atoms = len(geometry)
        with torch.no_grad(), true_float32():
            self._senders = pack_senders(model, state, weights)

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
            out: a row per channel.
            index: flat indices of the voxels, one per column of ``out``; None: all of them.
            report: called with the number of points done and of all, now and then.

        Raises:
            InputError: if a prediction is not finite.
        """
        cell, origin = (torch.from_numpy(array.copy()).to(self._device) for array in (grid.cell, grid.origin))

        def places(start: int, stop: int) -> Float64[Tensor, "points 3"]:
            if index is None:
                flat = torch.arange(start, stop, device=self._device)
            else:
                flat = torch.from_numpy(np.ascontiguousarray(index[start:stop])).to(self._device)
            rest = torch.div(flat, grid.shape[2], rounding_mode="floor")
            whole = torch.div(rest, grid.shape[1], rounding_mode="floor")
            numbers = (whole, rest - whole * grid.shape[1], flat - rest * grid.shape[2])
            a, b, c = (n.double()[:, None] / size for n, size in zip(numbers, grid.shape, strict=True))
            return a * cell[0] + b * cell[1] + c * cell[2] + origin

        def exactly(which: Int[ndarray, "some"]) -> Float64[ndarray, "some 3"]:
            return grid.points(which if index is None else index[which])

        self._evaluate(len(grid) if index is None else len(index), places, exactly, out, report)

    def points(self, points: Float[ndarray, "points 3"], out: Float32[ndarray, "channels points"]) -> None:
        """Write the density at any points (Å) into ``out``, e/Å³; a row per channel.

        Raises:
            InputError: if a prediction is not finite.
        """
        points = np.ascontiguousarray(points, dtype=np.float64)

        def places(start: int, stop: int) -> Float64[Tensor, "points 3"]:
            return torch.from_numpy(points[start:stop].copy()).to(self._device)

        self._evaluate(len(points), places, lambda which: points[which], out, lambda done, total: None)

    def _evaluate(
        self,
        n: int,
        places: _Places,
        exactly: _Exactly,
        out: Float32[ndarray, "channels points"],
        report: Callable[[int, int], None],
    ) -> None:
        size = max(TILE, min(_POINTS, _SUMS // self._weights.bounds[-1]) // TILE * TILE)
        for start in range(0, n, _CHUNK):
            stop = min(start + _CHUNK, n)
            density = torch.empty(stop - start, self.rows, device=self._device)
            with torch.no_grad(), _on(self._device), true_float32():
                for first in range(start, stop, size):
                    last = min(first + size, stop)
                    density[first - start : last - start] = self._block(places(first, last), first, exactly)
            finite = torch.isfinite(density).all(dim=1)
            if not finite.all():
                worst = start + int(torch.argmin(finite.int()))
                where = ", ".join(f"{x:.3f}" for x in exactly(np.array([worst]))[0])
                raise InputError(
                    f"the model predicts a number that is not finite at ({where}) Å; check model and structure"
                )
            out[:, start:stop] = density.T.cpu().numpy()
            report(stop, n)

    def _block(
        self, points: Float64[Tensor, "points 3"], first_point: int, exactly: _Exactly
    ) -> Float32[Tensor, "points channels"]:
        counts, doubts = self._atoms.count(points)
        doubtful = doubts.nonzero()[:, 0]
        if len(doubtful):  # an atom at the cutoff but for rounding: these points are taken as numpy forms them
            points[doubtful] = torch.from_numpy(exactly(first_point + doubtful.cpu().numpy())).to(self._device)
            counts, _ = self._atoms.count(points)
        sums = torch.empty(len(points), self._weights.bounds[-1], device=self._device)
        slots = counts.amax(dim=1).cpu().numpy()
        for first, last in _runs(slots, _EDGES // TILE):
            self._sum(points, counts, slots[first:last], first, sums)
        return head(sums, self._weights)

    def _sum(
        self,
        points: Float64[Tensor, "points 3"],
        counts: Int[Tensor, "tiles lanes"],
        slots: Int[ndarray, "some_tiles"],
        first_tile: int,
        sums: Float32[Tensor, "points columns"],
    ) -> None:
        """The sums of messages of some tiles, by the edges of these tiles."""
        starts = torch.from_numpy((np.cumsum(slots) - slots).astype(np.int32)).to(self._device)
        edges, senders = self._atoms.edges(points, starts, max(int(slots.sum()), 1), first_tile)
        for order, sent in zip(self._weights.orders, self._senders, strict=True):
            blocks, rows, width = order.table.shape
            kernels().sum_messages[(len(slots), blocks)](
                *(edges, senders, counts, starts, order.table, sent, order.columns, sums),
                *(len(points), first_tile, self._n_atoms, rows, sums.shape[1]),
                ORDER=order.l,
                BP=TILE,
                BC=width,
                **sum_options(width),
            )


class _DeviceAtoms:
    """The atoms of a structure in bins, on a device, and the search for the neighbours of points."""

    def __init__(self, atoms: CellList, cutoff: float, steps: int, device: torch.device) -> None:
        extent = cutoff * np.linalg.norm(atoms.inverse, axis=0) + 1e-9
        spans = np.floor(2 * extent / atoms.width) + 2
        spans = np.where(atoms.periodic, spans, np.minimum(spans, atoms.bins))
        edge = (reach(cutoff), steps / cutoff, ON_ATOM)
        frame = (atoms.cell.ravel(), atoms.inverse.ravel(), atoms.low, atoms.width, extent, edge)
        arrays = (
            atoms.positions[atoms.members],
            atoms.wraps[atoms.members],
            *(atoms.members, atoms.bounds),
            np.concatenate(frame),
            np.concatenate([atoms.bins, atoms.periodic, spans]).astype(np.int32),
        )
        self._arrays = tuple(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays)

    def count(self, points: Float64[Tensor, "points 3"]) -> tuple[Int[Tensor, "tiles lanes"], Int[Tensor, "points"]]:
        """Edges of every point, and whether rounding decides about one of them."""
        tiles = -(-len(points) // TILE)
        counts = torch.empty(tiles, TILE, dtype=torch.int32, device=points.device)
        doubts = torch.empty(tiles * TILE, dtype=torch.int8, device=points.device)
        nothing = torch.empty(4, device=points.device)
        self._launch(points, 0, tiles, counts, doubts, counts, nothing, counts, write=False)
        return counts, doubts[: len(points)]

    def edges(
        self, points: Float64[Tensor, "points 3"], starts: Int[Tensor, "tiles"], slots: int, first_tile: int
    ) -> tuple[Float32[Tensor, "slots 4 lanes"], Int[Tensor, "slots lanes"]]:
        """The edges of some tiles: slots of a tile begin at its ``starts``. The rest of a slot is not written."""
        edges = torch.empty(slots, 4, TILE, device=points.device)
        senders = torch.empty(slots, TILE, dtype=torch.int32, device=points.device)
        doubts = torch.empty(4, dtype=torch.int8, device=points.device)
        self._launch(points, first_tile, len(starts), starts, doubts, starts, edges, senders, write=True)
        return edges, senders

    def _launch(self, points: Tensor, first_tile: int, tiles: int, *outputs: Tensor, write: bool) -> None:
        kernels().find_edges[(tiles,)](
            *(points, len(points), first_tile),
            *self._arrays,
            *outputs,
            WRITE=write,
            BP=TILE,
            **SEARCH_OPTIONS,
        )


def _runs(slots: Int[ndarray, "tiles"], budget: int) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of runs of tiles with at most ``budget`` slots, or of one tile."""
    ends = np.cumsum(slots)
    first = 0
    while first < len(slots):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + budget, side="right")))
        yield first, last
        first = last


def _on(device: torch.device) -> AbstractContextManager[None]:
    """Triton launches on the current device."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@contextmanager
def true_float32() -> Iterator[None]:
    """Matrix products of float32 in float32, whatever precision is allowed outside."""
    matmul = torch.backends.cuda.matmul
    name, value = ("fp32_precision", "ieee") if hasattr(matmul, "fp32_precision") else ("allow_tf32", False)
    before = getattr(matmul, name)
    setattr(matmul, name, value)
    try:
        yield
    finally:
        setattr(matmul, name, before)
