"""Cell list: atoms sorted into bins of the cell, in which the kernels search the neighbours of points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.graph import chunks
from charge3net.graph.types import AtomGraph

#: Width of a bin in Å, about.
_WIDTH = 2.0


@dataclass(frozen=True, eq=False)
class CellList:
    """Bins are numbered in C order over (a, b, c); along a periodic vector they fill the cell, else the atoms' extent.

    Attributes:
        positions: [atoms, 3] Å, as given.
        cell, inverse: [3, 3] rows, and its inverse; non-periodic vectors replaced by unit normals.
        low, width: [3] fractional coordinate where bin 0 begins, and fractional width of a bin.
        bins: [3] number of bins.
        periodic: [3] 0 or 1.
        bounds: [bins + 1] members bounds[b]:bounds[b+1] are the atoms in bin b.
        members: [atoms].
        wraps: [atoms, 3] image of the cell in which an atom, as given, lies; 0 along non-periodic vectors.
    """

    positions: Float[ndarray, "atoms 3"]
    cell: Float[ndarray, "3 3"]
    inverse: Float[ndarray, "3 3"]
    low: Float[ndarray, "3"]
    width: Float[ndarray, "3"]
    bins: Int[ndarray, "3"]
    periodic: Int[ndarray, "3"]
    bounds: Int[ndarray, "bins1"]
    members: Int[ndarray, "atoms"]
    wraps: Int[ndarray, "atoms 3"]

    def in_order_of_bins(self) -> CellList:
        """Of the same atoms, numbered in the order of :attr:`members`."""
        order = self.members
        members = np.arange(len(order), dtype=np.int32)
        return replace(self, positions=self.positions[order], members=members, wraps=self.wraps[order])


#: The cell list of every structure that still exists: it is needed for the order of the atoms and by each backend.
_cell_lists: WeakKeyDictionary[Geometry, CellList] = WeakKeyDictionary()


def cell_list(geometry: Geometry) -> CellList:
    """The bins of a structure, sorted once."""
    found = _cell_lists.get(geometry)
    if found is None:
        found = _cell_lists[geometry] = _sort_into_bins(geometry)
    return found


def _sort_into_bins(geometry: Geometry) -> CellList:
    pbc = geometry.pbc
    cell = geometry.complete_cell
    inverse = np.linalg.inv(cell)
    fractional = geometry.positions @ inverse
    wraps = np.where(pbc, np.floor(fractional), 0.0)
    wrapped = fractional - wraps
    low = np.where(pbc, 0.0, wrapped.min(axis=0))
    extent = np.where(pbc, 1.0, np.maximum(np.ptp(wrapped, axis=0), 1e-6))
    heights = extent / np.linalg.norm(inverse, axis=0)
    bins = np.maximum(heights / _WIDTH, 1.0)
    bins *= min(1.0, ((4 * len(geometry) + 64) / bins.prod()) ** (1 / 3))  # no more bins than atoms warrant
    bins = np.maximum(bins.astype(np.int64), 1)
    width = extent / bins
    place = np.clip(((wrapped - low) / width).astype(np.int64), 0, bins - 1)
    number = (place[:, 0] * bins[1] + place[:, 1]) * bins[2] + place[:, 2]
    members = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[members], np.arange(bins.prod() + 1))
    return CellList(
        geometry.positions,
        cell,
        inverse,
        low,
        width,
        bins.astype(np.int32),
        pbc.astype(np.int32),
        bounds.astype(np.int32),
        members.astype(np.int32),
        wraps.astype(np.int32),
    )


def sorted_in_space(geometry: Geometry, atoms: AtomGraph) -> tuple[Geometry, AtomGraph]:
    """The atoms of a large structure in an order in which neighbours in space are near each other in memory."""
    if len(geometry) < chunks.MANY_ATOMS:
        return geometry, atoms
    cells = cell_list(geometry)
    order = cells.members.astype(np.int64)
    places = torch.from_numpy(np.argsort(order))
    receivers, edges = torch.sort(places[atoms.receivers], stable=True)
    graph = AtomGraph(
        numbers=atoms.numbers[order],
        positions=atoms.positions[order],
        senders=places[atoms.senders[edges]],
        receivers=receivers,
        shifts=atoms.shifts[edges],
        offsets=atoms.offsets,
    )
    ordered = Geometry(geometry.numbers[order], geometry.positions[order], geometry.cell, geometry.pbc)
    _cell_lists[ordered] = cells.in_order_of_bins()
    return ordered, graph
