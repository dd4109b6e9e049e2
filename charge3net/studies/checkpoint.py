"""Trained models of a study. A model is loaded when its first prediction is needed, not before."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.studies.cache import cached

if TYPE_CHECKING:
    from charge3net.checkpoints import ModelCard
    from charge3net.density import Density
    from charge3net.evaluation.materials import Evaluation
    from charge3net.evaluation.run import TestSet
    from charge3net.geometry import Geometry
    from charge3net.grid import Grid
    from charge3net.predict.predictor import Predictor


class Checkpoint:
    """A trained model on disk.

    Args:
        path: run folder, checkpoint folder or released weights.
        work: folder of the study; what identifies the model is stored in its subfolder ``models``.

    Raises:
        InputError: if the path holds no model.
    """

    def __init__(self, path: str | Path, work: Path) -> None:
        from charge3net.checkpoints.save_load import find_checkpoint

        self.path = Path(path)
        self._content = find_checkpoint(self.path) or self.path
        self._work = work

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded model."""
        from charge3net.predict.predictor import Predictor

        return Predictor.from_checkpoint(self.path)

    @cached_property
    def card(self) -> ModelCard:
        """Architecture, hyperparameters, training."""
        from charge3net.checkpoints import load_card

        return load_card(self.path)

    @property
    def weights(self) -> str:
        """SHA-256 of architecture, hyperparameters and weights (:func:`charge3net.checkpoints.fingerprint`)."""
        return str(self._facts["weights"])

    @property
    def parameters(self) -> int:
        """How many."""
        return int(self._facts["parameters"])

    def predict(self, geometry: Geometry, grid: Grid, *, symmetry: bool = True) -> Density:
        """The density of a structure on a grid."""
        return self.predictor.predict(geometry, grid=grid, symmetry=symmetry)

    def evaluate(self, test: TestSet, folder: Path) -> Evaluation:
        """Errors on every material of a test set; a finished evaluation in ``folder`` is read, without the model.

        Raises:
            InputError: if the folder has an evaluation of another model or store, or no material can be evaluated.
        """
        from charge3net.evaluation.files import SUMMARY, read_evaluation
        from charge3net.evaluation.run import evaluate_checkpoint

        if (folder / SUMMARY).is_file():
            found = read_evaluation(folder)
            subject = found.facts["model"]["weights"], found.facts["data"]["store_hash"]
            if subject == (self.weights, test.store.hash()) and [material.key for material in found.materials] == list(
                test.keys
            ):
                return found
        found = evaluate_checkpoint(self.path, test, folder, figures=False)
        known = {name: found.facts["model"][name] for name in ("weights", "parameters")}
        cached(self._facts_file, lambda: known)
        return found

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return cached(self._facts_file, self._identify)

    @cached_property
    def _facts_file(self) -> Path:
        return self._work / "models" / f"{_digest(self._content)}.json"

    def _identify(self) -> dict[str, Any]:
        from charge3net.checkpoints import fingerprint

        model = self.predictor.model
        return {"weights": fingerprint(model), "parameters": sum(p.numel() for p in model.parameters())}


def _digest(path: Path) -> str:
    """Of the files of a checkpoint, or of a file of weights."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
