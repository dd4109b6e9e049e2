"""Fingerprint of a model: a hash of its weights, and the record stored with its predictions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from charge3net.models.base import DensityModel

if TYPE_CHECKING:
    from charge3net.checkpoints.card import ModelCard


def weights_hash(model: DensityModel, head: str = "") -> str:
    """SHA-256 (hex) of names, shapes, dtypes and values of the weights, appended to ``head``."""
    digest = hashlib.sha256(head.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def fingerprint(model: DensityModel) -> str:
    """SHA-256 (hex) of architecture, hyper-parameters and weights."""
    return weights_hash(model, f"{model.architecture} {sorted(model.hyperparameters().items())}\n")


def model_record(model: DensityModel, card: ModelCard | None) -> dict[str, Any]:
    """The model in a density's provenance: architecture, hyper-parameters, hash of the weights, training data.

    ``init`` is there where the training started from another model: its name and hash.
    """
    record = {
        "architecture": model.architecture,
        "hyperparameters": model.hyperparameters(),
        "weights_sha256": weights_hash(model),
        "data": {} if card is None else dict(card.data),
    }
    source = {} if card is None else card.training.get("init", {})
    return {**record, "init": {k: source[k] for k in ("model", "weights_sha256")}} if source else record
