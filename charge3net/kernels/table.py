"""Weights of an edge from a table over its length instead of a network per edge; differentiable.

The radial network of a layer is a function of one number. It is evaluated at equally spaced nodes and turned into
coefficients of a cubic B-spline by the inverse spline filter (Unser, Aldroubi and Eden, IEEE Trans. Signal Process. 41,
821 (1993)): ``c_k = √3 Σ_j z^|k−j| f_j`` with z = √3 − 2. The nodes reach a few steps beyond both ends of [0, cutoff],
where the network is as smooth as inside, so no end condition is needed. Filter and output layer are linear:
table = (S · hidden(nodes)) · W1, and torch differentiates it.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from charge3net.nn.gaussian_basis import GaussianBasis, RadialNet

#: Steps of the table per step between the centres of the radial functions; see docs/kernels.md for the error.
BINS_PER_CENTRE = 20

#: Nodes beyond both ends: |z|^12 = 1.4e-7.
_MARGIN = 12


def n_bins(basis: GaussianBasis) -> int:
    """Steps of the tables over [0, cutoff]."""
    return BINS_PER_CENTRE * (basis.n_basis - 1)


@cache
def _filter(bins: int) -> Float[Tensor, "rows nodes"]:
    """S: values at nodes −1 − margin … bins + 1 + margin → coefficients −1 … bins + 1."""
    z = 3.0**0.5 - 2.0
    taps = torch.tensor([z ** abs(k) for k in range(-_MARGIN, _MARGIN + 1)], dtype=torch.float64)
    taps /= taps.sum()
    rows = bins + 3
    matrix = torch.zeros(rows, rows + 2 * _MARGIN, dtype=torch.float64)
    for k in range(rows):
        matrix[k, k : k + len(taps)] = taps
    return matrix.to(torch.float32)


def nodes(basis: GaussianBasis, bins: int) -> Float[Tensor, "nodes"]:
    """[nodes] lengths in Å at which the network is evaluated."""
    count = torch.arange(-1 - _MARGIN, bins + 2 + _MARGIN, dtype=torch.float64, device=basis.mean.device)
    return count * (basis.cutoff / bins)


def node_basis(basis: GaussianBasis, bins: int) -> Float[Tensor, "nodes basis"]:
    """Radial functions at the nodes, formed in float64."""
    raw = basis.gaussians(nodes(basis, bins))
    return ((raw - basis.mean.double()) * basis.inv_std.double()).to(basis.mean.dtype)


def table(
    radial: RadialNet, at_nodes: Float[Tensor, "nodes basis"], bins: int, rows: Int[Tensor, "used"]
) -> Float[Tensor, "used weights"]:
    """The rows of the coefficient table that some edge uses."""
    return radial.output(_filter(bins)[rows] @ radial.hidden(at_nodes))
