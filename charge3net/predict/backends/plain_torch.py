"""The density by the model itself, in torch: for every model, device and dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.graph.build import build_probe_graph
from charge3net.graph.chunks import chunk_probes, restrict_to_neighbours
from charge3net.graph.types import AtomState, ProbeGraph
from charge3net.grid import Grid
from charge3net.models.base import DensityModel
from charge3net.predict.backends.base import check_finite
from charge3net.progress import Clock

#: Points whose neighbours are searched at once, at most; bounds the memory where there are no atoms.
MAX_POINTS = 1 << 15


class TorchBackend:
    """Evaluates one structure's density chunk by chunk, in bounded memory.

    Args:
        model: any model.
        state: its encoded atoms.
        geometry: the structure, atoms in the same order; its periodicity is used as it is.
        edge_budget: pairs of probe and atom given to the model at once; a single probe may have more.
        reason: why no kernel evaluates this model.
        clock: times the neighbour search as "neighbours".

    Attributes:
        rows, dtype, description: see :class:`charge3net.predict.backends.base.Backend`.
    """

    def __init__(
        self, model: DensityModel, state: AtomState, geometry: Geometry, edge_budget: int, reason: str, clock: Clock
    ) -> None:
        self.rows, self.dtype = model.channels, torch.empty(0, dtype=model.dtype).numpy().dtype
        self.description = f"torch: {reason}"
        self._model, self._state, self._geometry = model, state, geometry
        self._edge_budget, self._clock = edge_budget, clock

    def grid(
        self,
        grid: Grid,
        out: Shaped[ndarray, "rows points"],
        index: Int[ndarray, "points"] | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """See :class:`charge3net.predict.backends.base.Backend`."""

        def points(start: int, stop: int) -> ndarray:
            return grid.points(np.arange(start, stop) if index is None else index[start:stop])

        n = len(grid) if index is None else len(index)
        for start, stop, block in self._blocks(n, points):
            out[:, start:stop] = block
            report(stop, n)

    def points(self, points: Float[ndarray, "points 3"], out: Shaped[ndarray, "rows points"]) -> None:
        """See :class:`charge3net.predict.backends.base.Backend`."""
        for start, stop, block in self._blocks(len(points), lambda a, b: points[a:b]):
            out[:, start:stop] = block

    def _blocks(self, n: int, points: Callable[[int, int], ndarray]) -> Iterator[tuple[int, int, ndarray]]:
        """(start, stop, [rows, stop − start]) until all ``n`` points are done.

        The number of points in a block follows from the number of edges of the block before.
        """
        start, size = 0, self._first_size()
        while start < n:
            stop = min(start + size, n)
            with self._clock("neighbours"):
                graph = build_probe_graph(self._geometry, points(start, stop), self._model.cutoff)
            block = self._evaluate(graph)
            check_finite(block, graph.points.numpy())
            yield start, stop, block
            wanted = self._edge_budget * (stop - start) // max(len(graph.senders), 1)
            start, size = stop, max(1, min(wanted, 2 * size, MAX_POINTS))

    def _first_size(self) -> int:
        """From the number of atoms per volume. Where atoms crowd, the edges found are split before they are used."""
        edges_per_point = float(len(self._geometry))
        if self._geometry.volume > 1e-6:
            edges_per_point *= 4.0 / 3.0 * np.pi * self._model.cutoff**3 / self._geometry.volume
        return max(1, min(int(self._edge_budget / edges_per_point), MAX_POINTS))

    def _evaluate(self, graph: ProbeGraph) -> Float[ndarray, "rows points"]:
        parts = []
        with torch.no_grad():
            for chunk in chunk_probes(graph, self._edge_budget):
                state, probes = restrict_to_neighbours(self._state, chunk)
                parts.append(self._model.density_at(state, probes.to(self._model.device)).cpu().numpy())
        return np.concatenate(parts).T
