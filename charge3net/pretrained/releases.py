"""Checkpoints, one or an ensemble, each with a release file: those that come with the package, and a user's own.

A release is a folder with ``release.json`` and one checkpoint folder for each member: ``shipped/NAME`` in the package,
or what ``charge3net calibrate`` writes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from charge3net.errors import InputError

FOLDER = Path(__file__).parent / "shipped"
RELEASE = "release.json"


@dataclass(frozen=True)
class Release:
    """An ensemble, or one model.

    Attributes:
        name: of the folder; of a shipped one, what ``--model`` takes.
        folder: where it is.
        summary: what it is for, one line.
        elements: atomic number → number of training structures that hold it.
        members: the checkpoint folders.
        density: which density it predicts (code, potentials), one line.
        errors: kind of structure → expected ε_mae in %, on held-out structures of that kind.
        calibration: what turns the ensemble's spread into an expected error; empty without one.
        surroundings: file of the surroundings of the training set's atoms, its SHA-256 (hex), and the distance above
            which atoms are far from them; None without one.
        electrons: what is done about the number of electrons where the user does not say; see
            :data:`charge3net.predict.electrons.Electrons`.
        baseline: whether it is there to be compared with: taken only where it is asked for by name.
    """

    name: str
    folder: Path
    summary: str
    elements: Mapping[int, int]
    members: tuple[Path, ...]
    density: str
    errors: Mapping[str, float]
    calibration: Mapping[str, Any]
    surroundings: tuple[Path, str, float] | None = None
    electrons: Literal["valence"] | None = None
    baseline: bool = False


def shipped_releases(folder: Path | None = None) -> dict[str, Release]:
    """Name → release, in alphabetical order.

    Args:
        folder: where to look; by default in the installed package.

    Raises:
        InputError: for a damaged installation.
    """
    return {path.parent.name: _read(path) for path in sorted((folder or FOLDER).glob(f"*/{RELEASE}"))}


def release_at(path: Path) -> Release | None:
    """The release whose folder this is; None for any other path.

    Raises:
        InputError: for a damaged one.
    """
    return _read(path / RELEASE) if path.parent == FOLDER or (path / RELEASE).is_file() else None


def choose_release(numbers: Collection[int], folder: Path | None = None) -> Release:
    """The shipped model for a structure with these atomic numbers: it covers all of them, with the fewest others.

    Raises:
        InputError: if no shipped model covers them; the message lists the elements of each.
    """
    releases = {name: one for name, one in shipped_releases(folder).items() if not one.baseline}
    wanted = set(map(int, numbers))
    fitting = [release for release in releases.values() if wanted <= release.elements.keys()]
    if fitting:
        return min(fitting, key=lambda release: len(release.elements))
    from ase.data import chemical_symbols

    covered = "; ".join(f"{r.name}: {' '.join(chemical_symbols[z] for z in r.elements)}" for r in releases.values())
    missing = wanted - set().union(*(release.elements.keys() for release in releases.values()))
    what = ", ".join(chemical_symbols[z] for z in sorted(missing or wanted))
    raise InputError(
        f"no shipped model was trained on {what} (elements of the shipped models: {covered or 'none is shipped'}); "
        "give --model, see `charge3net models`"
    )


def _read(path: Path) -> Release:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Release(
            name=path.parent.name,
            folder=path.parent,
            summary=str(content["summary"]),
            elements={int(z): int(count) for z, count in content["elements"].items()},
            members=tuple(path.parent / str(name) for name in content["members"]),
            density=str(content["density"]),
            errors={str(kind): float(value) for kind, value in content["errors"].items()},
            calibration=dict(content["calibration"]),
            surroundings=_surroundings(path.parent, content.get("surroundings")),
            electrons="valence" if content.get("electrons") == "valence" else None,
            baseline=content.get("baseline") is True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        again = "install charge3net again" if path.parent.parent == FOLDER else "make it again, `charge3net calibrate`"
        raise InputError(f"{path}: is damaged ({error}); {again}") from error


def _surroundings(folder: Path, content: Mapping[str, Any] | None) -> tuple[Path, str, float] | None:
    if content is None:
        return None
    return folder / str(content["file"]), str(content["sha256"]), float(content["far"])
