"""The card of a checkpoint: a description of the model and its training, in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from charge3net.errors import InputError
from charge3net.geometry import MAX_ATOMIC_NUMBER
from charge3net.io.json_files import read_json
from charge3net.models.base import DensityModel

#: Raised when the layout of the card changes; a change needs an upgrader below.
FORMAT_VERSION = 1

#: Format version → function that turns a card of that version into one of the next.
UPGRADERS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

#: The two files of a checkpoint folder.
WEIGHTS, CARD = "model.safetensors", "model.json"


@dataclass(frozen=True)
class ModelCard:
    """Description of a model and its training.

    Attributes:
        architecture: name in the registry.
        hyperparameters: arguments of the model class.
        cutoff: Å.
        channels: 1 (total density) or 2 (total, magnetisation).
        elements: atomic numbers in the training data; empty if unknown.
        units: of the density.
        data: training data: name and hash of the store, hash of the split, sizes.
        metrics: name → value on the validation or test split.
        training: settings of the training: steps, seed, optimiser, loss, batch.
        versions: package → version, at the time of saving.
    """

    architecture: str
    hyperparameters: Mapping[str, Any]
    cutoff: float
    channels: int
    elements: tuple[int, ...] = ()
    units: str = "e/Å³"
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: DensityModel,
        elements: Sequence[int] = (),
        data: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> ModelCard:
        """The card of a model, with the installed versions. Values must be plain JSON values."""
        from charge3net.provenance import installed_versions  # not needed for loading

        return cls(
            architecture=model.architecture,
            hyperparameters=model.hyperparameters(),
            cutoff=float(model.cutoff),
            channels=model.channels,
            elements=tuple(sorted({int(z) for z in elements})),
            data=dict(data or {}),
            metrics={name: float(value) for name, value in (metrics or {}).items()},
            training=dict(training or {}),
            versions=installed_versions(),
        )


def card_text(card: ModelCard, weights_sha256: str) -> str:
    """The JSON of a card beside weights with this SHA-256 (hex); NaN and infinities become null."""
    entry = {"format_version": FORMAT_VERSION, "weights": {"file": WEIGHTS, "sha256": weights_sha256}}
    return json.dumps(_finite({**entry, **asdict(card)}), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_card(path: Path) -> tuple[ModelCard, str, str]:
    """The card in a file, the name of the weights file and its SHA-256 (hex).

    Raises:
        InputError: if the file is damaged, incomplete, or of an unknown version.
    """
    content = read_json(path, "the card")
    found = content.get("format_version") if isinstance(content, dict) else None
    if type(found) is not int or found < 1:
        raise InputError(f"{path}: has no format_version; this is not a checkpoint of charge3net")
    if found > FORMAT_VERSION:
        raise InputError(
            f"{path}: has format version {found}, this charge3net supports up to {FORMAT_VERSION}; install a newer one"
        )
    for step in range(found, FORMAT_VERSION):
        content = UPGRADERS[step](content)
    return _card_from(content, path)


def _card_from(content: dict[str, Any], path: Path) -> tuple[ModelCard, str, str]:
    names = [f.name for f in fields(ModelCard)]
    missing = [name for name in (*names, "weights") if name not in content]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; get the checkpoint again")
    weights, values = content["weights"], {name: content[name] for name in names}
    if not (isinstance(weights, dict) and weights.get("file") == WEIGHTS and isinstance(weights.get("sha256"), str)):
        raise InputError(f"{path}: weights must name the file {WEIGHTS} and its sha256, found {weights!r}")
    wrong = [name for name, kind in _JSON_TYPES.items() if not isinstance(values[name], kind)]
    if wrong:
        raise InputError(f"{path}: {', '.join(wrong)} has the wrong type; get the checkpoint again")
    if not all(type(z) is int and 0 <= z <= MAX_ATOMIC_NUMBER for z in values["elements"]):
        raise InputError(f"{path}: elements must be atomic numbers; get the checkpoint again")
    if not all(v is None or type(v) in (int, float) for v in values["metrics"].values()):
        raise InputError(f"{path}: metrics must be numbers or null; get the checkpoint again")
    values["elements"] = tuple(values["elements"])
    values["cutoff"] = float(values["cutoff"])
    values["metrics"] = {name: math.nan if v is None else float(v) for name, v in values["metrics"].items()}
    return ModelCard(**values), weights["file"], weights["sha256"]


_JSON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "architecture": str,
    "hyperparameters": dict,
    "cutoff": (int, float),
    "channels": int,
    "elements": list,
    "units": str,
    "data": dict,
    "metrics": dict,
    "training": dict,
    "versions": dict,
}


def _finite(value: Any) -> Any:
    """The same value with None in place of NaN and infinities, which JSON lacks."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
