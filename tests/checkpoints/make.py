"""How the stored checkpoints were made: run once per format version, then never again for that version.

    python -m tests.checkpoints.make

It writes tests/checkpoints/v<FORMAT_VERSION>/ and prints the densities that test_save_load.py holds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from charge3net.checkpoints.card import FORMAT_VERSION, ModelCard
from charge3net.checkpoints.save_load import save_model
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.models.base import DensityModel
from charge3net.models.painn import PaiNNDensity

FOLDER = Path(__file__).parent


def water_densities(model: DensityModel) -> list[float]:
    """e/Å³ at two points near a water molecule."""
    positions = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
    geometry = Geometry(np.array([8, 1, 1]), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
    points = np.array([[0.1, 0.2, 0.3], [1.0, 1.0, 1.0]])
    state = model.encode_atoms(build_atom_graph(geometry, model.cutoff))
    return model.density_at(state, build_probe_graph(geometry, points, model.cutoff))[:, 0].tolist()


def main() -> None:
    """Write the checkpoint of the current version."""
    torch.manual_seed(20)
    model = PaiNNDensity(features=4, num_interactions=1, cutoff=3.0, num_basis=5).double()
    data = {"name": "water", "split_sha256": "0" * 64}
    training = {"steps": 12, "seed": 20}
    card = ModelCard.of(model, elements=[8, 1], data=data, metrics={"e_mae_percent": 3.5}, training=training)
    save_model(FOLDER / f"v{FORMAT_VERSION}", model, card)
    print(water_densities(model))


if __name__ == "__main__":
    main()
