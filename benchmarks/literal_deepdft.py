"""DeepDFT's two models as published: the baseline for SchNet and PaiNN, from the equations in docs/models.md."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from charge3net.graph.types import AtomGraph, ProbeGraph

N_SPECIES = 119


class _ShiftedSoftplus(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.softplus(x) - math.log(2.0)


def _mlp(n_in: int, hidden: int, n_out: int, activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, hidden), activation(), nn.Linear(hidden, n_out))


def _sum(values: Tensor, receivers: Tensor, n: int) -> Tensor:
    return values.new_zeros(n, *values.shape[1:]).index_add(0, receivers, values)


# ---- SchNet ----


class _SchNetMessage(nn.Module):
    def __init__(self, features: int, n_basis: int) -> None:
        super().__init__()
        self.msg_function_edge = _mlp(n_basis, features, features, _ShiftedSoftplus)
        self.msg_function_node = _mlp(2 * features, 2 * features, features, _ShiftedSoftplus)

    def forward(self, sender: Tensor, receiver: Tensor, edges: tuple[Tensor, ...]) -> Tensor:
        senders, receivers, radial, envelope = edges
        gates = self.msg_function_edge(radial) * envelope
        nodes = self.msg_function_node(torch.cat([sender[senders], receiver[receivers]], dim=1))
        return _sum(nodes * gates, receivers, len(receiver))


class _SchNetSum(nn.Module):
    def __init__(self, features: int, n_basis: int) -> None:
        super().__init__()
        self.message_function = _SchNetMessage(features, n_basis)

    def forward(self, sender: Tensor, receiver: Tensor, edges: tuple[Tensor, ...]) -> Tensor:
        return self.message_function(sender, receiver, edges)


class _SchNetInteraction(nn.Module):
    def __init__(self, features: int, n_basis: int) -> None:
        super().__init__()
        self.message_sum_module = _SchNetSum(features, n_basis)
        self.state_transition_function = _mlp(features, features, features, _ShiftedSoftplus)


class _SchNetAtoms(nn.Module):
    def __init__(self, features: int, n_basis: int, layers: int) -> None:
        super().__init__()
        self.atom_embeddings = nn.Embedding(N_SPECIES, features)
        self.interactions = nn.ModuleList(_SchNetInteraction(features, n_basis) for _ in range(layers))


class _SchNetProbes(nn.Module):
    def __init__(self, features: int, n_basis: int, layers: int, channels: int) -> None:
        super().__init__()

        def mlps() -> nn.ModuleList:
            return nn.ModuleList(_mlp(features, features, features, _ShiftedSoftplus) for _ in range(layers))

        self.messagesum_layers = nn.ModuleList(_SchNetSum(features, n_basis) for _ in range(layers))
        self.probe_state_gate_functions, self.probe_state_transition_functions = mlps(), mlps()
        self.readout_function = _mlp(features, features, channels, _ShiftedSoftplus)


class LiteralSchNet(nn.Module):
    """DeepDFT's invariant model."""

    def __init__(self, features: int = 128, layers: int = 6, cutoff: float = 4.0, channels: int = 1) -> None:
        super().__init__()
        self.cutoff, self.step = cutoff, 0.1
        self.n_basis = math.ceil(cutoff / self.step - 1e-9)
        self.atom_model = _SchNetAtoms(features, self.n_basis, layers)
        self.probe_model = _SchNetProbes(features, self.n_basis, layers, channels)

    def _edges(self, senders: Tensor, receivers: Tensor, vectors: Tensor) -> tuple[Tensor, ...]:
        lengths = vectors.norm(dim=1, keepdim=True)
        centres = torch.arange(self.n_basis, dtype=vectors.dtype) * self.step
        radial = torch.exp(-((lengths - centres) ** 2) / (2 * self.step**2))
        return senders, receivers, radial, 1.0 - torch.sigmoid(5.0 * (lengths - (self.cutoff - 1.5)))

    def encode(self, atoms: AtomGraph) -> list[Tensor]:
        """[atoms, features] after each interaction."""
        net = self.atom_model
        state = net.atom_embeddings(atoms.numbers)
        edges = self._edges(atoms.senders, atoms.receivers, atoms.edge_vectors(state.dtype))
        layers = []
        for one in net.interactions:
            assert isinstance(one, _SchNetInteraction)
            heard = one.message_sum_module(state, state, edges)
            state = state + one.state_transition_function(heard)
            layers.append(state)
        return layers

    def read(self, layers: Sequence[Tensor], atoms: AtomGraph, probes: ProbeGraph) -> Tensor:
        """[probes, channels] e/Å³."""
        net, dtype = self.probe_model, layers[0].dtype
        edges = self._edges(probes.senders, probes.receivers, probes.edge_vectors(atoms.positions, dtype))
        state = layers[0].new_zeros(probes.n_probes, layers[0].shape[1])
        for sender, message, gate_mlp, transition in zip(
            layers, net.messagesum_layers, net.probe_state_gate_functions, net.probe_state_transition_functions,
            strict=True,
        ):  # fmt: skip
            heard = message(sender, state, edges)
            gate = torch.sigmoid(gate_mlp(state))
            state = gate * state + (1.0 - gate) * transition(heard)
        return net.readout_function(state)

    def forward(self, atoms: AtomGraph, probes: ProbeGraph) -> Tensor:
        return self.read(self.encode(atoms), atoms, probes)


# ---- PaiNN ----


class _PaiNNMessage(nn.Module):
    def __init__(self, features: int, n_basis: int, gated: bool) -> None:
        super().__init__()
        self.filter_layer = nn.Linear(n_basis, 3 * features)
        self.scalar_message_mlp = _mlp(features, features, 3 * features, nn.SiLU)
        if gated:
            self.update_gate_mlp = _mlp(features, 2 * features, 2 * features, nn.SiLU)

    def forward(self, scalars: Tensor, vectors: Tensor, n: int, edges: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        senders, receivers, radial, envelope, directions = edges
        filters = self.filter_layer(radial) * envelope
        on_vector, on_edge, on_scalar = (filters * self.scalar_message_mlp(scalars)[senders]).chunk(3, dim=1)
        scalar = scalars[senders] * on_scalar
        vector = vectors[senders] * on_vector[:, None] + directions[:, :, None] * on_edge[:, None]
        return _sum(scalar, receivers, n), _sum(vector, receivers, n)


class _PaiNNUpdate(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.linearU = nn.Linear(features, features, bias=False)
        self.linearV = nn.Linear(features, features, bias=False)
        self.combined_mlp = _mlp(2 * features, features, 3 * features, nn.SiLU)

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        u, v = self.linearU(vectors), self.linearV(vectors)
        a_ss, a_sv, a_vv = self.combined_mlp(torch.cat([scalars, v.norm(dim=1)], dim=1)).chunk(3, dim=1)
        return scalars + a_ss + a_sv * (u * v).sum(1), vectors + a_vv[:, None] * u


class _PaiNNAtoms(nn.Module):
    def __init__(self, features: int, n_basis: int, layers: int) -> None:
        super().__init__()
        self.atom_embeddings = nn.Embedding(N_SPECIES, features)
        self.interactions = nn.ModuleList(_PaiNNMessage(features, n_basis, False) for _ in range(layers))
        self.scalar_vector_update = nn.ModuleList(_PaiNNUpdate(features) for _ in range(layers))


class _PaiNNProbes(nn.Module):
    def __init__(self, features: int, n_basis: int, layers: int, channels: int) -> None:
        super().__init__()
        self.message_layers = nn.ModuleList(_PaiNNMessage(features, n_basis, True) for _ in range(layers))
        self.scalar_vector_update = nn.ModuleList(_PaiNNUpdate(features) for _ in range(layers))
        self.readout_function = _mlp(features, features, channels, nn.SiLU)


class LiteralPaiNN(nn.Module):
    """DeepDFT's equivariant model; its states are [nodes, 4, features], scalars first."""

    def __init__(self, features: int = 128, layers: int = 3, cutoff: float = 4.0, channels: int = 1) -> None:
        super().__init__()
        self.cutoff, self.n_basis = cutoff, 30
        self.atom_model = _PaiNNAtoms(features, self.n_basis, layers)
        self.probe_model = _PaiNNProbes(features, self.n_basis, layers, channels)

    def _edges(self, senders: Tensor, receivers: Tensor, vectors: Tensor) -> tuple[Tensor, ...]:
        lengths = vectors.norm(dim=1, keepdim=True)
        k = torch.arange(1, self.n_basis + 1, dtype=vectors.dtype) / self.cutoff
        radial = torch.sinc(lengths * k) * (k * math.pi)  # sin(kπr)/r, finite at 0
        envelope = 0.5 * (torch.cos(math.pi * lengths / self.cutoff) + 1.0)
        return senders, receivers, radial, envelope, vectors / lengths.clamp(min=1e-12)

    def encode(self, atoms: AtomGraph) -> list[Tensor]:
        """[atoms, 4, features] after each interaction."""
        net = self.atom_model
        scalars = net.atom_embeddings(atoms.numbers)
        vectors = scalars.new_zeros(atoms.n_atoms, 3, scalars.shape[1])
        edges = self._edges(atoms.senders, atoms.receivers, atoms.edge_vectors(scalars.dtype))
        layers = []
        for message, update in zip(net.interactions, net.scalar_vector_update, strict=True):
            heard = message(scalars, vectors, atoms.n_atoms, edges)
            scalars, vectors = update(scalars + heard[0], vectors + heard[1])
            layers.append(torch.cat([scalars[:, None], vectors], dim=1))
        return layers

    def read(self, layers: Sequence[Tensor], atoms: AtomGraph, probes: ProbeGraph) -> Tensor:
        """[probes, channels] e/Å³."""
        net, dtype = self.probe_model, layers[0].dtype
        edges = self._edges(probes.senders, probes.receivers, probes.edge_vectors(atoms.positions, dtype))
        scalars = layers[0].new_zeros(probes.n_probes, layers[0].shape[2])
        vectors = layers[0].new_zeros(probes.n_probes, 3, layers[0].shape[2])
        for sender, message, update in zip(layers, net.message_layers, net.scalar_vector_update, strict=True):
            assert isinstance(message, _PaiNNMessage)
            heard = message(sender[:, 0], sender[:, 1:], probes.n_probes, edges)
            on_scalar, on_vector = torch.sigmoid(message.update_gate_mlp(heard[0])).chunk(2, dim=1)
            on_vector = on_vector[:, None]
            scalars, vectors = update(
                on_scalar * scalars + (1.0 - on_scalar) * heard[0], on_vector * vectors + (1.0 - on_vector) * heard[1]
            )
        return net.readout_function(scalars)

    def forward(self, atoms: AtomGraph, probes: ProbeGraph) -> Tensor:
        return self.read(self.encode(atoms), atoms, probes)
