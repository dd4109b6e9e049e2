"""Time and memory of predictions for supercells of crystals against the number of atoms."""

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
    """Measure what is missing, then fit exponents.

    Raises:
        InputError: without crystals, sizes or repeats, for an unknown crystal, or on a system without /proc.
    """
    if config.repeats < 1 or config.spacing <= 0 or not config.sizes or not config.crystals:
        raise InputError(
            "the scaling study needs crystals, sizes, repeats ≥ 1 and spacing > 0; --show prints the settings"
        )
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
    """(architecture, crystal, atoms, repeat); repeats outermost, so that other load does not affect one size alone."""
    for repeat in range(config.repeats):
        for crystal in config.crystals:
            for atoms in config.sizes:
                yield "charge3net", crystal, atoms, repeat
            for architecture in config.others:
                for atoms in config.other_sizes:
                    yield architecture, crystal, atoms, repeat


def _measured(architecture: str, crystal: str, atoms: int, repeat: int, spacing: float, work: Path) -> Measurement:
    """One measurement in a new process, cached in a file."""
    path = work / f"spacing_{spacing:g}" / f"{architecture}-{crystal}-{atoms}-{repeat}.json"

    def measured() -> dict[str, Any]:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(measure, architecture, crystal, atoms, spacing, repeat).result()
        what = f"{found.atoms} atoms, {found.points} points, {found.seconds:.1f} s"
        print(f"{architecture} {crystal}: {what}", flush=True)
        return asdict(found)

    return Measurement(**cached(path, measured))
