"""Two-layer perceptrons and the shifted softplus."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn


class ShiftedSoftplus(nn.Module):
    """``ln(½ + ½ eˣ)``: a softplus that is zero at zero (Schütt et al., J. Chem. Phys. 148, 241722, 2018)."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return nn.functional.softplus(x) - math.log(2.0)


def two_layers(n_in: int, n_hidden: int, n_out: int, activation: nn.Module) -> nn.Sequential:
    """``Linear(n_in → n_hidden)``, activation, ``Linear(n_hidden → n_out)``, both with bias."""
    return nn.Sequential(nn.Linear(n_in, n_hidden), activation, nn.Linear(n_hidden, n_out))
