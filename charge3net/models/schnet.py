"""SchNetDensity: the invariant network of DeepDFT, a function of distances only.

Source: P. B. Jørgensen and A. Bhowmik, npj Comput. Mater. 8, 183 (2022); where the released weights differ from
the text (the receiver's state is part of a message), the weights are followed.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from charge3net.geometry import MAX_ATOMIC_NUMBER
from charge3net.graph.chunks import atom_chunks, concatenate
from charge3net.graph.types import AtomGraph, AtomState, ProbeGraph
from charge3net.models.base import DensityModel
from charge3net.models.checks import check_hyperparameters
from charge3net.nn.mlp import ShiftedSoftplus, two_layers
from charge3net.nn.radial_deepdft import gaussians, sigmoid_cutoff
from charge3net.nn.segment import segment_sum


class _Edges(NamedTuple):
    """The edges with their radial functions, the same in every layer."""

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

    def sent(self, sender: Float[Tensor, "atoms f"]) -> Float[Tensor, "atoms hidden"]:
        """[atoms, 2·features] the part of the messages that depends on the sender alone."""
        return nn.functional.linear(sender, self.node_in.weight[:, : self.features], self.node_in.bias)

    def forward(
        self, from_sender: Float[Tensor, "atoms hidden"], receiver: Float[Tensor, "receivers f"] | None, edges: _Edges
    ) -> Float[Tensor, "receivers f"]:
        """[receivers, features] summed messages; ``receiver`` None means states that are all zero."""
        if receiver is None:
            node = self.node_out(self.activation(from_sender))[edges.senders]
        else:
            for_receiver = self.node_in.weight[:, self.features :]
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
        radial_step: distance between the Gaussians in the expansion of an edge's length, and their width, Å;
            there are ``ceil(cutoff/radial_step)`` of them.
        ignore_pbc: trained on structures without their periodic images; its graphs are built without them too.

    Raises:
        InputError: naming the first argument that is out of range.

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
        counts = {"features": features, "num_interactions": num_interactions}
        lengths, flags = {"radial_step": radial_step}, {"ignore_pbc": ignore_pbc}
        check_hyperparameters(self.architecture, counts, cutoff, channels, positive=lengths, flags=flags)
        self.num_basis = count_gaussians(cutoff, radial_step)
        check_hyperparameters(self.architecture, {"cutoff / radial_step": self.num_basis}, cutoff, channels)
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
        chunks = self._atom_chunks(atoms)
        state = self.embedding(atoms.numbers)
        layers: list[Tensor] = []
        for message, update in zip(cast("list[SchNetMessage]", self.atom_messages), self.atom_updates, strict=True):
            sent = message.sent(state)
            state = concatenate([state[own] + update(message(sent, state[own], edges)) for own, edges in chunks])
            layers.append(state)
        return AtomState(atoms, tuple(layers))

    def density_at(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes channels"]:
        """[probes, channels] density at the probes in e/Å³."""
        vectors = probes.edge_vectors(state.atoms.positions, self.dtype)
        edges = self._edges(probes.senders, probes.receivers, probes.n_probes, vectors)
        probe: Tensor | None = None
        messages = cast("list[SchNetMessage]", self.probe_messages)
        layers = zip(state.layers, messages, self.probe_gates, self.probe_updates, strict=True)
        for sender, message, gate_mlp, update in layers:
            change = update(message(message.sent(sender), probe, edges))
            if probe is None:  # probes start at zero
                gate = torch.sigmoid(gate_mlp(change.new_zeros(self.features)))
                probe = (1.0 - gate) * change
            else:
                gate = torch.sigmoid(gate_mlp(probe))
                probe = gate * probe + (1.0 - gate) * change
        return self.readout(probe)

    def _atom_chunks(self, atoms: AtomGraph) -> list[tuple[slice, _Edges]]:
        """The atoms as receivers, chunk by chunk, and the edges that end at them."""
        vectors, chunks = atoms.edge_vectors(self.dtype), []
        for own, part in atom_chunks(atoms):
            receivers = atoms.receivers[part] - own.start
            chunks.append((own, self._edges(atoms.senders[part], receivers, own.stop - own.start, vectors[part])))
        return chunks

    def _edges(self, senders: Tensor, receivers: Tensor, n_receivers: int, vectors: Tensor) -> _Edges:
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        radial = gaussians(lengths, self.num_basis, self.radial_step)
        return _Edges(senders, receivers, n_receivers, radial, sigmoid_cutoff(lengths, self.cutoff).unsqueeze(-1))


def count_gaussians(cutoff: float, step: float) -> int:
    """Number of centres 0, step, 2·step, … below the cutoff; 0 where that is no finite number."""
    if not (cutoff > 0 and step > 0 and math.isfinite(cutoff / step)):
        return 0
    return math.ceil(cutoff / step - 1e-9)
