"""From what a user gives as a model to the checkpoints that are loaded."""

from __future__ import annotations

from pathlib import Path

from charge3net.errors import InputError
from charge3net.pretrained.cache import fetch_model
from charge3net.pretrained.catalogue import PUBLISHED
from charge3net.pretrained.releases import Release, release_at, shipped_releases


def resolve_model(model: str | Path) -> Path:
    """A path that :func:`charge3net.load_model` takes, or the folder of a shipped release.

    Args:
        model: a path; or the name of a shipped or published model, ``NAME#MEMBER`` for one member of an ensemble,
            shipped or at a path. What exists as a path is taken as a path.

    Raises:
        InputError: for a name that is neither, or a published model that cannot be fetched.
    """
    path = Path(model)
    if path.exists():
        return path
    name = str(model)
    releases = shipped_releases()
    if name in releases:
        return releases[name].folder
    ensemble, _, member = name.partition("#")
    release = releases.get(ensemble) or release_at(Path(ensemble))
    if member and release is not None:
        return _member(release, member)
    if name in PUBLISHED:
        return fetch_model(PUBLISHED[name])
    if path.name != name or path.suffix:
        raise InputError(f"{path}: no such file or folder; give a run folder, a checkpoint folder or released weights")
    names = ", ".join((*releases, *PUBLISHED))
    raise InputError(f"{name}: no such file or folder, and no model of that name; there are {names}")


def _member(release: Release, name: str) -> Path:
    """The checkpoint folder of one member of an ensemble."""
    for member in release.members:
        if member.name == name:
            return member
    raise InputError(f"{release.name} has no member {name}; it has {', '.join(one.name for one in release.members)}")
