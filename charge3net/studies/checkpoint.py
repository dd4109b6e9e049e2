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

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return cached(self._work / "models" / f"{_digest(self._content)}.json", self._identify)

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
