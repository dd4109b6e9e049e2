"""One convolution of ChargE3Net: messages from atoms to atoms or to probes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from charge3net.nn.e3nn import o3
from charge3net.nn.edges import Edges
from charge3net.nn.irreps import EVEN_SCALAR, Blocks, IrrepsLinear, coupling, split
from charge3net.nn.messages_compiled import summed_messages
from charge3net.nn.radial_charge3net import RadialNet, SmoothRadialNet
from charge3net.nn.segment import segment_sum

#: Scale of the angle that mixes a receiver's own features with the messages.
_ANGLE_SCALE = 0.1


class Convolution(nn.Module):
    """``cos θ · self_mix(y) + sin θ · message_mix(m)``, m the sum of tensor products of senders and edge directions.

    Only the paths that end in an irrep of ``irreps_out`` are computed: into even scalars there are lmax+1.
    The equations are in docs/models.md.

    Args:
        irreps_sender: features x of the sending atoms.
        irreps_receiver: features y of the receivers; empty for probes that start without features.
        irreps_out: the input of the gate.
        lmax: highest order of the spherical harmonics.
        n_basis, hidden: sizes of the radial network.
        num_neighbors: messages are divided by its square root.
        smooth: the weights of an edge end with an envelope at the cutoff; the edges' basis must be a smooth one.
    """

    def __init__(
        self,
        irreps_sender: o3.Irreps,
        irreps_receiver: o3.Irreps,
        irreps_out: o3.Irreps,
        lmax: int,
        n_basis: int,
        hidden: int,
        num_neighbors: float,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        self.irreps_sender, self.irreps_receiver, self.irreps_out = irreps_sender, irreps_receiver, irreps_out
        self.lmax, self.num_neighbors = lmax, num_neighbors
        self.paths = tensor_product_paths(irreps_sender, irreps_out, lmax)
        self.irreps_message = o3.Irreps(
            [
                (sum(mul for mul, ir in irreps_sender for _, out in self.paths[ir] if out == target), target)
                for _, target in irreps_out
            ]
        )
        self.n_weights = sum(mul * len(self.paths[ir]) for mul, ir in irreps_sender)
        self.self_mix = IrrepsLinear(irreps_receiver, irreps_out)
        self.sender_mix = IrrepsLinear(o3.Irreps([(m, ir) for m, ir in irreps_sender if self.paths[ir]]), irreps_sender)
        self.message_mix = IrrepsLinear(self.irreps_message, irreps_out)
        self.angle_mix = IrrepsLinear(self.irreps_message, o3.Irreps("1x0e"))
        self.radial = (SmoothRadialNet if smooth else RadialNet)(n_basis, hidden, self.n_weights)

    def sent(self, senders: Float[Tensor, "atoms dim"]) -> dict[o3.Irrep, Tensor]:
        """The senders' features as they enter the messages, the same for all receivers."""
        return self.sender_mix(split(senders, self.irreps_sender))

    def forward(self, sent: Blocks, receivers: Float[Tensor, "receivers dim2"], edges: Edges) -> dict[o3.Irrep, Tensor]:
        """Blocks of ``irreps_out`` for every receiver, before the gate; the edges count the senders in ``sent``."""
        messages = summed_messages(self, sent, edges) or self.messages(sent, edges)
        received = self.message_mix(messages)
        own = self.self_mix(split(receivers, self.irreps_receiver))
        angle = _ANGLE_SCALE * self.angle_mix(messages)[EVEN_SCALAR]
        cos, sin = torch.cos(angle), torch.sin(angle)
        result = {}
        for _, irrep in self.irreps_out:
            if self.self_mix.reaches(irrep):
                result[irrep] = cos * own[irrep] + sin * received[irrep]
            elif irrep == EVEN_SCALAR:
                result[irrep] = sin * received[irrep]
            else:
                result[irrep] = received[irrep]
        return result

    def messages(self, senders: Blocks, edges: Edges) -> dict[o3.Irrep, Tensor]:
        """{irrep: [receivers, copies, 2l+1]} summed tensor products of senders and edges, over √num_neighbors."""
        weights = self.radial(edges.radial) * self.num_neighbors**-0.5
        parts: dict[o3.Irrep, list[Tensor]] = {ir: [] for _, ir in self.irreps_message}
        column = 0
        for mul, ir in self.irreps_sender:
            paths = self.paths[ir]
            if not paths:
                continue
            width = mul * len(paths)
            weight = weights[:, column : column + width].reshape(-1, len(paths), mul)
            column += width
            summed = self._summed_products(senders[ir], ir.l, paths, weight, edges)
            for (_, target), part in zip(paths, summed.split([out.dim for _, out in paths], dim=1), strict=True):
                parts[target].append(part.transpose(1, 2))
        return {ir: torch.cat(found, dim=1) for ir, found in parts.items()}

    def _summed_products(
        self,
        senders: Float[Tensor, "atoms mul m1"],
        l1: int,
        paths: tuple[tuple[int, o3.Irrep], ...],
        weight: Float[Tensor, "edges paths mul"],
        edges: Edges,
    ) -> Float[Tensor, "receivers m3 mul"]:
        """All paths of one sender irrep: [receivers, Σ(2l3+1), mul]."""
        by_l = tuple((l2, out.l) for l2, out in paths)
        matrix = coupling(l1, by_l, self.lmax, edges.harmonics.dtype, edges.harmonics.device)
        maps = (edges.harmonics @ matrix).reshape(len(edges.senders), matrix.shape[1] // (2 * l1 + 1), 2 * l1 + 1)
        products = maps @ senders.transpose(1, 2).index_select(0, edges.senders)
        if len(paths) == products.shape[1]:
            products = products * weight
        else:
            repeats = torch.tensor([out.dim for _, out in paths], device=weight.device)
            products = products * weight.repeat_interleave(repeats, dim=1)
        return segment_sum(products, edges.receivers, edges.n_receivers)


def tensor_product_paths(
    irreps_sender: o3.Irreps, irreps_out: o3.Irreps, lmax: int
) -> dict[o3.Irrep, tuple[tuple[int, o3.Irrep], ...]]:
    """{sender irrep: ((l of the harmonic, output irrep), …)}, in the order of the published weights' columns."""
    targets = {ir for _, ir in irreps_out}
    harmonics = [ir for _, ir in o3.Irreps.spherical_harmonics(lmax)]
    return {
        ir: tuple((harmonic.l, out) for harmonic in harmonics for out in ir * harmonic if out in targets)
        for _, ir in irreps_sender
    }
