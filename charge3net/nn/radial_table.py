"""Weights of an edge from a table over its length instead of a network per edge; differentiable.

The radial network of a layer is a function of one number. It is evaluated at equally spaced nodes and turned into
coefficients of a cubic B-spline by the inverse spline filter (Unser, Aldroubi and Eden, IEEE Trans. Signal Process. 41,
821 (1993)): ``c_k = √3 Σ_j z^|k−j| f_j`` with z = √3 − 2. The nodes reach a few steps beyond both ends of [0, cutoff],
where the network is as smooth as inside, so no end condition is needed. The filter S and the output layer are linear:
table = (S · hidden(nodes)) · W1. Only the rows that some edge uses are formed.

The step h follows from the weights: the interpolation error of a cubic spline is h⁴/384 times the fourth derivative,
and h⁴ times that is the fourth difference. The coarsest step with an error below a tolerance is used; without
gradients a finer one, since encoding the atoms of a structure once may take a tenth longer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from charge3net.kernels.library import compiled
from charge3net.nn.radial_charge3net import GaussianBasis, RadialNet

#: Bound on the estimated error of the hidden units, relative to their largest norm; true errors are in docs/kernels.md.
TOLERANCE, TOLERANCE_WITHOUT_GRADIENT = 1e-6, 1e-7

#: Steps of a table between two centres of the radial functions, to choose from.
BINS_PER_CENTRE = (20, 28, 40, 56, 80)

#: Nodes beyond both ends: |z|^12 = 1.4e-7.
_MARGIN = 12


def nodes(basis: GaussianBasis, bins: int) -> Float[Tensor, "nodes"]:
    """[nodes] lengths in Å at which the network is evaluated: from −(1 + margin) to bins + 1 + margin steps."""
    count = torch.arange(-1 - _MARGIN, bins + 2 + _MARGIN, dtype=torch.float64)
    return count * (basis.cutoff / bins)


def node_basis(basis: GaussianBasis, bins: int) -> Float[Tensor, "nodes basis"]:
    """Radial functions at the nodes, formed in float64."""
    return basis(nodes(basis, bins)).to(basis.mean.dtype)


def fine_enough(
    radial: RadialNet,
    at_nodes: Callable[[int], Float[Tensor, "nodes basis"]],
    n_basis: int,
    tolerance: float = TOLERANCE,
) -> tuple[int, Float[Tensor, "nodes hidden"]] | None:
    """Number of steps over [0, cutoff] and the hidden units at the nodes; None when no table is accurate enough.

    Args:
        radial: the network.
        at_nodes: number of steps → radial functions at the nodes.
        n_basis: number of radial functions.
        tolerance: bound on the estimated error; where even the finest table exceeds it, :data:`TOLERANCE` is used.
    """
    for per_centre in BINS_PER_CENTRE:
        bins = per_centre * (n_basis - 1)
        hidden = radial.hidden(at_nodes(bins))
        error = estimated_error(hidden.detach())
        if error <= tolerance:
            return bins, hidden
    return (bins, hidden) if error <= TOLERANCE else None


def estimated_error(hidden: Float[Tensor, "nodes hidden"]) -> float:
    """Largest interpolation error of the hidden units (their 2-norm), relative to their largest norm."""
    difference = torch.diff(hidden, n=4, dim=0)
    return float((difference.square().sum(1).max() / hidden.square().sum(1).max()).sqrt() / 384)


def table(
    radial: RadialNet, hidden: Float[Tensor, "nodes hidden"], rows: Int[Tensor, "used"]
) -> Float[Tensor, "used weights"]:
    """Those rows of the coefficient table; row i belongs to node i + margin."""
    return radial.output(_Filtered.apply(hidden, rows))


@cache
def _taps() -> Float[Tensor, "taps"]:
    z = 3.0**0.5 - 2.0
    taps = torch.tensor([z ** abs(k) for k in range(-_MARGIN, _MARGIN + 1)], dtype=torch.float64)
    return (taps / taps.sum()).to(torch.float32)


class _Filtered(torch.autograd.Function):
    """(values [nodes, columns], rows [used]) → coefficients [used, columns]."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor) -> Tensor:
        values = values.contiguous()
        coefficients = values.new_empty(len(rows), values.shape[1])
        _filter("c3n_filter_rows", rows, values, coefficients)
        ctx.save_for_backward(rows)
        ctx.shape = values.shape
        return coefficients

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        values = gradient.new_zeros(ctx.shape)
        _filter("c3n_filter_rows_transposed", ctx.saved_tensors[0], gradient.contiguous(), values)
        return values, None


def _filter(name: str, rows: Tensor, source: Tensor, target: Tensor) -> None:
    taps = _taps()
    addresses = (ctypes.c_void_p(t.data_ptr()) for t in (rows, taps, source, target))
    size = (ctypes.c_int64(len(rows)), ctypes.c_int64(source.shape[1]), ctypes.c_int(len(taps)))
    getattr(compiled(), name)(*size, *addresses)
