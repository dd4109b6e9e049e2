"""Checkpoints for use: a folder with the weights (safetensors) and a card in JSON that says what they are.

No file here is ever unpickled, and a card names an architecture of the registry, never a class: opening a stranger's
checkpoint runs none of their code. The card holds the SHA-256 of the weights, which is verified before they are opened.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charge3net.checkpoints.published import DEEPDFT_WEIGHTS, load_published
from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.models.registry import build_model

#: Raised when the layout of the card changes; a change comes with an upgrader below.
FORMAT_VERSION = 1

#: Format version → function that turns a card of that version into one of the next.
UPGRADERS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

#: The two files of a checkpoint folder.
WEIGHTS, CARD = "model.safetensors", "model.json"

#: Checkpoint folders inside a run folder: the best one so far, and the last one.
BEST, LAST = "model", "last"


@dataclass(frozen=True)
class ModelCard:
    """What a model is and where it comes from.

    Attributes:
        architecture: name in the registry.
        hyperparameters: arguments of the model class.
        cutoff: Å.
        channels: 1 (total density) or 2 (total, magnetisation).
        elements: atomic numbers the training data hold; empty when unknown.
        units: of the density.
        data: the training set, e.g. its name, the kind of density, the hash of the split.
        metrics: name → value on the validation or test split.
        training: summary of the training: steps, time, loss, seed, …
        versions: package → version that wrote the checkpoint.
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
        """The card of a model; the versions are those that are installed. Values must be plain JSON values."""
        from charge3net.provenance import installed_versions  # reading a checkpoint does not need it

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


def save_model(folder: str | Path, model: DensityModel, card: ModelCard) -> None:
    """Write a checkpoint folder, whole or not at all; an older checkpoint there is replaced.

    Raises:
        InputError: if the card does not describe the model, or the folder exists and is no checkpoint.
    """
    folder = Path(folder)
    if (card.architecture, dict(card.hyperparameters)) != (model.architecture, model.hyperparameters()):
        raise InputError(f"{folder}: the card describes another model than the {model.architecture} to be saved")
    if folder.exists() and not _is_replaceable(folder):
        raise InputError(f"{folder}: exists and is not a checkpoint folder; choose another name")
    from safetensors.torch import save

    weights = save({name: t.detach().cpu().contiguous().clone() for name, t in model.state_dict().items()})
    entry = {"format_version": FORMAT_VERSION, "weights": {"file": WEIGHTS, "sha256": _sha256(weights)}}
    text = json.dumps(_finite({**entry, **asdict(card)}), indent=2, ensure_ascii=False, allow_nan=False)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        new = Path(beside) / "new"
        new.mkdir()
        (new / WEIGHTS).write_bytes(weights)
        (new / CARD).write_text(text + "\n", encoding="utf-8")
        _exchange(new, folder, Path(beside) / "old")


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[DensityModel, ModelCard]:
    """A model, ready to predict, and its card.

    Args:
        path: a run folder (its best model, or the last where there is no best yet), a checkpoint folder, or released
            weights as :func:`charge3net.load_published` takes them; of those the card does not know elements and data.
        device: where to put it.

    Raises:
        InputError: if nothing is found, or what is found is damaged, incomplete, or of an unknown version.
    """
    path = Path(path)
    folder = find_checkpoint(path)
    if folder is None:
        model = load_published(path)
        return model.to(device).eval(), ModelCard.of(model, data={"published": path.resolve().name})
    card, weights_file, sha256 = _read_card(folder / CARD)
    model = build_model(card.architecture, card.hyperparameters)
    if (model.cutoff, model.channels) != (card.cutoff, card.channels):
        raise InputError(
            f"{folder / CARD}: cutoff or channels contradict the hyperparameters; get the checkpoint again"
        )
    _fill(model, _read_weights(folder / weights_file, sha256), folder / weights_file)
    return model.to(device).eval(), card


def load_card(path: str | Path) -> ModelCard:
    """The card alone, of the same paths that :func:`load_model` takes.

    Raises:
        InputError: as :func:`load_model`.
    """
    folder = find_checkpoint(Path(path))
    return load_model(path)[1] if folder is None else _read_card(folder / CARD)[0]


def find_checkpoint(path: Path) -> Path | None:
    """The checkpoint folder that a path stands for; None if it can only be released weights.

    Raises:
        InputError: if there is nothing, or a folder without any model.
    """
    if path.is_dir():
        for folder in (path, path / BEST, path / LAST):
            if (folder / CARD).is_file():
                return folder
        if (path / DEEPDFT_WEIGHTS).is_file():
            return None
        raise InputError(
            f"{path}: holds no model; expected {CARD} (a checkpoint), {BEST}/ or {LAST}/ (a run), or {DEEPDFT_WEIGHTS}"
        )
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a run folder, a checkpoint folder or released weights")
    return path.parent if path.name in (CARD, WEIGHTS) and (path.parent / CARD).is_file() else None


def _is_replaceable(folder: Path) -> bool:
    return folder.is_dir() and {entry.name for entry in folder.iterdir()} <= {WEIGHTS, CARD}


def _exchange(new: Path, folder: Path, old: Path) -> None:
    """Put ``new`` in the place of ``folder``, which moves to ``old``; on failure what was there stays."""
    had_one = folder.exists()
    if had_one:
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if had_one:
            os.replace(old, folder)
        raise


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _finite(value: Any) -> Any:
    """The same with null for NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_card(path: Path) -> tuple[ModelCard, str, str]:
    """Card, name of the weights file and its SHA-256."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is damaged or no JSON ({error}); get the checkpoint again") from error
    found = content.get("format_version") if isinstance(content, dict) else None
    if type(found) is not int or found < 1:
        raise InputError(f"{path}: has no format_version; this is not a checkpoint of charge3net")
    if found > FORMAT_VERSION:
        raise InputError(
            f"{path}: has format version {found}, this charge3net reads up to {FORMAT_VERSION}; install a newer one"
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


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); get the checkpoint again") from error
    found = _sha256(content)
    if found != sha256:
        raise InputError(
            f"{path}: is not the file that {CARD} describes (SHA-256 {found[:12]}…, expected {sha256[:12]}…); "
            "it is damaged or was changed, get the checkpoint again"
        )
    try:
        return load(content)
    except SafetensorError as error:
        raise InputError(f"{path}: is not a safetensors file ({error}); get the checkpoint again") from error


def _fill(model: DensityModel, weights: Mapping[str, Tensor], path: Path) -> None:
    expected = model.state_dict()
    problems = [f"lacks {name}" for name in expected if name not in weights]
    problems += [f"has {name} left over" for name in weights if name not in expected]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if problems:
        raise InputError(f"{path}: does not fit {model.architecture}: {'; '.join(problems)}")
    floating = [tensor.dtype for tensor in weights.values() if tensor.is_floating_point()]
    model.to(floating[0]).load_state_dict(dict(weights))
