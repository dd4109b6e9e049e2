"""The npz files of open_dft on their way into a bundle whose entries share their settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.geometry import Geometry
from data_prep._bundle import Source


def alike_sources(
    folder: Path, parts: Mapping[str, str], meta: Sequence[str], settings: Sequence[str]
) -> tuple[list[Source], dict[str, Any]]:
    """The files NAME.npz of a set, name → part, and the settings that all of them have.

    Validation and test entries have the superposition of atoms; ``meta`` as in :class:`Source`.

    Raises:
        ValueError: for files of different settings.
    """
    sources, found = [], set()
    for name, part in parts.items():
        with np.load(folder / f"{name}.npz") as file:
            geometry = Geometry(*(file[key] for key in ("numbers", "positions", "cell", "pbc")))
            facts = json.loads(str(file["meta"]))
        found.add(tuple(facts[key] for key in settings))
        fields = {"key": name, "part": part, "formula": geometry.formula}
        sources.append(Source(folder / f"{name}.npz", fields, part != "train", meta))
    if len(found) != 1:
        raise ValueError(f"the files in {folder} were made with {len(found)} different settings")
    return sources, dict(zip(settings, found.pop(), strict=True))
