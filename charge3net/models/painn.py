"""PaiNNDensity: the equivariant network of DeepDFT, with scalars and vectors on atoms and probes.

Source: K. Schütt, O. Unke, M. Gastegger, ICML 2021 (PaiNN); P. B. Jørgensen and A. Bhowmik, npj Comput. Mater. 8, 183
(2022) for the probes. Where the released weights differ from the texts (30 radial functions), the weights are followed.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from charge3net.geometry import MAX_ATOMIC_NUMBER
from charge3net.graph.chunks import atom_chunks, concatenate
from charge3net.graph.types import AtomGraph, AtomState, ProbeGraph
from charge3net.models.base import DensityModel
from charge3net.models.checks import check_hyperparameters
from charge3net.nn.mlp import two_layers
from charge3net.nn.radial_deepdft import cosine_cutoff, length_and_direction, sine_waves
from charge3net.nn.segment import segment_sum


class _Edges(NamedTuple):
    """The edges with their radial functions, the same in every layer."""

    senders: Int[Tensor, "edges"]
    receivers: Int[Tensor, "edges"]
    n_receivers: int
    radial: Float[Tensor, "edges radial"]
    envelope: Float[Tensor, "edges 1"]
    directions: Float[Tensor, "edges 3 1"]


class _State(NamedTuple):
    """Scalars and vectors of atoms or probes."""

    scalars: Float[Tensor, "nodes f"]
    vectors: Float[Tensor, "nodes 3 f"]


class _Sent(NamedTuple):
    """The message of an atom: scalars, vectors, and the factor of an edge's direction."""

    scalars: Float[Tensor, "atoms f"]
    vectors: Float[Tensor, "atoms 3 f"]
    along_edge: Float[Tensor, "atoms f"]


class PaiNNMessage(nn.Module):
    """Sums over edges of ``s_sender ∘ g_s`` (scalars) and ``v_sender ∘ g_v + direction ⊗ g_e`` (vectors).

    ``[g_v, g_e, g_s] = W(r) ∘ φ(s_sender)``. Everything that depends on the sender alone is computed per atom.
    """

    def __init__(self, features: int, num_basis: int) -> None:
        super().__init__()
        self.filter = nn.Linear(num_basis, 3 * features)
        self.sender_mlp = two_layers(features, features, 3 * features, nn.SiLU())

    def sent(self, sender: _State) -> _Sent:
        """The part of the messages that depends on the sender alone."""
        gate_vector, gate_edge, gate_scalar = self.sender_mlp(sender.scalars).chunk(3, dim=-1)
        return _Sent(sender.scalars * gate_scalar, sender.vectors * gate_vector.unsqueeze(1), gate_edge)

    def forward(self, sent: _Sent, edges: _Edges) -> _State:
        """Summed messages of every receiver."""
        on_vector, on_edge, on_scalar = (self.filter(edges.radial) * edges.envelope).chunk(3, dim=-1)
        scalars = sent.scalars.index_select(0, edges.senders) * on_scalar
        vectors = sent.vectors.index_select(0, edges.senders) * on_vector.unsqueeze(1)
        along_edge = sent.along_edge.index_select(0, edges.senders) * on_edge
        vectors = torch.addcmul(vectors, edges.directions, along_edge.unsqueeze(1))
        return _State(
            segment_sum(scalars, edges.receivers, edges.n_receivers),
            segment_sum(vectors, edges.receivers, edges.n_receivers),
        )


class PaiNNUpdate(nn.Module):
    """``s += a_ss + a_sv ∘ ⟨Uv, Vv⟩`` and ``v += a_vv ∘ Uv`` with ``[a_ss, a_sv, a_vv] = MLP([s, |Vv|])``."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.u = nn.Linear(features, features, bias=False)
        self.v = nn.Linear(features, features, bias=False)
        self.mlp = two_layers(2 * features, features, 3 * features, nn.SiLU())

    def forward(self, state: _State) -> _State:
        u, v = self.u(state.vectors), self.v(state.vectors)
        squares = (v * v).sum(dim=1)  # vector_norm over an inner axis takes 60 times as long on a CPU
        nothing = squares == 0
        norms = squares.masked_fill(nothing, 1.0).sqrt().masked_fill(nothing, 0.0)
        a_ss, a_sv, a_vv = self.mlp(torch.cat([state.scalars, norms], dim=-1)).chunk(3, dim=-1)
        scalars = state.scalars + a_ss + a_sv * (u * v).sum(dim=1)
        return _State(scalars, state.vectors + a_vv.unsqueeze(1) * u)


class PaiNNDensity(DensityModel):
    """Equivariant message passing with scalars and vectors.

    Args:
        features: number of scalars, and of vectors, of an atom or probe.
        num_interactions: number of interaction layers.
        cutoff: Å.
        channels: 1 (total) or 2 (total, magnetisation), e/Å³.
        num_basis: number of sine waves in the expansion of an edge's length.
        ignore_pbc: trained on structures without their periodic images; its graphs are built without them too.

    Raises:
        InputError: naming the first argument that is out of range.

    The layers of its :class:`AtomState` are [atoms, 4, features], one per interaction: row 0 holds the scalars,
    rows 1 … 3 the x, y, z components of the vectors.
    """

    architecture: ClassVar[str] = "painn"

    def __init__(
        self,
        features: int = 128,
        num_interactions: int = 3,
        cutoff: float = 4.0,
        channels: int = 1,
        num_basis: int = 30,
        ignore_pbc: bool = False,
    ) -> None:
        super().__init__()
        counts = {"features": features, "num_interactions": num_interactions, "num_basis": num_basis}
        check_hyperparameters(self.architecture, counts, cutoff, channels, flags={"ignore_pbc": ignore_pbc})
        self.features, self.num_interactions, self.num_basis = features, num_interactions, num_basis
        self.cutoff, self.channels, self.ignore_pbc = cutoff, channels, ignore_pbc
        layers = range(num_interactions)
        self.embedding = nn.Embedding(MAX_ATOMIC_NUMBER + 1, features)
        self.atom_messages = nn.ModuleList(PaiNNMessage(features, num_basis) for _ in layers)
        self.atom_updates = nn.ModuleList(PaiNNUpdate(features) for _ in layers)
        self.probe_messages = nn.ModuleList(PaiNNMessage(features, num_basis) for _ in layers)
        self.probe_gates = nn.ModuleList(two_layers(features, 2 * features, 2 * features, nn.SiLU()) for _ in layers)
        self.probe_updates = nn.ModuleList(PaiNNUpdate(features) for _ in layers)
        self.readout = two_layers(features, features, channels, nn.SiLU())

    def hyperparameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "features": self.features,
            "num_interactions": self.num_interactions,
            "cutoff": self.cutoff,
            "channels": self.channels,
            "num_basis": self.num_basis,
            "ignore_pbc": self.ignore_pbc,
        }

    def encode_atoms(self, atoms: AtomGraph) -> AtomState:
        """[atoms, 4, features] scalars and vectors after every interaction."""
        chunks = self._atom_chunks(atoms)
        layers: list[Tensor] = []
        scalars = self.embedding(atoms.numbers)
        state = _State(scalars, scalars.new_zeros(atoms.n_atoms, 3, self.features))
        for message, update in zip(cast("list[PaiNNMessage]", self.atom_messages), self.atom_updates, strict=True):
            sent, parts = message.sent(state), []
            for own, edges in chunks:
                received = message(sent, edges)
                changed = update(_State(state.scalars[own] + received.scalars, state.vectors[own] + received.vectors))
                parts.append(torch.cat([changed.scalars.unsqueeze(1), changed.vectors], dim=1))
            layers.append(concatenate(parts))
            state = _State(layers[-1][:, 0], layers[-1][:, 1:])
        return AtomState(atoms, tuple(layers))

    def density_at(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes channels"]:
        """[probes, channels] density at the probes in e/Å³."""
        vectors = probes.edge_vectors(state.atoms.positions, self.dtype)
        edges = self._edges(probes.senders, probes.receivers, probes.n_probes, vectors)
        zeros = vectors.new_zeros(probes.n_probes, 4, self.features)
        probe = _State(zeros[:, 0], zeros[:, 1:])
        messages = cast("list[PaiNNMessage]", self.probe_messages)
        layers = zip(state.layers, messages, self.probe_gates, self.probe_updates, strict=True)
        for layer, message, gate_mlp, update in layers:
            received = message(message.sent(_State(layer[:, 0], layer[:, 1:])), edges)
            keep_scalar, keep_vector = torch.sigmoid(gate_mlp(received.scalars)).chunk(2, dim=-1)
            probe = update(
                _State(
                    torch.lerp(received.scalars, probe.scalars, keep_scalar),
                    torch.lerp(received.vectors, probe.vectors, keep_vector.unsqueeze(1)),
                )
            )
        return self.readout(probe.scalars)

    def _atom_chunks(self, atoms: AtomGraph) -> list[tuple[slice, _Edges]]:
        """The atoms as receivers, chunk by chunk, and the edges that end at them."""
        vectors, chunks = atoms.edge_vectors(self.dtype), []
        for own, part in atom_chunks(atoms):
            receivers = atoms.receivers[part] - own.start
            chunks.append((own, self._edges(atoms.senders[part], receivers, own.stop - own.start, vectors[part])))
        return chunks

    def _edges(self, senders: Tensor, receivers: Tensor, n_receivers: int, vectors: Tensor) -> _Edges:
        lengths, directions = length_and_direction(vectors)
        radial = sine_waves(lengths, self.num_basis, self.cutoff)
        envelope = cosine_cutoff(lengths, self.cutoff).unsqueeze(-1)
        return _Edges(senders, receivers, n_receivers, radial, envelope, directions.unsqueeze(-1))
