"""Functions of an edge's length and direction in SchNet and PaiNN. Lengths are in Å.

No constants are stored: centres and frequencies are formed in the dtype of the lengths, so that a model
cast to float64 is exact to float64.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def length_and_direction(
    vectors: Float[Tensor, "edges 3"],
) -> tuple[Float[Tensor, "edges"], Float[Tensor, "edges 3"]]:
    """[edges] lengths in Å and [edges, 3] unit vectors; the direction of a vector shorter than 1e-12 Å is zero."""
    lengths = torch.linalg.vector_norm(vectors, dim=-1)
    nowhere = (lengths < 1e-12).unsqueeze(-1)
    safe = torch.where(nowhere, torch.ones_like(vectors[:, :1]), lengths.unsqueeze(-1))
    return lengths, torch.where(nowhere, torch.zeros_like(vectors), vectors / safe)


def gaussians(lengths: Float[Tensor, "edges"], n: int, step: float) -> Float[Tensor, "edges n"]:
    """[edges, n] ``exp(−(r − μ_k)²/2σ²)`` with ``μ_k = k·step``, k = 0 … n − 1, and ``σ = step`` (Å)."""
    centres = torch.arange(n, dtype=lengths.dtype, device=lengths.device)
    return torch.exp(-0.5 * (lengths.unsqueeze(-1) / step - centres) ** 2)


def sine_waves(lengths: Float[Tensor, "edges"], n: int, cutoff: float) -> Float[Tensor, "edges n"]:
    """[edges, n] ``sin(kπr/cutoff)/r``, k = 1 … n, in 1/Å; finite at r = 0 (Schütt et al., ICML 2021, eq. 8)."""
    k = torch.arange(1, n + 1, dtype=lengths.dtype, device=lengths.device)
    return torch.sinc(lengths.unsqueeze(-1) * (k / cutoff)) * (k * (math.pi / cutoff))


def sigmoid_cutoff(lengths: Float[Tensor, "edges"], cutoff: float) -> Float[Tensor, "edges"]:
    """[edges] ``1 − sigmoid(5(r − (cutoff − 1.5)))``: half at 1.5 Å inside the cutoff, 6e-4 at the cutoff."""
    return torch.sigmoid(5.0 * ((cutoff - 1.5) - lengths))


def cosine_cutoff(lengths: Float[Tensor, "edges"], cutoff: float) -> Float[Tensor, "edges"]:
    """[edges] ``½(cos(πr/cutoff) + 1)``: zero with zero slope at the cutoff; lengths must not exceed it."""
    return 0.5 * (torch.cos(lengths * (math.pi / cutoff)) + 1.0)
