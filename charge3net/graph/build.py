"""Graphs (torch tensors) of atoms and of probes, from structures and points (numpy arrays)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.graph.neighbors import find_atom_neighbors, find_neighbors
from charge3net.graph.types import AtomGraph, ProbeGraph


def build_atom_graph(geometry: Geometry, cutoff: float) -> AtomGraph:
    """Pairs of atoms closer than ``cutoff`` Å; an atom and its own periodic images are pairs too."""
    receivers, senders, shifts = find_atom_neighbors(geometry, cutoff)
    return AtomGraph(
        numbers=torch.from_numpy(geometry.numbers.copy()),
        positions=torch.from_numpy(geometry.positions.copy()),
        senders=torch.from_numpy(senders),
        receivers=torch.from_numpy(receivers),
        shifts=torch.from_numpy(shifts),
        offsets=torch.tensor([0, len(geometry)]),
    )


def build_probe_graph(geometry: Geometry, points: Float[ndarray, "probes 3"], cutoff: float) -> ProbeGraph:
    """The atoms closer than ``cutoff`` Å to each point (Å), an atom at the point itself included."""
    points = np.ascontiguousarray(points, dtype=np.float64)
    receivers, senders, shifts = find_neighbors(points, geometry, cutoff)
    return ProbeGraph(
        points=torch.from_numpy(points.copy()),
        senders=torch.from_numpy(senders),
        receivers=torch.from_numpy(receivers),
        shifts=torch.from_numpy(shifts),
        offsets=torch.tensor([0, len(points)]),
    )
