"""From a name or a path to the checkpoints of a model and what calibrates their spread."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from charge3net.predict.uncertainty import Calibration
from charge3net.pretrained.releases import Release, release_at
from charge3net.pretrained.resolve import resolve_model


class Members(NamedTuple):
    """The checkpoints of a model.

    Attributes:
        paths: one, or those of an ensemble.
        calibration: turns the spread between the members into an expected error; None where it is not known.
    """

    paths: tuple[Path, ...]
    calibration: Calibration | None = None


def members_of(model: str | Path | Release) -> Members:
    """The checkpoints of a shipped or published model's name, a run folder, a checkpoint, or released weights.

    Raises:
        InputError: for what is none of these.
    """
    if isinstance(model, str | Path):
        path = resolve_model(model)
        release = release_at(path)
        if release is None:
            return Members((path,))
    else:
        release = model
    calibration = Calibration.from_json(release.calibration) if release.calibration else None
    return Members(release.members, calibration)
