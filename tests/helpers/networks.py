"""Small networks with random weights."""

from __future__ import annotations

import torch

from charge3net.models.base import DensityModel
from charge3net.models.registry import build_model

SMALL = {
    "charge3net": {"lmax": 2, "mul": 24, "hidden": 16, "num_basis": 8},
    "schnet": {"features": 16, "num_interactions": 2},
    "painn": {"features": 16, "num_interactions": 2},
}


def small_model(architecture: str) -> DensityModel:
    torch.manual_seed(3)
    return build_model(architecture, SMALL[architecture])
