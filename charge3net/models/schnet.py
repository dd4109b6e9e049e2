"""SchNetDensity: the invariant network of DeepDFT, in which only distances count.

Source: P. B. Jørgensen and A. Bhowmik, npj Comput. Mater. 8, 183 (2022); where the released weights compute something
else than the text says (the receiver's state is part of a message), the weights are followed.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from charge3net.geometry import MAX_ATOMIC_NUMBER
from charge3net.graph.types import AtomGraph, AtomState, ProbeGraph
from charge3net.models.base import DensityModel
from charge3net.models.checks import check_hyperparameters
from charge3net.nn.mlp import ShiftedSoftplus, two_layers
from charge3net.nn.radial import gaussians, sigmoid_cutoff
from charge3net.nn.segment import segment_sum


class _Edges(NamedTuple):
    """What a message sees of the edges, the same in every layer."""

    senders: Int[Tensor, "edges"]
    receivers: Int[Tensor, "edges"]
    n_receivers: int
    radial: Float[Tensor, "edges radial"]
    envelope: Float[Tensor, "edges 1"]


class SchNetMessage(nn.Module):
    """``Σ_edges MLP_node([h_sender, h_receiver]) ∘ MLP_edge(radial)·envelope``.

    MLP_node is ``node_in``, activation, ``node_out``. ``node_in`` is linear in both states, so each half of it is
    computed per atom or probe and only added per edge.
    """

    def __init__(self, features: int, num_basis: int) -> None:
        super().__init__()
        self.features = features
        self.edge_mlp = two_layers(num_basis, features, features, ShiftedSoftplus())
        self.node_in = nn.Linear(2 * features, 2 * features)
        self.node_out = nn.Linear(2 * features, features)
        self.activation = ShiftedSoftplus()

    def forward(
        self, sender: Float[Tensor, "atoms f"], receiver: Float[Tensor, "receivers f"] | None, edges: _Edges
    ) -> Float[Tensor, "receivers f"]:
        """[receivers, features] summed messages; ``receiver`` None stands for states that are all zero."""
        for_sender, for_receiver = self.node_in.weight.split(self.features, dim=1)
        from_sender = nn.functional.linear(sender, for_sender, self.node_in.bias)
        if receiver is None:
            node = self.node_out(self.activation(from_sender))[edges.senders]
        else:
            from_receiver = nn.functional.linear(receiver, for_receiver)
            node = self.node_out(self.activation(from_sender[edges.senders] + from_receiver[edges.receivers]))
        messages = node * (self.edge_mlp(edges.radial) * edges.envelope)
        return segment_sum(messages, edges.receivers, edges.n_receivers)


class SchNetDensity(DensityModel):
    """Invariant message passing from atoms to atoms and from atoms to probes.

    Args:
        features: length of the state of an atom or probe.
        num_interactions: number of interaction layers.
        cutoff: Å.
        channels: 1 (total) or 2 (total, magnetisation), e/Å³.
        radial_step: distance between the Gaussians an edge's length is expanded in, and their width, Å;
            there are ``ceil(cutoff/radial_step)`` of them.
        ignore_pbc: trained on structures without their periodic images; graphs for it are built so.

    Raises:
        InputError: for sizes below one, a cutoff or step that is not positive, or other numbers of channels.

    The layers of its :class:`AtomState` are [atoms, features], one per interaction.
    """

    architecture: ClassVar[str] = "schnet"

    def __init__(
        self,
        features: int = 128,
        num_interactions: int = 6,
        cutoff: float = 4.0,
        channels: int = 1,
        radial_step: float = 0.1,
        ignore_pbc: bool = False,
    ) -> None:
        super().__init__()
        self.num_basis = count_gaussians(cutoff, radial_step)
        counts = {"features": features, "num_interactions": num_interactions, "cutoff / radial_step": self.num_basis}
        check_hyperparameters(self.architecture, counts, cutoff, channels)
        self.features, self.num_interactions, self.radial_step = features, num_interactions, radial_step
        self.cutoff, self.channels, self.ignore_pbc = cutoff, channels, ignore_pbc

        def state_mlps() -> nn.ModuleList:
            return nn.ModuleList(
                two_layers(features, features, features, ShiftedSoftplus()) for _ in range(num_interactions)
            )

        def messages() -> nn.ModuleList:
            return nn.ModuleList(SchNetMessage(features, self.num_basis) for _ in range(num_interactions))

        self.embedding = nn.Embedding(MAX_ATOMIC_NUMBER + 1, features)
        self.atom_messages, self.atom_updates = messages(), state_mlps()
        self.probe_messages, self.probe_gates, self.probe_updates = messages(), state_mlps(), state_mlps()
        self.readout = two_layers(features, features, channels, ShiftedSoftplus())

    def hyperparameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "features": self.features,
            "num_interactions": self.num_interactions,
            "cutoff": self.cutoff,
            "channels": self.channels,
            "radial_step": self.radial_step,
            "ignore_pbc": self.ignore_pbc,
        }

    def encode_atoms(self, atoms: AtomGraph) -> AtomState:
        """[atoms, features] states after every interaction."""
        edges = self._edges(atoms.senders, atoms.receivers, atoms.n_atoms, atoms.edge_vectors(self.dtype))
        state = self.embedding(atoms.numbers)
        layers = []
        for message, update in zip(self.atom_messages, self.atom_updates, strict=True):
            state = state + update(message(state, state, edges))
            layers.append(state)
        return AtomState(atoms, tuple(layers))

    def read_density(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes channels"]:
        """[probes, channels] density at the probes in e/Å³."""
        vectors = probes.edge_vectors(state.atoms.positions, self.dtype)
        edges = self._edges(probes.senders, probes.receivers, probes.n_probes, vectors)
        probe: Tensor | None = None
        layers = zip(state.layers, self.probe_messages, self.probe_gates, self.probe_updates, strict=True)
        for sender, message, gate_mlp, update in layers:
            change = update(message(sender, probe, edges))
            if probe is None:  # probes start at zero
                gate = torch.sigmoid(gate_mlp(change.new_zeros(self.features)))
                probe = (1.0 - gate) * change
            else:
                gate = torch.sigmoid(gate_mlp(probe))
                probe = gate * probe + (1.0 - gate) * change
        return self.readout(probe)

    def _edges(self, senders: Tensor, receivers: Tensor, n_receivers: int, vectors: Tensor) -> _Edges:
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        radial = gaussians(lengths, self.num_basis, self.radial_step)
        return _Edges(senders, receivers, n_receivers, radial, sigmoid_cutoff(lengths, self.cutoff).unsqueeze(-1))


def count_gaussians(cutoff: float, step: float) -> int:
    """Number of centres 0, step, 2·step, … below the cutoff; 0 for numbers that make no sense."""
    if not (cutoff > 0 and step > 0 and math.isfinite(cutoff / step)):
        return 0
    return math.ceil(cutoff / step - 1e-9)
