"""New compositions: which models are right about crystals of formulas that no training structure has?

Every model is trained on the same structures, for equal steps and for equal processor time; the best of them with fewer
formulas and with lower rotation orders. Test parts are looked at when all trainings are finished. See docs/studies.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charge3net.errors import InputError
from charge3net.studies.new_compositions.config import Config
from charge3net.studies.new_compositions.measure import Chosen, Seen, choose, errors_of, facts_of, measured, zeta
from charge3net.studies.new_compositions.summary import atoms_row, gains, pairs, rows_of
from charge3net.studies.new_compositions.trainings import formulas_of, planned, train_missing

#: What a result keeps of a structure of the release.
_OF_ROW = ("key", "kind", "spread", "error", "sad")


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train what is missing, evaluate what is missing, average.

    Raises:
        InputError: for settings that do not fit together, a training that failed, or a structure that a model refuses.
    """
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store

    if not config.tests or not config.networks:
        raise InputError("the study needs networks and tests; see conf/study/new_compositions.yaml")
    plan = planned(config)
    unknown = [name for name in config.gain_kinds if name not in config.tests]
    if unknown:
        raise InputError(f"gain_kinds names {unknown[0]!r}, which is not among tests={', '.join(config.tests)}")
    store, split = Store(config.store), read_split(config.split)
    seen = Seen.of(store, split)
    chosen = [choose(name, kind, seen) for name, kind in config.tests.items()]
    calibration = None if config.release is None else read_release(Path(config.release))
    trained = train_missing(config, plan, work)
    rows = {training: measured(training, found, chosen, work) for training, found in trained.items()}
    first = next(iter(trained.values()))
    kinds = {kind.name: _described(kind, errors_of(first, kind, work)["sad"]) for kind in chosen}
    for kind in chosen if config.orders else ():
        if kind.name in config.gain_kinds:
            kinds[kind.name]["zeta"] = zeta(kind, work)
    parts = {name: [rows[training] for training in part] for name, part in plan.items()}
    return {
        "data": {
            **facts_of(config, split, store),
            "crystal_formulas": len(set(formulas_of(store, config).values())),
        },
        "kinds": kinds,
        "runs": list(rows.values()),
        **_compared(config, parts, kinds),
        "calibration": calibration,
    }


def _described(kind: Chosen, sad: Sequence[float | None]) -> dict[str, Any]:
    return {
        "keys": list(kind.test.keys),
        "formulas": list(kind.formulas),
        "known_formulas": sum(kind.known),
        "left_out": kind.left_out,
        "store_hash": kind.test.store.hash(),
        "sad": list(sad),
    }


def _compared(
    config: Config, parts: Mapping[str, Sequence[Mapping[str, Any]]], kinds: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The tables, pairs and gains of a result."""
    own = [row for row in parts["equal_steps"] if row["network"] == config.reference]
    whole = [row for row in parts["equal_steps"] if row["network"] in config.fraction_networks]
    other = {
        name: [row for row in part if row["network"] == config.compared]
        for name, part in parts.items()
        if name in ("equal_steps", "equal_time")
    }
    lowest = [row for row in parts["orders"] if row["order"] == min(config.orders, default=None)]
    return {
        "sad": {name: atoms_row(kind) for name, kind in kinds.items()},
        "reference": config.reference,
        "compared": config.compared,
        "tables": {name: rows_of(parts[name], kinds) for name in ("equal_steps", "equal_time")},
        "pairs": {name: pairs(runs, own, kinds) for name, runs in other.items() if runs},
        "fractions": rows_of([*parts["fractions"], *whole], kinds) if config.fractions else [],
        "orders": rows_of([*parts["orders"], *own], kinds) if config.orders else [],
        "gains": {name: gains(lowest, own, kinds[name], name) for name in config.gain_kinds} if lowest else {},
    }


def read_release(path: Path) -> dict[str, Any]:
    """What ``data_prep/shipped_models/release.py`` found out about the expected errors of the shipped model.

    Raises:
        InputError: if the file is not of that command.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        parts = [part for part in ("test", "others") if part in found["summary"]]
        return {
            "file": path.name,
            "set": found["set"].replace("_", " ") if "set" in found else None,
            "trust": {part: found["uncertainty"][part] for part in parts},
            "summary": {part: found["summary"][part] for part in parts},
            "rows": [{name: row[name] for name in _OF_ROW} for part in parts for row in found[part]],
        }
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is not what data_prep.shipped_models.release writes ({error}); give release=null"
        ) from error
