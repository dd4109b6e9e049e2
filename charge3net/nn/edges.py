"""The edges of one graph with their harmonics and radial functions, shared by the layers of ChargE3Net."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from charge3net.nn.e3nn import o3
from charge3net.nn.radial_charge3net import GaussianBasis

#: An edge shorter than this (Å) has no direction: the probe is on the atom.
ON_ATOM = 1e-5


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges with lengths, harmonics and radial functions, each computed once, at first use.

    Attributes:
        senders, receivers: [edges], receivers ascending.
        n_receivers: how many receivers there are.
        vectors: [edges, 3] Å, from sender to receiver.
        lmax: highest order of the spherical harmonics.
        basis: radial functions.
    """

    senders: Int[Tensor, "edges"]
    receivers: Int[Tensor, "edges"]
    n_receivers: int
    vectors: Float[Tensor, "edges 3"]
    lmax: int
    basis: GaussianBasis

    @cached_property
    def lengths(self) -> Float[Tensor, "edges"]:
        """[edges] Å."""
        return torch.linalg.vector_norm(self.vectors, dim=1)

    @cached_property
    def harmonics(self) -> Float[Tensor, "edges harmonics"]:
        """[edges, (lmax+1)²] spherical harmonics of the directions, component normalised; l > 0 vanish on an atom."""
        directions = torch.where(self.lengths[:, None] > ON_ATOM, self.vectors, torch.zeros_like(self.vectors))
        orders = list(range(self.lmax + 1))
        return o3.spherical_harmonics(orders, directions, normalize=True, normalization="component")

    @cached_property
    def radial(self) -> Float[Tensor, "edges basis"]:
        """[edges, n_basis] radial functions of the lengths."""
        return self.basis(self.lengths)
