"""Saving and loading models: a folder with the weights (safetensors) and a card (JSON) that describes them.

Nothing is unpickled, and the card names an architecture of the registry, never a class, so loading a checkpoint from
an unknown source runs no code of it. The card holds the SHA-256 of the weights, which is verified first.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from charge3net.checkpoints.card import CARD, WEIGHTS, ModelCard, card_text, read_card
from charge3net.checkpoints.exchange import being_replaced, replace_folder
from charge3net.checkpoints.published import DEEPDFT_WEIGHTS, load_published
from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.models.registry import build_model

T = TypeVar("T")

#: Checkpoint folders inside a run folder: the best one so far, and the last one.
BEST, LAST = "model", "last"

#: Seconds between attempts to read a checkpoint that is being replaced.
_WAITS = (0.01, 0.05, 0.2)


def save_model(folder: str | Path, model: DensityModel, card: ModelCard) -> None:
    """Write a checkpoint folder, completely or not at all; an existing checkpoint is replaced.

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
    text = card_text(card, _sha256(weights))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        new = Path(beside) / "new"
        new.mkdir()
        (new / WEIGHTS).write_bytes(weights)
        (new / CARD).write_text(text, encoding="utf-8")
        replace_folder(new, folder, Path(beside) / "old")


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[DensityModel, ModelCard]:
    """A model, ready to predict, and its card.

    Args:
        path: a run folder (its best model, or the last where there is no best yet), a checkpoint folder, or released
            weights as :func:`charge3net.load_published` takes them; their card has no elements and no data.
        device: of the model.

    Raises:
        InputError: if nothing is found, or what is found is damaged, incomplete, or of an unknown version.
    """
    path = Path(path)
    folder = find_checkpoint(path)
    if folder is None:
        model = load_published(path)
        return model.to(device).eval(), ModelCard.of(model, data={"published": path.resolve().name})
    card, weights = _patiently(_read_both, folder)
    model = build_model(card.architecture, card.hyperparameters)
    if (model.cutoff, model.channels) != (card.cutoff, card.channels):
        raise InputError(
            f"{folder / CARD}: cutoff or channels contradict the hyperparameters; get the checkpoint again"
        )
    _fill(model, weights, folder / WEIGHTS)
    return model.to(device).eval(), card


def load_card(path: str | Path) -> ModelCard:
    """The card alone, for the paths that :func:`load_model` takes.

    Raises:
        InputError: as :func:`load_model`.
    """
    folder = find_checkpoint(Path(path))
    return load_model(path)[1] if folder is None else _patiently(lambda folder: read_card(folder / CARD)[0], folder)


def find_checkpoint(path: Path) -> Path | None:
    """The checkpoint folder for a path; None for a path that can only be released weights.

    Raises:
        InputError: if nothing is there, or a folder without a model.
    """
    if path.is_dir():
        for folder in (path, path / BEST, path / LAST):
            if _has_card(folder):
                return folder
        if (path / DEEPDFT_WEIGHTS).is_file():
            return None
        raise InputError(
            f"{path}: holds no model; expected {CARD} (a checkpoint), {BEST}/ or {LAST}/ (a run), or {DEEPDFT_WEIGHTS}"
        )
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a run folder, a checkpoint folder or released weights")
    return path.parent if path.name in (CARD, WEIGHTS) and (path.parent / CARD).is_file() else None


def _has_card(folder: Path) -> bool:
    """Whether there is a checkpoint; waits while one is being replaced."""
    for wait in _WAITS:
        if (folder / CARD).is_file():
            return True
        if not being_replaced(folder):
            return False
        time.sleep(wait)
    return (folder / CARD).is_file()


def _read_both(folder: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """Card and weights of one checkpoint."""
    card, weights_file, sha256 = read_card(folder / CARD)
    return card, _read_weights(folder / weights_file, sha256)


def _patiently(read: Callable[[Path], T], folder: Path) -> T:
    """Read a checkpoint; try again if a training replaced it meanwhile.

    Raises:
        InputError: if it is damaged.
    """
    for wait in _WAITS:
        before = _stamp(folder)
        try:
            return read(folder)
        except InputError:
            if before == _stamp(folder) and not being_replaced(folder):
                raise
        time.sleep(wait)
    return read(folder)


def _stamp(folder: Path) -> tuple[int, int] | None:
    """Inode and time of the folder, which change when it is replaced; None if it is missing."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _is_replaceable(folder: Path) -> bool:
    return folder.is_dir() and {entry.name for entry in folder.iterdir()} <= {WEIGHTS, CARD}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
