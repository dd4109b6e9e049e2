"""Reads one structure's density at any number of points in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from numpy.typing import ArrayLike

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_probe_graph
from charge3net.graph.cell_list import sorted_in_space
from charge3net.graph.chunks import chunk_probes, restrict_to_neighbours
from charge3net.graph.types import AtomGraph, ProbeGraph
from charge3net.grid import Grid
from charge3net.models.base import DensityModel
from charge3net.predict.backends.choose import choose_backend
from charge3net.predict.distributed import ALONE, Processes
from charge3net.predict.grid_chunks import (
    CHUNK,
    Voxels,
    evaluate_chunks,
    first_axis_fastest,
    in_memory_order,
    is_first_axis_fastest,
)
from charge3net.predict.progress import Clock, Progress
from charge3net.predict.symmetry import GridSymmetry

#: Points searched for neighbours at once, at most; bounds the memory where there are no atoms.
MAX_POINTS = 1 << 15

#: ``points(start, stop)`` gives the positions [stop − start, 3] Å of a range of points.
Points = Callable[[int, int], ndarray]


class EncodedStructure:
    """The atoms of one structure, encoded once, and ways to read their density.

    Args:
        model: on the device where it is to run.
        geometry: the structure; its periodicity is taken as it stands.
        atoms: its graph with the model's cutoff.
        edge_budget: pairs of probe and atom given to the model at once; a single probe may have more.
        clock: gets the times of "atoms", "neighbours", "reading" and "spreading".

    Attributes:
        compiled: reads in place of the model where the kernels can, on CPU or GPU; needs no edge budget.
        backend: who reads, in words.
    """

    def __init__(
        self, model: DensityModel, geometry: Geometry, atoms: AtomGraph, edge_budget: int, clock: Clock
    ) -> None:
        self.model, self.edge_budget, self.clock = model, edge_budget, clock
        self.geometry, atoms = sorted_in_space(geometry, atoms)
        with clock("atoms"), torch.no_grad(), _one_thread():
            self.state = model.encode_atoms(atoms.to(model.device))
            self.compiled, self.backend = choose_backend(model, self.state, self.geometry)

    def density_on(
        self,
        values: Shaped[ndarray, "channels nx ny nz"] | None,
        grid: Grid,
        symmetry: GridSymmetry | None,
        report: Progress,
        processes: Processes = ALONE,
    ) -> None:
        """Write the density at the voxels of ``grid`` into ``values``, e/Å³.

        Args:
            values: needed in the process that collects; contiguous, in C order or with the first axis fastest. It is
                written front to back, such that it may lie in a file.
            grid: in the coordinates of the structure.
            symmetry: read irreducible voxels only, and copy them to the others.
            report: called with the points read and to be read.
            processes: those who read this grid together.

        Raises:
            InputError: if a prediction is not finite.
        """
        flat = None if values is None else in_memory_order(values)
        if symmetry is None:
            turned = processes.share(lambda: values is not None and is_first_axis_fastest(values))
            every = first_axis_fastest(grid.shape) if turned else None
            self._read_shared(flat, grid, len(grid), every, report, processes)
            return
        chosen = symmetry.representatives
        few = np.empty((self.model.channels, len(chosen)), dtype=self.dtype)
        self._read_shared(few, grid, len(chosen), lambda a, b: chosen[a:b], report, processes)
        if values is not None:
            with self.clock("spreading"):
                for channel, read in zip(values, few, strict=True):
                    symmetry.spread(read, channel)

    @property
    def dtype(self) -> np.dtype:
        """Of the density that is read."""
        return torch.empty(0, dtype=self.model.dtype).numpy().dtype

    def _read_shared(
        self,
        out: Shaped[ndarray, "channels points"] | None,
        grid: Grid,
        n: int,
        voxels: Voxels | None,
        report: Progress,
        processes: Processes,
    ) -> None:
        """``n`` voxels of the grid (None: all in C order) into the columns of ``out``."""
        if processes.size == 1 and out is not None and (voxels is None or n <= CHUNK):
            self._read_voxels(out, grid, None if voxels is None else voxels(0, n), report)
            return

        def read(index: ndarray, part: ndarray) -> None:
            self._read_voxels(part, grid, index, lambda done, total: None)

        evaluate_chunks(out, self.model.channels, self.dtype, n, voxels or np.arange, read, processes, report)

    def density_at(self, points: Float[ndarray, "points 3"], values: Shaped[ndarray, "channels points"]) -> None:
        """Write the density at any points (Å) into ``values``, e/Å³."""
        if self.compiled is not None:
            with self.clock("reading"):
                self.compiled.points(points, values)
            return
        for start, stop, block in self.blocks(len(points), lambda a, b: points[a:b]):
            values[:, start:stop] = block.T

    def _read_voxels(
        self,
        out: Shaped[ndarray, "channels points"],
        grid: Grid,
        index: Int[ndarray, "points"] | None,
        report: Progress,
    ) -> None:
        """The voxels with these flat indices (None: all) into the columns of ``out``."""
        if self.compiled is not None:
            with self.clock("reading"):
                self.compiled.grid(grid, out, index, report)
            return

        def points(start: int, stop: int) -> ndarray:
            return grid.points(np.arange(start, stop) if index is None else index[start:stop])

        n = out.shape[1]
        for start, stop, block in self.blocks(n, points):
            out[:, start:stop] = block.T
            report(stop, n)

    def blocks(self, n: int, points: Points) -> Iterator[tuple[int, int, ndarray]]:
        """(start, stop, [stop − start, channels] e/Å³) until all ``n`` points are read.

        The number of points in a block follows from the edges that the block before had.

        Raises:
            InputError: if a prediction is not finite.
        """
        start, size = 0, self._first_size()
        while start < n:
            stop = min(start + size, n)
            with self.clock("neighbours"):
                graph = build_probe_graph(self.geometry, points(start, stop), self.model.cutoff)
            with self.clock("reading"):
                block = self._read(graph)
            yield start, stop, block
            wanted = self.edge_budget * (stop - start) // max(len(graph.senders), 1)
            start, size = stop, max(1, min(wanted, 2 * size, MAX_POINTS))

    def _first_size(self) -> int:
        """From the number of atoms per volume. Where atoms crowd, the edges found are split before they are read."""
        edges_per_point = float(len(self.geometry))
        if self.geometry.volume > 1e-6:
            edges_per_point *= 4.0 / 3.0 * np.pi * self.model.cutoff**3 / self.geometry.volume
        return max(1, min(int(self.edge_budget / edges_per_point), MAX_POINTS))

    def _read(self, graph: ProbeGraph) -> Float[ndarray, "points channels"]:
        pieces = []
        with torch.no_grad():
            for piece in chunk_probes(graph, self.edge_budget):
                state, probes = restrict_to_neighbours(self.state, piece)
                pieces.append(self.model.density_at(state, probes.to(self.model.device)).cpu().numpy())
        block = np.concatenate(pieces)
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            where = ", ".join(f"{x:.3f}" for x in graph.points[int(np.argmin(finite))].tolist())
            raise InputError(
                f"the model predicts a number that is not finite at ({where}) Å; check model and structure"
            )
        return block


@contextmanager
def _one_thread() -> Iterator[None]:
    """Many small operations: with more threads they wait for each other, on a busy machine for seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def as_points(points: ArrayLike) -> Float[ndarray, "points 3"]:
    """Positions that a user gave, [n, 3] Å in float64.

    Raises:
        InputError: if they are something else.
    """
    places = np.asarray(points, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 3 or not np.isfinite(places).all():
        raise InputError(f"points are finite Cartesian positions [n, 3] in Å, found shape {places.shape}")
    return places
