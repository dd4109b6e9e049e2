"""Receivers in chunks with a bounded number of edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from charge3net.graph.types import AtomGraph, AtomState, ProbeGraph

#: Edges whose messages are formed at once without gradients: 40 kB each in the largest model on torch.
EDGES_AT_ONCE = 1 << 12

#: From this number of atoms on, they are sorted in space, and only neighbours of probes send messages.
MANY_ATOMS = 256


def atom_chunks(atoms: AtomGraph) -> list[tuple[slice, slice]]:
    """The atoms as receivers, in consecutive (atoms, edges that end at them).

    Without gradients in chunks of at most :data:`EDGES_AT_ONCE` edges; with gradients in one.
    """
    if torch.is_grad_enabled():
        return [(slice(0, atoms.n_atoms), slice(0, len(atoms.receivers)))]
    return list(receiver_chunks(atoms.receivers, atoms.n_atoms, EDGES_AT_ONCE))


def receiver_chunks(receivers: Int[Tensor, "edges"], n_receivers: int, max_edges: int) -> Iterator[tuple[slice, slice]]:
    """All receivers in order, in (receivers, edges) of at most ``max_edges`` edges, or of one receiver.

    Args:
        receivers: [edges] index of the receiver of each edge, ascending.
        n_receivers: number of receivers; one without edges counts too.
        max_edges: at least 1.
    """
    if len(receivers) <= max_edges:
        yield slice(0, n_receivers), slice(0, len(receivers))
        return
    ends = torch.searchsorted(receivers, torch.arange(n_receivers, device=receivers.device), right=True).cpu()
    first = begin = 0
    while first < n_receivers:
        last = max(int(torch.searchsorted(ends, begin + max_edges, right=True)), first + 1)
        end = int(ends[last - 1])
        yield slice(first, last), slice(begin, end)
        first, begin = last, end


def concatenate(parts: Sequence[Float[Tensor, "_ *features"]]) -> Float[Tensor, "atoms *features"]:
    """The parts one after the other; a single one as it is."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def chunk_probes(graph: ProbeGraph, max_edges: int) -> Iterator[ProbeGraph]:
    """The probes of one structure in order, in chunks of at most ``max_edges`` edges, or of one probe."""
    if len(graph.senders) <= max_edges:
        yield graph
        return
    for probes, edges in receiver_chunks(graph.receivers, graph.n_probes, max_edges):
        yield ProbeGraph(
            points=graph.points[probes],
            senders=graph.senders[edges],
            receivers=graph.receivers[edges] - probes.start,
            shifts=graph.shifts[edges],
            offsets=torch.tensor([0, probes.stop - probes.start]),
        )


def restrict_to_neighbours(state: AtomState, probes: ProbeGraph) -> tuple[AtomState, ProbeGraph]:
    """The state of the atoms within the cutoff of some probe, and the probes with their senders counted among these.

    Models compute the messages of every atom in the state for each chunk of a grid; in a large structure few atoms are
    needed.
    """
    atoms = state.atoms
    if atoms.n_atoms < MANY_ATOMS:
        return state, probes
    neighbours, senders = torch.unique(probes.senders, return_inverse=True)
    here = neighbours.to(atoms.numbers.device)
    none = atoms.senders[:0]
    near = AtomGraph(
        atoms.numbers[here], atoms.positions[here], none, none, atoms.shifts[:0], torch.tensor([0, len(neighbours)])
    )
    return AtomState(near, tuple(layer[here] for layer in state.layers)), replace(probes, senders=senders)
