"""From a name or a path to the checkpoints of a model, and what else is known of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from charge3net.atoms.known import KnownSurroundings
from charge3net.errors import InputError
from charge3net.predict.calibration import Calibration
from charge3net.predict.electrons import Electrons
from charge3net.predict.trust import TrainingSet
from charge3net.pretrained.releases import Release, release_at
from charge3net.pretrained.resolve import resolve_model

_AGAIN = "install charge3net again, or if it is an ensemble of your own, make it again"


class Members(NamedTuple):
    """The checkpoints of a model.

    Attributes:
        paths: one, or those of an ensemble.
        calibration: turns the spread between the members into an expected error; None where it is not known.
        training_set: what structures are compared with; None where it is not known.
        electrons: what is done about the number of electrons where the user does not say.
    """

    paths: tuple[Path, ...]
    calibration: Calibration | None = None
    training_set: TrainingSet | None = None
    electrons: Electrons = None


def members_of(model: str | Path | Release) -> Members:
    """The checkpoints of a shipped or published model's name, a run folder, a checkpoint, or released weights.

    Raises:
        InputError: for what is none of these, or a damaged installation of a release.
    """
    if isinstance(model, str | Path):
        path = resolve_model(model)
        release = release_at(path)
        if release is None:
            return Members((path,))
    else:
        release = model
    calibration = Calibration.from_json(release.calibration) if release.calibration else None
    return Members(release.members, calibration, training_set_of(release), release.electrons)


def training_set_of(release: Release) -> TrainingSet:
    """What a release knows of its training set.

    Raises:
        InputError: if the file of surroundings is missing or damaged.
    """
    if release.surroundings is None:
        return TrainingSet(release.elements)
    path, expected, far = release.surroundings
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from error
    if found != expected:
        raise InputError(f"{path}: is not the file that was released; {_AGAIN}")
    return TrainingSet(release.elements, KnownSurroundings.load(path), far)
