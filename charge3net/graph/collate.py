"""Several structures in one graph: concatenation with offsets, never padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from charge3net.graph.types import AtomGraph, DensityBatch, ProbeGraph


def collate_atoms(graphs: Sequence[AtomGraph]) -> AtomGraph:
    """One atom graph that holds all of these."""
    starts = _starts([g.n_atoms for g in graphs])
    return AtomGraph(
        numbers=torch.cat([g.numbers for g in graphs]),
        positions=torch.cat([g.positions for g in graphs]),
        senders=torch.cat([g.senders + start for g, start in zip(graphs, starts, strict=True)]),
        receivers=torch.cat([g.receivers + start for g, start in zip(graphs, starts, strict=True)]),
        shifts=torch.cat([g.shifts for g in graphs]),
        offsets=_join_offsets([g.offsets for g in graphs]),
    )


def collate_probes(graphs: Sequence[ProbeGraph], n_atoms: Sequence[int]) -> ProbeGraph:
    """One probe graph that holds all of these; ``n_atoms[i]`` is the number of atoms that graph i sends from."""
    atom_starts, probe_starts = _starts(n_atoms), _starts([g.n_probes for g in graphs])
    return ProbeGraph(
        points=torch.cat([g.points for g in graphs]),
        senders=torch.cat([g.senders + start for g, start in zip(graphs, atom_starts, strict=True)]),
        receivers=torch.cat([g.receivers + start for g, start in zip(graphs, probe_starts, strict=True)]),
        shifts=torch.cat([g.shifts for g in graphs]),
        offsets=_join_offsets([g.offsets for g in graphs]),
    )


def collate(batches: Sequence[DensityBatch]) -> DensityBatch:
    """One batch that holds all of these."""
    means = [b.mean_density for b in batches if b.mean_density is not None]
    return DensityBatch(
        atoms=collate_atoms([b.atoms for b in batches]),
        probes=collate_probes([b.probes for b in batches], [b.atoms.n_atoms for b in batches]),
        target=torch.cat([b.target for b in batches]),
        keys=tuple(key for b in batches for key in b.keys),
        mean_density=torch.cat(means) if len(means) == len(batches) else None,
    )


def _starts(counts: Sequence[int]) -> list[int]:
    starts, total = [], 0
    for count in counts:
        starts.append(total)
        total += count
    return starts


def _join_offsets(offsets: Sequence[Int[Tensor, "_"]]) -> Int[Tensor, "structures1"]:
    parts, total = [torch.zeros(1, dtype=torch.int64)], 0
    for o in offsets:
        parts.append(o[1:] + total)
        total += int(o[-1])
    return torch.cat(parts)
