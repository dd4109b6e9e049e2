"""Small networks with random weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from charge3net.atoms.splines import table_nodes, table_of
from charge3net.models.base import DensityModel
from charge3net.models.fitted_atoms import FittedAtoms
from charge3net.models.registry import build_model

SMALL = {
    "charge3net": {"lmax": 2, "mul": 24, "hidden": 16, "num_basis": 8},
    "schnet": {"features": 16, "num_interactions": 2},
    "painn": {"features": 16, "num_interactions": 2},
}


def small_model(architecture: str) -> DensityModel:
    torch.manual_seed(3)
    return build_model(architecture, SMALL[architecture])


def with_atoms(kind: type[DensityModel], elements: Sequence[int], **sizes: int) -> DensityModel:
    """A model with made-up atoms of these elements, and a head that matters."""
    valences = [float(1 + z % 7) for z in elements]
    model = kind(elements=list(elements), valences=valences, potentials=["made up"] * len(elements), **sizes)
    nodes = table_nodes(model.cutoff)
    model.atoms.fill(
        {
            z: table_of((v * np.exp(-((nodes / (0.4 + z / 300)) ** 2)) * (1 - nodes / model.cutoff) ** 3)[:, None])[
                :, 0
            ]
            for z, v in zip(elements, valences, strict=True)
        }
    )
    if not isinstance(model, FittedAtoms):
        torch.nn.init.normal_(model.head.layers[-1].weight, std=0.3)
        torch.nn.init.normal_(model.head.mean, std=0.3)
    return model
