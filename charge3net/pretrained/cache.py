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
    """The checkpoint folder of a published model; fetched and converted on first use, by one process at a time.

    A file that is in the folder already (put there by hand) is taken as it is. The SHA-256 of every file is recorded
    once it was found to hold the model; a file that differs from its record later is refused. Nobody here knows the
    hashes in advance.

    Raises:
        InputError: if a file cannot be fetched (the message says where to put which files by hand), differs from what
            was recorded, or holds no such model, and if the cache folder cannot be written.
    """
    ready = cached_model(model)
    if ready is not None:
        return ready
    from filelock import FileLock

    home = _home(model)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".lock"):
            return cached_model(model) or _fetch(model, home)
    except OSError as error:
        raise InputError(
            f"{home}: cannot be written ({error.strerror or error}); {VARIABLE} sets another folder"
        ) from error


def _fetch(model: PublishedModel, home: Path) -> Path:
    from charge3net.checkpoints import ModelCard, load_published, save_model

    missing = {name: address for name, address in model.addresses.items() if not (home / name).is_file()}
    for name, address in missing.items():
        try:
            download(f"{address}#name={name}", home)
        except InputError as error:
            raise InputError(
                f"{model.name}: {error}; without a network, get {' and '.join(missing.values())} elsewhere and put "
                f"it at {' and '.join(str(home / name) for name in missing)}"
            ) from error
    hashes = _compared(model, home)
    network = load_published(home / model.weights)
    facts = {"published": model.name, "addresses": dict(model.addresses), "sha256": hashes, "citation": model.citation}
    record = {"addresses": dict(model.addresses), "sha256": hashes, "recorded": "on first use"}
    write_whole(home / _SOURCE, json.dumps(record, indent=2) + "\n")
    save_model(home / _MODEL, network, ModelCard.of(network, data=facts))
    return home / _MODEL


def _compared(model: PublishedModel, home: Path) -> dict[str, str]:
    """File name → SHA-256, compared with the record of an earlier use, where there is one."""
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


def _home(model: PublishedModel) -> Path:
    return cache_folder() / "published" / model.name
