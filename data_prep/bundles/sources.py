"""Bundles of npz files of open_dft that share their settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.geometry import Geometry
from data_prep.bundles.bundle import Source, write_bundle


def write_alike(
    bundle: Path,
    header: Mapping[str, Any],
    folder: Path,
    parts: Mapping[str, str],
    *,
    meta: Sequence[str],
    settings: Sequence[str],
) -> list[dict[str, Any]]:
    """Pack the files NAME.npz of ``parts``, name → part, as :func:`write_bundle` does; returns the records.

    The header gets the ``settings`` that all files have. Validation and test entries have the superposition of atoms;
    ``meta`` as in :class:`Source`.

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
    shared = dict(zip(settings, found.pop(), strict=True))
    return write_bundle(bundle, {**header, "settings": shared}, sources)
