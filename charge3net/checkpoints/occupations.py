"""Heads for density matrices in folders: ``head.safetensors`` and ``head.json``.

The JSON holds ``format``, ``version`` (1), the SHA-256 of the weights, hyperparameters, setups, and the fingerprint of
the density model whose features the head reads.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from charge3net.checkpoints.fingerprint import fingerprint
from charge3net.errors import InputError
from charge3net.io.files import atomic_output, write_whole
from charge3net.models.base import DensityModel
from charge3net.models.occupations import OccupationHead, from_mapping
from charge3net.paw.setups import Setup

FORMAT, VERSION = "charge3net-occupations", 1
CARD, WEIGHTS = "head.json", "head.safetensors"


def save_head(folder: str | Path, head: OccupationHead, model: DensityModel, facts: dict[str, Any]) -> None:
    """Write a head; ``facts`` (training set, steps, …) are kept with it. The card, which makes it valid, comes last."""
    from safetensors.torch import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: tensor.detach().contiguous().clone() for name, tensor in head.state_dict().items()})
    card = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "features_of": fingerprint(model),
        "hyperparameters": head.hyperparameters(),
        "setups": {setup.name: setup.to_json() for setup in head.setups.values()},
        "facts": facts,
    }
    with atomic_output(folder / WEIGHTS) as stream:
        stream.write(weights)
    write_whole(folder / CARD, json.dumps(card, indent=1) + "\n")


def load_head(folder: str | Path, model: DensityModel) -> OccupationHead:
    """The head of a folder, for the density model that it was trained on.

    Raises:
        InputError: if files are missing or damaged, of another version, or belong to another density model.
    """
    from safetensors.torch import load

    folder = Path(folder)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        weights = (folder / WEIGHTS).read_bytes()
        kind = card["format"], card["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: holds no head for density matrices ({error})") from None
    if kind != (FORMAT, VERSION):
        raise InputError(f"{folder}: is {kind[0]} {kind[1]}; this version reads {FORMAT} {VERSION}")
    if hashlib.sha256(weights).hexdigest() != card["sha256"]:
        raise InputError(f"{folder / WEIGHTS}: is not the file that {CARD} describes; get it again")
    if card["features_of"] != fingerprint(model):
        raise InputError(f"{folder}: reads features of another density model; give the one it was trained on")
    head = from_mapping(card["hyperparameters"], [Setup.from_json(*one) for one in card["setups"].items()])
    head.load_state_dict(load(weights))
    return head.eval()
