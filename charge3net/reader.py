"""Reads one structure's density at any number of points in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_probe_graph
from charge3net.graph.types import AtomGraph, ProbeGraph
from charge3net.grid import Grid
from charge3net.models.base import DensityModel
from charge3net.progress import Clock, Progress
from charge3net.symmetry import GridSymmetry

#: Points searched for neighbours at once, at most; bounds the memory where there are no atoms.
MAX_POINTS = 1 << 15

#: ``points(start, stop)`` gives the positions [stop − start, 3] Å of a range of points.
Points = Callable[[int, int], ndarray]


class DensityReader:
    """The atoms of one structure, encoded once, and ways to read their density.

    Args:
        model: on the device where it is to run.
        geometry: the structure; its periodicity is taken as it stands.
        atoms: its graph with the model's cutoff.
        edge_budget: pairs of probe and atom given to the model at once; a single probe may have more.
        clock: gets the times of "atoms", "neighbours", "reading" and "spreading".
    """

    def __init__(
        self, model: DensityModel, geometry: Geometry, atoms: AtomGraph, edge_budget: int, clock: Clock
    ) -> None:
        self.model, self.geometry, self.edge_budget, self.clock = model, geometry, edge_budget, clock
        with clock("atoms"), torch.no_grad():
            self.state = model.encode_atoms(atoms.to(model.device))

    def fill(
        self, values: Shaped[ndarray, "channels nx ny nz"], grid: Grid, symmetry: GridSymmetry | None, report: Progress
    ) -> None:
        """Write the density at the voxels of ``grid`` into ``values``, e/Å³.

        With ``symmetry`` only the irreducible voxels are read, and copied to the others.
        """
        flat = values.reshape(len(values), -1)
        if symmetry is None:
            for start, stop, block in self.blocks(len(grid), lambda a, b: grid.points(np.arange(a, b))):
                flat[:, start:stop] = block.T
                report(stop, len(grid))
            return
        voxels = symmetry.representatives
        few = np.empty((len(values), len(voxels)), dtype=values.dtype)
        for start, stop, block in self.blocks(len(voxels), lambda a, b: grid.points(voxels[a:b])):
            few[:, start:stop] = block.T
            report(stop, len(voxels))
        with self.clock("spreading"):
            for channel, read in zip(flat, few, strict=True):
                symmetry.spread(read, channel)

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
            for piece in split_probes(graph, self.edge_budget):
                pieces.append(self.model.read_density(self.state, piece.to(self.model.device)).cpu().numpy())
        block = np.concatenate(pieces)
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            where = ", ".join(f"{x:.3f}" for x in graph.points[int(np.argmin(finite))].tolist())
            raise InputError(
                f"the model predicts a number that is not finite at ({where}) Å; check model and structure"
            )
        return block


def split_probes(graph: ProbeGraph, max_edges: int) -> Iterator[ProbeGraph]:
    """The probes of one structure in order, in pieces of at most ``max_edges`` edges, or of one probe."""
    if len(graph.senders) <= max_edges:
        yield graph
        return
    ends = torch.searchsorted(graph.receivers, torch.arange(graph.n_probes), right=True)
    first = begin = 0
    while first < graph.n_probes:
        last = max(int(torch.searchsorted(ends, begin + max_edges, right=True)), first + 1)
        end = int(ends[last - 1])
        yield ProbeGraph(
            points=graph.points[first:last],
            senders=graph.senders[begin:end],
            receivers=graph.receivers[begin:end] - first,
            shifts=graph.shifts[begin:end],
            offsets=torch.tensor([0, last - first]),
        )
        first, begin = last, end
