"""Published models in the cache folder: fetched once, converted to safetensors, their hashes recorded.

Layout, below :func:`cache_folder`: ``published/NAME/`` holds the fetched files, ``source.json`` (address and SHA-256 of
each, recorded when they were first used), and ``model/``, the converted checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.pretrained.catalogue import PublishedModel
from charge3net.pretrained.download import download

#: Environment variable that names another cache folder.
VARIABLE = "CHARGE3NET_CACHE"

_SOURCE, _MODEL = "source.json", "model"


def cache_folder() -> Path:
    """``$CHARGE3NET_CACHE``, else ``$XDG_CACHE_HOME/charge3net``, else ``~/.cache/charge3net``."""
    if own := os.environ.get(VARIABLE):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "charge3net"


def cached_model(model: PublishedModel) -> Path | None:
    """The converted checkpoint folder of a published model; None if it was not fetched yet."""
    folder = _home(model) / _MODEL
    return folder if (folder / "model.json").is_file() else None


def fetch_model(model: PublishedModel) -> Path:
    """The checkpoint folder of a published model; fetched and converted on first use.

    A file that is in the folder already (put there by hand) is taken as it is. The SHA-256 of every file is recorded on
    first use; a file that differs from its record later is refused. Nobody here knows the hashes in advance.

    Raises:
        InputError: if a file cannot be fetched (the message says where to put it by hand), differs from what was
            recorded, or holds no such model.
    """
    ready = cached_model(model)
    if ready is not None:
        return ready
    from charge3net.checkpoints import ModelCard, load_published, save_model

    home = _home(model)
    for name, address in model.addresses.items():
        if (home / name).is_file():
            continue
        try:
            download(f"{address}#name={name}", home)
        except InputError as error:
            raise InputError(
                f"{model.name}: {error}; without a network, get {address} elsewhere and put it at {home / name}"
            ) from error
    hashes = _record(model, home)
    network = load_published(home / model.weights)
    facts = {"published": model.name, "addresses": dict(model.addresses), "sha256": hashes, "citation": model.citation}
    save_model(home / _MODEL, network, ModelCard.of(network, data=facts))
    return home / _MODEL


def _record(model: PublishedModel, home: Path) -> dict[str, str]:
    """File name → SHA-256, compared with the record of an earlier use."""
    hashes = {name: hashlib.sha256((home / name).read_bytes()).hexdigest() for name in model.addresses}
    path = home / _SOURCE
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))["sha256"]
            changed = [name for name, value in hashes.items() if known.get(name) != value]
        except (ValueError, KeyError, TypeError, AttributeError):
            changed = list(hashes)
        if changed:
            raise InputError(
                f"{home / changed[0]}: is not the file that was used before ({path} holds its SHA-256); "
                f"delete the folder {home} to fetch it again"
            )
        return hashes
    text = json.dumps({"addresses": dict(model.addresses), "sha256": hashes, "recorded": "on first use"}, indent=2)
    write_whole(path, text + "\n")
    return hashes


def _home(model: PublishedModel) -> Path:
    return cache_folder() / "published" / model.name
