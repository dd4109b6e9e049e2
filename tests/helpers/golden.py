"""Reading the golden files: what the published implementations answer, in float64."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.types import DensityBatch

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class GoldenCase:
    """One structure of a golden file, with what the published network says of it."""

    name: str
    geometry: Geometry
    arrays: dict[str, np.ndarray]
    facts: dict

    def batch(self, cutoff: float) -> DensityBatch:
        target = torch.from_numpy(self.arrays["target"]).reshape(len(self.arrays["probes"]), -1)
        return DensityBatch(
            build_atom_graph(self.geometry, cutoff),
            build_probe_graph(self.geometry, self.arrays["probes"], cutoff),
            target,
            (self.name,),
        )


def golden_facts(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def golden_state(name: str) -> dict[str, Tensor]:
    """The published state dict, float32."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key[2:]: torch.from_numpy(file[key]) for key in file if key.startswith("w:")}


def golden_cases(name: str) -> Iterator[GoldenCase]:
    facts = golden_facts(name)["structures"]
    with np.load(GOLDEN / f"{name}.npz") as file:
        for structure, about in facts.items():
            prefix = f"s:{structure}:"
            arrays = {key[len(prefix) :]: file[key] for key in file if key.startswith(prefix)}
            geometry = Geometry(arrays["numbers"], arrays["positions"], arrays["cell"], arrays["pbc"])
            yield GoldenCase(structure, geometry, arrays, about)


def relative_error(ours: Tensor | np.ndarray, theirs: np.ndarray) -> float:
    """max |a − b| / max |b|."""
    ours = np.asarray(ours.detach() if isinstance(ours, Tensor) else ours, dtype=np.float64)
    return float(np.abs(ours.reshape(theirs.shape) - theirs).max() / np.abs(theirs).max())
