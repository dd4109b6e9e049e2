"""Edges as arrays for the compiled sums: computed once, used by every layer."""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from charge3net.kernels.library import compiled
from charge3net.nn.edges import ON_ATOM, Edges
from charge3net.nn.radial_table import node_basis


@dataclass(frozen=True, eq=False)
class SortedBySender:
    """The edges in the order of their senders: bounds [senders + 1], the rest as in :class:`EdgeArrays`."""

    bounds: Int[Tensor, "senders1"]
    receivers: Int[Tensor, "edges"]
    harmonics: Float[Tensor, "numbers"]
    spline: Float[Tensor, "edges 4"]
    rows: Int[Tensor, "edges"]


@dataclass(frozen=True, eq=False)
class EdgeArrays:
    """Input of the compiled sums.

    Attributes:
        n_senders: number of senders; the indices were checked against it.
        senders: [edges] int32.
        bounds: [receivers + 1] int64, edges bounds[r]:bounds[r+1] belong to receiver r.
        harmonics: spherical harmonics, [edges, 2l+1] for l = 0, 1, … one after the other.
        spline: [edges, 4] B-spline weights of the four table rows from ``rows`` on.
        rows: [edges] int32 first row in the table of used rows.
        used: [used] which rows of the full table those are, ascending.
        lmax: highest order of the harmonics.
    """

    n_senders: int
    senders: Int[Tensor, "edges"]
    bounds: Int[Tensor, "receivers1"]
    harmonics: Float[Tensor, "numbers"]
    spline: Float[Tensor, "edges 4"]
    rows: Int[Tensor, "edges"]
    used: Int[Tensor, "used"]
    lmax: int

    @cached_property
    def by_sender(self) -> SortedBySender:
        """Formed at the first backward pass."""
        n = len(self.senders)
        sorted_arrays = (
            torch.empty(self.n_senders + 1, dtype=torch.int64),
            torch.empty(n, dtype=torch.int32),
            torch.empty_like(self.harmonics),
            torch.empty_like(self.spline),
            torch.empty_like(self.rows),
        )
        given = (self.senders, self.bounds, self.harmonics, self.spline, self.rows)
        compiled().c3n_sort_by_sender(
            *(ctypes.c_int64(count) for count in (n, len(self.bounds) - 1, self.n_senders)),
            ctypes.c_int(self.lmax),
            *(ctypes.c_void_p(t.data_ptr()) for t in (*given, *sorted_arrays)),
        )
        return SortedBySender(*sorted_arrays)


class PreparedEdges:
    """Arrays and nodes of one set of edges, formed at first use and cached as long as the edges exist."""

    def __init__(self, edges: Edges, n_senders: int) -> None:
        self.n_senders = n_senders
        self._arrays: dict[int, EdgeArrays | None] = {}
        self._nodes: dict[int, Tensor] = {}
        self._edges = weakref.proxy(edges)

    def at_nodes(self, bins: int) -> Float[Tensor, "nodes basis"]:
        """[nodes, basis] radial functions at the nodes of a table with ``bins`` steps."""
        if bins not in self._nodes:
            self._nodes[bins] = node_basis(self._edges.basis, bins)
        return self._nodes[bins]

    def arrays(self, bins: int) -> EdgeArrays | None:
        """For tables with ``bins`` steps; None for edges that are unsorted or longer than the cutoff."""
        if bins not in self._arrays:
            self._arrays[bins] = _arrays(self._edges, self.n_senders, bins)
        return self._arrays[bins]


_prepared: WeakKeyDictionary[Edges, PreparedEdges] = WeakKeyDictionary()


def prepared(edges: Edges, n_senders: int) -> PreparedEdges:
    """The cached arrays of these edges."""
    found = _prepared.get(edges)
    if found is None or found.n_senders != n_senders:
        found = _prepared[edges] = PreparedEdges(edges, n_senders)
    return found


def _arrays(edges: Edges, n_senders: int, bins: int) -> EdgeArrays | None:
    n = len(edges.senders)
    vectors = edges.vectors.detach().contiguous()
    senders, receivers = edges.senders.contiguous(), edges.receivers.contiguous()
    arrays = (
        torch.empty(n, dtype=torch.int32),
        torch.empty(edges.n_receivers + 1, dtype=torch.int64),
        torch.empty(n * (edges.lmax + 1) ** 2),
        torch.empty(n, 4),
        torch.empty(n, dtype=torch.int32),
        torch.empty(bins + 3, dtype=torch.uint8),
    )
    problem = compiled().c3n_prepare_edges(
        *(ctypes.c_int64(count) for count in (n, edges.n_receivers, n_senders)),
        *(ctypes.c_void_p(t.data_ptr()) for t in (vectors, senders, receivers)),
        ctypes.c_double(edges.basis.cutoff),
        ctypes.c_int(bins),
        ctypes.c_int(edges.lmax),
        ctypes.c_double(ON_ATOM),
        *(ctypes.c_void_p(t.data_ptr()) for t in arrays),
    )
    if problem:
        return None
    sender32, bounds, harmonics, spline, rows, mask = arrays
    place = torch.cumsum(mask, 0, dtype=torch.int32) - 1
    used = torch.nonzero(mask).squeeze(1)
    return EdgeArrays(n_senders, sender32, bounds, harmonics, spline, place[rows.long()], used, edges.lmax)
