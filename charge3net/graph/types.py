"""The graphs and batches that models take.

Conventions (docs/design.md): positions and lattice translations are float64 Å; a *receiver* (atom or probe) collects
messages from *senders* (atoms, possibly periodic images); the edge vector is
``r_receiver − (r_sender + shift)``; receivers are sorted, so a range of receivers is a slice of the edges.
Several structures in one graph are a concatenation with offsets, never padding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

T = TypeVar("T", bound="_Movable")


@dataclass(frozen=True, eq=False)
class _Movable:
    """Tensors in a frozen dataclass that move to a device together."""

    def to(self: T, device: torch.device | str, non_blocking: bool = False) -> T:
        """The same on another device; dtypes stay."""

        def move(value: Any) -> Any:
            return value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor | _Movable) else value

        return replace(self, **{f.name: move(getattr(self, f.name)) for f in fields(self)})

    def pin_memory(self: T) -> T:
        """The same in page-locked memory (what a DataLoader calls)."""

        def pin(value: Any) -> Any:
            return value.pin_memory() if isinstance(value, Tensor | _Movable) else value

        return replace(self, **{f.name: pin(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True, eq=False)
class AtomGraph(_Movable):
    """Atoms of one or more structures, and the pairs of neighbours within the cutoff.

    Attributes:
        numbers: [atoms] atomic numbers, int64.
        positions: [atoms, 3] Å, float64.
        senders, receivers: [edges] atom indices, int64; receivers ascending.
        shifts: [edges, 3] Cartesian lattice translation of the sender's image, Å, float64.
        offsets: [structures + 1] atoms offsets[i]:offsets[i+1] belong to structure i.
    """

    numbers: Int[Tensor, "atoms"]
    positions: Float[Tensor, "atoms 3"]
    senders: Int[Tensor, "edges"]
    receivers: Int[Tensor, "edges"]
    shifts: Float[Tensor, "edges 3"]
    offsets: Int[Tensor, "structures1"]

    @property
    def n_atoms(self) -> int:
        return self.numbers.shape[0]

    @property
    def n_structures(self) -> int:
        return self.offsets.shape[0] - 1

    def edge_vectors(self, dtype: torch.dtype) -> Float[Tensor, "edges 3"]:
        """[edges, 3] r_receiver − (r_sender + shift) in Å: computed in float64, then rounded to ``dtype``."""
        return (self.positions[self.receivers] - (self.positions[self.senders] + self.shifts)).to(dtype)


@dataclass(frozen=True, eq=False)
class ProbeGraph(_Movable):
    """Points where the density is evaluated, and the atoms within the cutoff of each.

    Attributes:
        points: [probes, 3] Å, float64.
        senders: [edges] atom indices (into the AtomGraph), int64.
        receivers: [edges] probe indices, int64, ascending.
        shifts: [edges, 3] Cartesian lattice translation of the sender's image, Å, float64.
        offsets: [structures + 1] probes offsets[i]:offsets[i+1] belong to structure i.
    """

    points: Float[Tensor, "probes 3"]
    senders: Int[Tensor, "edges"]
    receivers: Int[Tensor, "edges"]
    shifts: Float[Tensor, "edges 3"]
    offsets: Int[Tensor, "structures1"]

    @property
    def n_probes(self) -> int:
        return self.points.shape[0]

    def edge_vectors(self, atom_positions: Float[Tensor, "atoms 3"], dtype: torch.dtype) -> Float[Tensor, "edges 3"]:
        """[edges, 3] point − (atom + shift) in Å: computed in float64, then rounded to ``dtype``."""
        return (self.points[self.receivers] - (atom_positions[self.senders] + self.shifts)).to(dtype)


@dataclass(frozen=True, eq=False)
class DensityBatch(_Movable):
    """The input of a training step: graphs and target densities.

    Attributes:
        atoms, probes: the graphs of all structures, concatenated.
        target: [probes, channels] the density at the probes, e/Å³, float32 (or float64).
        keys: name of each structure.
        mean_density: [structures] mean of the total density over the whole cell, e/Å³; None where it is not known.
    """

    atoms: AtomGraph
    probes: ProbeGraph
    target: Float[Tensor, "probes channels"]
    keys: tuple[str, ...]
    mean_density: Float[Tensor, "structures"] | None = None


@dataclass(frozen=True, eq=False)
class AtomState(_Movable):
    """Everything about the atoms that evaluating the density needs: computed once per structure.

    Attributes:
        atoms: the graph it was computed from.
        layers: per interaction layer the atoms' features, [atoms, …] in the model's dtype;
            their layout is the model's own.
    """

    atoms: AtomGraph
    layers: tuple[Tensor, ...]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> AtomState:
        """The same on another device."""
        layers = tuple(layer.to(device, non_blocking=non_blocking) for layer in self.layers)
        return AtomState(self.atoms.to(device, non_blocking), layers)
