"""For the tests of studies: stores of Gaussian atoms, run folders without training, settings of a short training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.settings import to_object
from charge3net.cli.study import compose_settings
from charge3net.data.splits import Split
from charge3net.data.store import Store
from charge3net.data.writer import StoreWriter
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.models.registry import build_model
from charge3net.predict.predictor import Predictor
from charge3net.studies import find_study
from tests.helpers.evaluation import CELL
from tests.helpers.gaussians import gaussian_density

#: Settings of a network that is trained in a second.
TINY = (
    "model.mul=4",
    "model.hidden=4",
    "model.num_basis=4",
    "data.batch_size=1",
    "data.probes=8",
    "data.val_probes=20",
    "train.max_steps=2",
    "train.val_every=2",
    "train.log_every=1",
    "runtime=cpu",
    "runtime.threads=1",
    "runtime.progress=false",
)

WIDTHS = {1: 0.45, 3: 0.5, 8: 0.4, 25: 0.55}
GRID = Grid(CELL, (14, 12, 16))
PLACES = np.array([[0.3, 0.2, 0.1], [2.4, 1.7, 2.2], [3.6, 0.3, 3.4], [1.2, 2.6, 1.4]])


def rattled_density(numbers: list[int], seed: int = 0) -> Density:
    """Z electrons in a Gaussian on each of a few rattled places."""
    positions = PLACES[: len(numbers)] + np.random.default_rng(seed).normal(0.0, 0.1, (4, 3))[: len(numbers)]
    geometry = Geometry(np.array(numbers), positions, CELL, np.ones(3, dtype=bool))
    return gaussian_density(geometry, GRID, WIDTHS)


def write_set(folder: Path, densities: dict[str, Density], split: Split, excess: float = 0.25) -> tuple[Path, Path]:
    """Store and split in a folder; the superposition of atoms is the density times 1 + excess."""
    with StoreWriter(folder / "store") as writer:
        for key, density in densities.items():
            writer.add(key, density, baseline=(1.0 + excess) * density.total)
    split.save(folder / "split.json")
    return folder / "store", folder / "split.json"


def untrained_run(folder: Path, split: Path, seed: int, lmax: int = 0) -> Path:
    """A run folder as a finished training leaves it, with random weights."""
    torch.manual_seed(seed)
    hyperparameters = {"lmax": lmax, "mul": 8, "num_interactions": 1, "hidden": 8, "cutoff": 3.0}
    model = build_model("charge3net", hyperparameters)
    save_model(folder / "model", model, ModelCard.of(model, elements=[1, 3, 8, 14, 25]))
    data = {"split": str(split), "batch_size": 2, "probes": 10}
    config = {
        "seed": seed,
        "model": {"lmax": lmax},
        "data": data,
        "loss": {"name": "normalised_l1"},
        "optim": {"lr": 1e-3},
    }
    (folder / "config.json").write_text(json.dumps(config))
    summary = {"step": 7, "seconds": 60.0, "parameters": 5, "best": {"step": 7, "val/emae": 50.0}}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "metrics.csv").write_text("step,train/loss,val/emae\n6,0.2,\n7,0.4,50.0\n")
    return folder


def errors_of(run: Path, store: Path, keys: list[str]) -> list[float]:
    """ε_mae in % of a run, by the evaluation."""
    from charge3net.evaluation.materials import evaluate
    from charge3net.predict.predictor import Predictor

    return [m.total.nmae for m in evaluate(Predictor.from_checkpoint(run), Store(store), keys)]


def config_of(study: str, **changed: Any) -> Any:
    """The default settings of a study (``conf/study``) with changes."""
    composed = compose_settings(find_study(study), [])
    for name, value in changed.items():
        composed[name] = value
    return to_object(composed)


def count_models(patch: pytest.MonkeyPatch) -> Counter[str]:
    """How often from now on models are ``loaded``, and densities ``predicted``."""
    counts: Counter[str] = Counter()
    load, predict = Predictor.from_checkpoint, Predictor.predict

    def counted_load(*args: Any, **kwargs: Any) -> Predictor:
        counts["loaded"] += 1
        return load(*args, **kwargs)

    def counted_predict(*args: Any, **kwargs: Any) -> Any:
        counts["predicted"] += 1
        return predict(*args, **kwargs)

    patch.setattr(Predictor, "from_checkpoint", counted_load)
    patch.setattr(Predictor, "predict", counted_predict)
    return counts
