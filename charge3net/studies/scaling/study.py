"""Time and memory against the number of atoms: supercells of two crystals, atoms encoded and a grid read."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charge3net.errors import InputError
from charge3net.studies.cache import cached
from charge3net.studies.scaling.config import Config
from charge3net.studies.scaling.measure import Measurement, measure, unit_cell
from charge3net.studies.scaling.summary import fit_exponents


def run(config: Config, work: Path) -> dict[str, Any]:
    """Measure what is missing, then fit."""
    if config.repeats < 1 or config.spacing <= 0 or not config.sizes or not config.crystals:
        raise InputError("the study of size needs crystals, sizes, repeats ≥ 1 and a spacing > 0; look at --show")
    for crystal in config.crystals:
        unit_cell(crystal)
    found = [_measured(*one, config.spacing, work) for one in _plan(config)]
    return {
        "measurements": [asdict(one) | {"seconds": one.seconds} for one in found],
        "fits": fit_exponents(found, config.fit_from),
        "fit_from": config.fit_from,
        "spacing": config.spacing,
        "repeats": config.repeats,
        "seeds": {"weights": 0, "displacements": 0},
    }


def _plan(config: Config) -> Iterable[tuple[str, str, int, int]]:
    """(architecture, crystal, atoms, repeat); repeats outermost, so that a busy hour does not hit one size alone."""
    for repeat in range(config.repeats):
        for crystal in config.crystals:
            for atoms in config.sizes:
                yield "charge3net", crystal, atoms, repeat
            for architecture in config.others:
                for atoms in config.other_sizes:
                    yield architecture, crystal, atoms, repeat


def _measured(architecture: str, crystal: str, atoms: int, repeat: int, spacing: float, work: Path) -> Measurement:
    """From its file, or measured in a new process and kept there."""
    path = work / f"spacing_{spacing:g}" / f"{architecture}-{crystal}-{atoms}-{repeat}.json"

    def measured() -> dict[str, Any]:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(measure, architecture, crystal, atoms, spacing, repeat).result()
        what = f"{found.atoms} atoms, {found.points} points, {found.seconds:.1f} s"
        print(f"{architecture} {crystal}: {what}", flush=True)
        return asdict(found)

    return Measurement(**cached(path, measured))
