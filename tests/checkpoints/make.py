"""The stored checkpoint and structure of each format version.

    python -m tests.checkpoints.make

writes ``tests/checkpoints/v<FORMAT_VERSION>/`` (nothing is overwritten, new architectures are added) and prints the
densities that test_structure.py compares with.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charge3net.checkpoints.card import CARD, FORMAT_VERSION, WEIGHTS, ModelCard
from charge3net.checkpoints.save_load import save_model
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.models.base import DensityModel
from charge3net.models.painn import PaiNNDensity
from charge3net.models.registry import build_model

FOLDER = Path(__file__).parent
STRUCTURE = "structure.json"

_TENSORS = {"lmax": 2, "mul": 12, "num_interactions": 3, "num_basis": 4, "hidden": 4}

_ATOMS = {"elements": [1, 8], "valences": [1.0, 6.0], "potentials": ["", ""], "cutoff": 2.0}

#: Hyper-parameters for which the structure is recorded: every kind of layer of each architecture occurs.
FIXED: dict[str, dict[str, Any]] = {
    "charge3net": {**_TENSORS, "channels": 2},
    "schnet": {"features": 4, "num_interactions": 2, "cutoff": 2.0, "channels": 2},
    "painn": {"features": 4, "num_interactions": 2, "num_basis": 3, "channels": 2},
    "charge3net-published-spin": _TENSORS,
    "fitted_atoms": _ATOMS,
    "delta_local": {**_ATOMS, "width": 4, "channels": 2},
    "charge3net_delta": {**_ATOMS, **_TENSORS, "embedding": 3, "width": 4, "channels": 2},
}


def structure() -> dict[str, Any]:
    """Keys of the card, and for every architecture names, shapes and dtypes of its tensors and its hyper-parameters."""
    from safetensors import safe_open

    found: dict[str, Any] = {"card": {}, "architectures": {}}
    for name, hyperparameters in FIXED.items():
        model = build_model(name, hyperparameters)
        with tempfile.TemporaryDirectory() as folder:
            save_model(Path(folder) / "model", model, ModelCard.of(model))
            content = json.loads((Path(folder) / "model" / CARD).read_text())
            with safe_open(Path(folder) / "model" / WEIGHTS, "pt") as file:
                slices = {key: file.get_slice(key) for key in sorted(file.keys())}
                tensors = {key: f"{part.get_dtype()} {list(part.get_shape())}" for key, part in slices.items()}
        found["card"] = {key: _kinds(value) for key, value in content.items()}
        found["architectures"][name] = {
            "hyperparameters": {key: type(value).__name__ for key, value in content["hyperparameters"].items()},
            "tensors": tensors,
        }
    return found


def _kinds(value: Any) -> Any:
    """The type of a value of the card, with the keys where these are part of the format."""
    return sorted(value) if isinstance(value, dict) and set(value) == {"file", "sha256"} else type(value).__name__


def water_densities(model: DensityModel) -> list[float]:
    """e/Å³ at two points near a water molecule."""
    positions = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
    geometry = Geometry(np.array([8, 1, 1]), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
    points = np.array([[0.1, 0.2, 0.3], [1.0, 1.0, 1.0]])
    state = model.encode_atoms(build_atom_graph(geometry, model.cutoff))
    return model.density_at(state, build_probe_graph(geometry, points, model.cutoff))[:, 0].tolist()


def main() -> None:
    """Write checkpoint and structure of the current version, where they are missing; add new architectures."""
    folder = FOLDER / f"v{FORMAT_VERSION}"
    folder.mkdir(exist_ok=True)
    found = structure()
    if (folder / STRUCTURE).exists():
        stored = json.loads((folder / STRUCTURE).read_text())
        found = {**stored, "architectures": found["architectures"] | stored["architectures"]}
    (folder / STRUCTURE).write_text(json.dumps(found, indent=1) + "\n")
    if (folder / CARD).exists():
        return
    torch.manual_seed(20)
    model = PaiNNDensity(features=4, num_interactions=1, cutoff=3.0, num_basis=5).double()
    data = {"name": "water", "split_sha256": "0" * 64}
    training = {"steps": 12, "seed": 20}
    card = ModelCard.of(model, elements=[8, 1], data=data, metrics={"e_mae_percent": 3.5}, training=training)
    with tempfile.TemporaryDirectory() as beside:
        save_model(Path(beside) / "model", model, card)
        for name in (CARD, WEIGHTS):
            (folder / name).write_bytes((Path(beside) / "model" / name).read_bytes())
    print(water_densities(model))


if __name__ == "__main__":
    main()
