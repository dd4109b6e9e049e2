"""Features that rotate: irreps of O(3) in e3nn's layout, linear maps and gates between them.

A feature tensor is flat, [n, dim]: for every irrep in the order 0o, 0e, 1o, 1e, … its copies one after the other, each
with its 2l+1 components. An irrep appears once in an Irreps object here. *Natural* parity is that of the spherical
harmonics, (−1)^l.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from charge3net.nn.e3nn import o3

#: Factors that give activations of a normal variable unit second moment (e3nn's ``normalize2mom``, which draws them by
#: Monte Carlo; these are the numbers behind the published weights).
SILU_NORM = 1.6791767923989418
SIGMOID_NORM = 1.8467055342154763
TANH_NORM = 1.5937334472592695

EVEN_SCALAR = o3.Irrep("0e")
ODD_SCALAR = o3.Irrep("0o")

#: Columns below which a matrix product runs transposed.
_NARROW = 32

Blocks = Mapping[o3.Irrep, Tensor]


def hidden_irreps(lmax: int, mul: int) -> o3.Irreps:
    """Hidden features of about ``mul`` numbers per parity, shared evenly over l = 0 … lmax.

    ``round(mul / (lmax + 1) / (2l + 1))`` copies of each (l, parity), as in the published weights (the ChargE3Net paper
    prints the floor); at least one copy each.
    """
    copies = [(max(1, round(mul / (lmax + 1) / (2 * l + 1))), l) for l in range(lmax + 1)]
    return o3.Irreps([(n, (l, parity)) for n, l in copies for parity in (-1, 1)])


def reachable(irreps: o3.Irreps, lmax: int, wanted: o3.Irreps) -> o3.Irreps:
    """Those of ``wanted`` that occur in irreps ⊗ (spherical harmonics up to lmax)."""
    harmonics = o3.Irreps.spherical_harmonics(lmax)
    found = {ir for _, one in irreps for _, harmonic in harmonics for ir in one * harmonic}
    return o3.Irreps([(mul, ir) for mul, ir in wanted if ir in found])


def natural(irreps: o3.Irreps) -> o3.Irreps:
    """Those with the parity of the spherical harmonics."""
    return o3.Irreps([(mul, ir) for mul, ir in irreps if ir.p == (-1) ** ir.l])


def split(features: Float[Tensor, "n dim"], irreps: o3.Irreps) -> dict[o3.Irrep, Tensor]:
    """{irrep: [n, copies, 2l+1]} views of a flat feature tensor."""
    return {ir: features[:, where].unflatten(1, shape) for ir, where, shape in _places(irreps)}


@cache
def _places(irreps: o3.Irreps) -> tuple[tuple[o3.Irrep, slice, tuple[int, int]], ...]:
    """(irrep, its columns, (copies, 2l+1)): cached, since e3nn computes them at every call."""
    return tuple((ir, where, (mul, ir.dim)) for (mul, ir), where in zip(irreps, irreps.slices(), strict=True))


def join(blocks: Blocks, irreps: o3.Irreps) -> Float[Tensor, "n dim"]:
    """The flat feature tensor of {irrep: [n, copies, 2l+1]}."""
    return torch.cat([blocks[ir].flatten(1) for _, ir in irreps], dim=1)


@cache
def _wigner_3j(l1: int, l2: int, l3: int) -> Float[Tensor, "m1 m2 m3"]:
    return o3.wigner_3j(l1, l2, l3, dtype=torch.float64)


@cache
def coupling(
    l1: int, paths: tuple[tuple[int, int], ...], lmax: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "harmonics m3_m1"]:
    """Matrix from spherical harmonics to the map of an l1 feature along several paths (l2, l3).

    [(lmax+1)², S·(2l1+1)], S = Σ over paths of (2l3+1): entry √(2l3+1)·C(l1 m1, l2 m2 | l3 m3), C the Wigner 3j symbol
    (e3nn's "component" normalisation with one path per output). Formed in float64, then rounded to ``dtype``.
    """
    rows = (lmax + 1) ** 2
    parts = []
    for l2, l3 in paths:
        part = torch.zeros(rows, 2 * l3 + 1, 2 * l1 + 1, dtype=torch.float64)
        part[l2**2 : (l2 + 1) ** 2] = (2 * l3 + 1) ** 0.5 * _wigner_3j(l1, l2, l3).permute(1, 2, 0)
        parts.append(part)
    return torch.cat(parts, dim=1).flatten(1).to(device=device, dtype=dtype)


class IrrepsLinear(nn.Module):
    """Mixes copies of equal irreps: block out = Wᵀ · block in / √(copies in), one matrix per irrep both sides have.

    Equal to e3nn's ``FullyConnectedTensorProduct(x, "0e" → out)`` with attribute 1 and to ``o3.Linear``; weights start
    as unit normals.
    """

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps) -> None:
        super().__init__()
        copies_in = {ir: mul for mul, ir in irreps_in}
        self.weights = nn.ParameterDict(
            {str(ir): nn.Parameter(torch.randn(copies_in[ir], mul)) for mul, ir in irreps_out if ir in copies_in}
        )
        self._irreps = tuple(o3.Irrep(name) for name in self.weights)  # in the order of the weights

    def reaches(self, irrep: o3.Irrep) -> bool:
        """Whether the input has this irrep of the output."""
        return str(irrep) in self.weights

    def forward(self, blocks: Blocks) -> dict[o3.Irrep, Tensor]:
        """{irrep: [n, copies in, 2l+1]} → {irrep: [n, copies out, 2l+1]} for the irreps reached."""
        weights = self.weights.values()
        mixed = _MixedCopies.apply(len(self._irreps), *(blocks[ir] for ir in self._irreps), *weights)
        return dict(zip(self._irreps, mixed, strict=True))


class _MixedCopies(torch.autograd.Function):
    """(blocks [n, copies in, 2l+1], weights) → blocks [n, copies out, 2l+1], one node of the graph for all irreps.

    The backward pass is made of torch operations and can be differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*tensors)
        pairs = zip(tensors[:count], tensors[count:], strict=True)
        return tuple(_blocks(_product(_rows(x), weight, weight.shape[0] ** -0.5), x) for x, weight in pairs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        count = len(gradients)
        blocks, weights = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        needed = ctx.needs_input_grad[1:]
        grad_blocks: list[Tensor | None] = []
        grad_weights: list[Tensor | None] = []
        for i, (gradient, block, weight) in enumerate(zip(gradients, blocks, weights, strict=True)):
            # Autocast makes the forward pass bfloat16; this one, where it is off, has the dtype of the weights.
            rows, scale = _rows(gradient.to(weight.dtype)), weight.shape[0] ** -0.5
            grad_blocks.append(_blocks(_product(rows, weight.T, scale), block) if needed[i] else None)
            grad_weights.append(_product(_rows(block.to(weight.dtype)).T, rows, scale) if needed[count + i] else None)
        return None, *grad_blocks, *grad_weights


def _rows(block: Float[Tensor, "n i m"]) -> Float[Tensor, "n_m i"]:
    return block.transpose(1, 2).reshape(-1, block.shape[1])


def _blocks(rows: Float[Tensor, "n_m o"], like: Float[Tensor, "n i m"]) -> Float[Tensor, "n o m"]:
    return rows.unflatten(0, (like.shape[0], like.shape[2])).transpose(1, 2)


def _product(a: Float[Tensor, "n k"], b: Float[Tensor, "k m"], scale: float) -> Float[Tensor, "n m"]:
    """scale · a @ b; as (bᵀ @ aᵀ)ᵀ where b is narrow, which is up to five times faster (MKL, 11 columns)."""
    nothing = a.new_empty(1, 1)
    if b.shape[1] < _NARROW:
        return torch.addmm(nothing, b.T, a.T, beta=0, alpha=scale).T
    return torch.addmm(nothing, a, b, beta=0, alpha=scale)


class Gate(nn.Module):
    """Non-linearity: SiLU on even scalars, tanh on odd ones, a sigmoid gate on every copy of l > 0.

    ``irreps_in`` has the gates as extra even scalars behind the even scalars that stay, in the gated irreps' order.
    """

    def __init__(self, irreps_out: o3.Irreps) -> None:
        super().__init__()
        self.irreps_out = irreps_out
        self.gated = [(mul, ir) for mul, ir in irreps_out if ir.l > 0]
        self.n_scalars = irreps_out.count(EVEN_SCALAR)
        n_gates = sum(mul for mul, _ in self.gated)
        self.irreps_in = o3.Irreps([(mul + n_gates if ir == EVEN_SCALAR else mul, ir) for mul, ir in irreps_out])

    def forward(self, blocks: Blocks) -> Float[Tensor, "n dim"]:
        """{irrep: [n, copies, 2l+1]} of ``irreps_in`` → flat features of ``irreps_out``."""
        even = blocks[EVEN_SCALAR]
        result = {EVEN_SCALAR: SILU_NORM * torch.nn.functional.silu(even[:, : self.n_scalars])}
        if ODD_SCALAR in blocks:
            result[ODD_SCALAR] = TANH_NORM * torch.tanh(blocks[ODD_SCALAR])
        gates = SIGMOID_NORM * torch.sigmoid(even[:, self.n_scalars :])
        start = 0
        for mul, ir in self.gated:
            result[ir] = gates[:, start : start + mul] * blocks[ir]
            start += mul
        return join(result, self.irreps_out)
