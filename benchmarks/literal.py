"""The models as published, with everything that cannot reach the density computed all the same.

This is the baseline of every ratio in ``benchmarks/``: written from the equations in docs/models.md with e3nn's own
tensor products, parameters under the published names, outputs equal to tests/golden (tests/benchmarks/test_literal.py).
It is slow and large on purpose; nothing in the package uses it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from e3nn import nn as e3nn_nn
from e3nn import o3
from e3nn.math import soft_one_hot_linspace
from torch import Tensor, nn

from charge3net.graph.types import AtomGraph, ProbeGraph

N_SPECIES = 119
_EVEN = o3.Irreps("1x0e")


def load(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Copy a published state dict into a literal model of the same sizes.

    e3nn's constants in the file (Wigner 3j as float32, masks) are left; those of the model are exact in its dtype.

    Raises:
        KeyError: when a tensor is missing or left over.
    """
    own = dict(model.named_parameters()) | {n: b for n, b in model.named_buffers() if ".basis." in n}
    own = {name: tensor for name, tensor in own.items() if tensor.numel()}
    given = {k: v for k, v in state.items() if v.numel() and "_w3j" not in k and "output_mask" not in k}
    if own.keys() != given.keys():
        raise KeyError(f"missing {sorted(own.keys() - given.keys())}, left over {sorted(given.keys() - own.keys())}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])
    return model


# ---- ChargE3Net ----


class _Basis(nn.Module):
    """Standardised Gaussians of a distance."""

    mean: Tensor
    inv_std: Tensor

    def __init__(self, n: int, cutoff: float) -> None:
        super().__init__()
        self.n, self.cutoff = n, cutoff
        samples = self.raw(torch.linspace(0.0, cutoff, 4001)[1:])
        self.register_buffer("mean", samples.mean(0))
        self.register_buffer("inv_std", 1.0 / samples.std(0))

    def raw(self, lengths: Tensor) -> Tensor:
        return soft_one_hot_linspace(lengths, 0.0, self.cutoff, self.n, "gaussian", cutoff=False)

    def forward(self, lengths: Tensor) -> Tensor:
        return (self.raw(lengths) - self.mean) * self.inv_std


class _Convolution(nn.Module):
    """Sender features x, receiver features y → what goes into the gate."""

    def __init__(
        self, x: o3.Irreps, y: o3.Irreps, edge: o3.Irreps, out: o3.Irreps, n_basis: int, num_neighbors: float
    ) -> None:
        super().__init__()
        self.num_neighbors = num_neighbors
        self.sc = o3.FullyConnectedTensorProduct(y, _EVEN, out)
        self.lin1 = o3.FullyConnectedTensorProduct(x, _EVEN, x)
        products: list[tuple[int, o3.Irrep]] = []
        paths: list[tuple[int, int, int]] = []
        for i, (mul, ir_x) in enumerate(x):
            for j, (_, ir_edge) in enumerate(edge):
                for ir_out in ir_x * ir_edge:
                    if ir_out in out or ir_out == _EVEN[0].ir:
                        paths.append((i, j, len(products)))
                        products.append((mul, ir_out))
        mid, place, _ = o3.Irreps(products).sort()
        instructions = [(i, j, place[k], "uvu", True) for i, j, k in paths]
        self.tp = o3.TensorProduct(x, edge, mid, instructions, internal_weights=False, shared_weights=False)
        self.fc = e3nn_nn.FullyConnectedNet([n_basis, 100, self.tp.weight_numel], torch.nn.functional.silu)
        self.lin2 = o3.FullyConnectedTensorProduct(mid, _EVEN, out)
        self.lin3 = o3.FullyConnectedTensorProduct(mid, _EVEN, _EVEN)

    def forward(self, x: Tensor, y: Tensor, edges: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        senders, receivers, harmonics, radial = edges
        one_x, one_y = torch.ones_like(x[:, :1]), torch.ones_like(y[:, :1])
        own = self.sc(y, one_y)
        products = self.tp(self.lin1(x, one_x)[senders], harmonics, self.fc(radial))
        sums = products.new_zeros(len(y), products.shape[1]).index_add(0, receivers, products)
        sums = sums / math.sqrt(self.num_neighbors)
        heard, angle = self.lin2(sums, one_y), 0.1 * self.lin3(sums, one_y)
        mask = self.sc.output_mask
        return torch.cos(angle) * own + (torch.sin(angle) * mask + (1.0 - mask)) * heard


class _Network(nn.Module):
    """One side (atoms or probes): convolutions and gates."""

    def __init__(
        self, start: o3.Irreps, senders: Sequence[o3.Irreps], hidden: o3.Irreps, lmax: int, n_basis: int,
        num_neighbors: float, cutoff: float, layers: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.lmax = lmax
        self.edge = o3.Irreps.spherical_harmonics(lmax)
        self.basis = _Basis(n_basis, cutoff)
        self.convolutions, self.gates = nn.ModuleList(), nn.ModuleList()
        self.irreps = [start]
        for n in range(layers):
            gate = _gate(self.irreps[-1], self.edge, hidden)
            sender = senders[n] if senders else self.irreps[-1]
            self.convolutions.append(
                _Convolution(sender, self.irreps[-1], self.edge, gate.irreps_in, n_basis, num_neighbors)
            )
            self.gates.append(gate)
            self.irreps.append(gate.irreps_out)

    def edges(self, senders: Tensor, receivers: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        harmonics = o3.spherical_harmonics(self.edge, vectors, normalize=True, normalization="component")
        return senders, receivers, harmonics, self.basis(vectors.norm(dim=-1))


def _gate(current: o3.Irreps, edge: o3.Irreps, hidden: o3.Irreps) -> e3nn_nn.Gate:
    """The gate in front of the hidden irreps that (current ⊗ edge) reaches."""
    found = {ir for _, a in current for _, b in edge for ir in a * b}
    scalars = o3.Irreps([(mul, ir) for mul, ir in hidden if ir in found and ir.l == 0])
    gated = o3.Irreps([(mul, ir) for mul, ir in hidden if ir in found and ir.l > 0])
    gates = o3.Irreps([(mul, "0e") for mul, _ in gated])
    activations = [torch.nn.functional.silu if ir.p == 1 else torch.tanh for _, ir in scalars]
    return e3nn_nn.Gate(scalars, activations, gates, [torch.sigmoid] * len(gates), gated)


class _Probes(_Network):
    def __init__(self, readout: o3.Irreps, *sizes) -> None:
        super().__init__(*sizes)
        self.readout = o3.Linear(self.irreps[-1], readout)


class LiteralChargE3Net(nn.Module):
    """ChargE3Net as published, with all its dead channels.

    Args:
        spin: the published second head, a pseudoscalar: channel 0 is up + down, channel 1 comes back as up.
    """

    def __init__(
        self, lmax: int = 4, mul: int = 500, num_interactions: int = 3, num_neighbors: float = 20.0,
        cutoff: float = 4.0, num_basis: int = 20, spin: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.cutoff, self.spin = cutoff, spin
        copies = [round(mul / (lmax + 1) / (2 * l + 1)) for l in range(lmax + 1)]
        hidden = o3.Irreps([(n, (l, p)) for l, n in enumerate(copies) for p in (-1, 1)])
        sizes = (hidden, lmax, num_basis, num_neighbors, cutoff, num_interactions)
        self.atom_model = _Network(o3.Irreps(f"{N_SPECIES}x0e"), [], *sizes)
        readout = o3.Irreps("1x0e+1x0o" if spin else "1x0e")
        self.probe_model = _Probes(readout, _EVEN, self.atom_model.irreps[1:], *sizes)

    def encode(self, atoms: AtomGraph) -> list[Tensor]:
        """[atoms, dim] features after each layer."""
        net, dtype = self.atom_model, self.probe_model.readout.weight.dtype
        edges = net.edges(atoms.senders, atoms.receivers, atoms.edge_vectors(dtype))
        features = torch.nn.functional.one_hot(atoms.numbers, N_SPECIES).to(dtype)
        layers = []
        for convolution, gate in zip(net.convolutions, net.gates, strict=True):
            features = gate(convolution(features, features, edges))
            layers.append(features)
        return layers

    def read(self, layers: Sequence[Tensor], atoms: AtomGraph, probes: ProbeGraph) -> Tensor:
        """[probes, channels] e/Å³."""
        net, dtype = self.probe_model, self.probe_model.readout.weight.dtype
        edges = net.edges(probes.senders, probes.receivers, probes.edge_vectors(atoms.positions, dtype))
        features = torch.zeros(probes.n_probes, 1, dtype=dtype)
        for senders, convolution, gate in zip(layers, net.convolutions, net.gates, strict=True):
            features = gate(convolution(senders, features, edges))
        out = net.readout(features)
        return torch.stack([out[:, 0] + out[:, 1], out[:, 0]], dim=1) if self.spin else out

    def forward(self, atoms: AtomGraph, probes: ProbeGraph) -> Tensor:
        return self.read(self.encode(atoms), atoms, probes)
