"""The radial functions of ChargE3Net and the small network on them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from charge3net.nn.irreps import SILU_NORM

#: e3nn's factor that makes the squares of its soft one-hot Gaussians sum to about one.
_GAUSSIAN_SCALE = 1.0 / 1.12


class GaussianBasis(nn.Module):
    """Standardised Gaussians of a distance: ``(exp(−((r−μ_k)/δ)²)/1.12 − mean_k) · inv_std_k``.

    μ = linspace(0, cutoff, n), δ their distance (e3nn's ``soft_one_hot_linspace(..., "gaussian", cutoff=False)``); mean
    and standard deviation over 4000 equally spaced distances in (0, cutoff]. There is no envelope at the cutoff.
    Mean and standard deviation are buffers: published weights bring theirs, in float32.
    """

    mean: Tensor
    inv_std: Tensor

    def __init__(self, n_basis: int, cutoff: float) -> None:
        super().__init__()
        self.n_basis, self.cutoff = n_basis, cutoff
        samples = self.gaussians(torch.linspace(0.0, cutoff, 4001, dtype=torch.float64)[1:])
        self.register_buffer("mean", samples.mean(0).to(torch.get_default_dtype()))
        self.register_buffer("inv_std", (1.0 / samples.std(0)).to(torch.get_default_dtype()))

    def gaussians(self, distances: Float[Tensor, "n"]) -> Float[Tensor, "n basis"]:
        """[n, basis] before standardising, in the dtype of the distances."""
        step = self.cutoff / (self.n_basis - 1)
        centres = torch.linspace(0.0, self.cutoff, self.n_basis, dtype=distances.dtype, device=distances.device)
        return torch.exp(-(((distances[:, None] - centres) / step) ** 2)) * _GAUSSIAN_SCALE

    def forward(self, distances: Float[Tensor, "n"]) -> Float[Tensor, "n basis"]:
        """[n] Å → [n, basis], in the dtype of the distances."""
        mean, inv_std = self.mean.to(distances.dtype), self.inv_std.to(distances.dtype)
        return (self.gaussians(distances) - mean) * inv_std


class SmoothGaussianBasis(GaussianBasis):
    """The same, and one more column for :class:`SmoothRadialNet`: the envelope of the distance over the cutoff.

    ``1 − 28 x⁶ + 48 x⁷ − 21 x⁸``: value, slope and curvature vanish at the cutoff (J. Gasteiger, J. Groß,
    S. Günnemann, ICLR 2020, Eq. 8 with p = 6).
    """

    def forward(self, distances: Float[Tensor, "n"]) -> Float[Tensor, "n basis1"]:
        """[n] Å → [n, basis + 1]."""
        x = distances[:, None] / self.cutoff
        envelope = 1.0 - x**6 * (28.0 - x * (48.0 - 21.0 * x))
        return torch.cat([super().forward(distances), envelope], dim=1)


class RadialNet(nn.Module):
    """Weights of an edge from its length: two layers without bias, SiLU between them.

    ``silu(x·W0/√n_in)·c · W1/√hidden`` where c preserves the second moment (e3nn's ``FullyConnectedNet``).
    """

    def __init__(self, n_in: int, hidden: int, n_out: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(n_in, hidden))
        self.last = nn.Parameter(torch.randn(hidden, n_out))

    def forward(self, basis: Float[Tensor, "n basis"]) -> Float[Tensor, "n weights"]:
        """[n, basis] → [n, n_out]."""
        return self.output(self.hidden(basis))

    def hidden(self, basis: Float[Tensor, "n basis"]) -> Float[Tensor, "n hidden"]:
        """The hidden units."""
        return torch.nn.functional.silu(basis @ (self.first * self.first.shape[0] ** -0.5))

    def output(self, hidden: Float[Tensor, "n hidden"]) -> Float[Tensor, "n weights"]:
        """The linear layer behind the hidden units."""
        return hidden @ (self.last * (SILU_NORM * self.last.shape[0] ** -0.5))


class SmoothRadialNet(RadialNet):
    """The same network times an envelope, the last column of :class:`SmoothGaussianBasis`."""

    def hidden(self, basis: Float[Tensor, "n basis1"]) -> Float[Tensor, "n hidden"]:
        """The hidden units times the envelope."""
        return super().hidden(basis[:, :-1]) * basis[:, -1:]
