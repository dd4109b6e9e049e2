"""Receivers in pieces that hold a bounded number of edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from charge3net.graph.types import AtomGraph

#: Edges whose messages are formed at once where no gradient is asked for: 40 kB each in the largest model on torch.
EDGES_AT_ONCE = 1 << 12


def atom_chunks(atoms: AtomGraph) -> list[tuple[slice, slice]]:
    """The atoms as receivers, in consecutive (atoms, edges that end in them).

    Pieces of at most :data:`EDGES_AT_ONCE` edges where no gradient is asked for, else one.
    """
    if torch.is_grad_enabled():
        return [(slice(0, atoms.n_atoms), slice(0, len(atoms.receivers)))]
    return list(receiver_chunks(atoms.receivers, atoms.n_atoms, EDGES_AT_ONCE))


def receiver_chunks(receivers: Int[Tensor, "edges"], n_receivers: int, max_edges: int) -> Iterator[tuple[slice, slice]]:
    """All receivers in order, in (receivers, edges) of at most ``max_edges`` edges, or of one receiver.

    Args:
        receivers: [edges] index of the receiver of each edge, ascending.
        n_receivers: number of receivers; one without edges has its place too.
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
