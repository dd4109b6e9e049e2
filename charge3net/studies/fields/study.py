"""Derivatives of the density: ∇ρ, Hessian, IRI and DORI of a model against those of DFT and against finite differences.

For some structures slices and cube files are written. See docs/studies.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.data.splits import read_split
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.evaluation.run import TestSet, caveats_of
from charge3net.models.registry import label
from charge3net.studies.cache import cached
from charge3net.studies.checkpoint import Checkpoint
from charge3net.studies.fields.config import Config
from charge3net.studies.fields.measure import CURVATURES, DISTANCES, Protocol

if TYPE_CHECKING:
    from charge3net.checkpoints import ModelCard


def run(config: Config, work: Path) -> dict[str, Any]:
    """Compare every structure that is not finished; slices and cube files of some.

    Raises:
        InputError: for structures that are not in the store, or settings that are not positive.
    """
    test = _test_set(config)
    if config.floor <= 0 or config.points < 1 or config.differences < 1 or config.step <= 0 or config.window <= 0:
        raise InputError("floor, points, differences, step and window of the study of fields must be positive")
    model = Checkpoint(config.checkpoint, work)
    protocol = Protocol(config.floor, config.points, config.differences, config.step, config.seed)
    subject = {"weights": model.weights, "store": test.store.hash(), **asdict(protocol)}
    folder = work / hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()[:12]
    structures = [_measured(model, test.store, key, protocol, folder) for key in test.keys]
    return {
        "model": _model_facts(model.card, model.weights),
        "data": {
            "store": test.store.path.name,
            "store_hash": subject["store"],
            "split": None if config.split is None else Path(config.split).name,
            "split_hash": None if test.split is None else test.split.hash,
            "part": test.part,
            "warnings": _caveats(model.card, test),
        },
        "protocol": asdict(protocol),
        "distances": DISTANCES,
        "curvatures": CURVATURES,
        "structures": structures,
        "slices": [_drawn(model, test.store, key, config, folder, work) for key in config.drawn],
    }


def _test_set(config: Config) -> TestSet:
    store = Store(config.store)
    split = None if config.split is None else read_split(config.split)
    if split is None and not config.keys:
        raise InputError("neither structures nor a split were given; add keys=[…] or split=…")
    keys = tuple(config.keys) if config.keys else TestSet.of(store, split, config.part).keys
    unknown = [key for key in (*keys, *config.drawn) if key not in store]
    if unknown:
        raise InputError(
            f"{store.path} has no entry {unknown[0]!r}; `charge3net data info {store.path} --keys` lists them"
        )
    return TestSet(store, keys, config.part if split else "all", split)


def _caveats(card: ModelCard, test: TestSet) -> list[str]:
    seen = [] if test.split is None else sorted(set(test.keys) & set(test.split.train))
    trained = [f"{len(seen)} of the structures are training materials of the split ({seen[0]}, …)"] if seen else []
    return caveats_of(card, test) + trained


def _model_facts(card: ModelCard, weights: str) -> dict[str, Any]:
    return {
        "name": label(card.architecture, card.hyperparameters),
        "hyperparameters": dict(card.hyperparameters),
        "weights_sha256": weights,
        "training": {name: card.training[name] for name in ("step", "seed", "batch", "loss") if name in card.training},
        "data": dict(card.data),
    }


def _measured(model: Checkpoint, store: Store, key: str, protocol: Protocol, folder: Path) -> dict[str, Any]:
    from charge3net.studies.fields.measure import measure_structure

    def measure() -> dict[str, Any]:
        found = measure_structure(model.predictor.model, store[key], protocol)
        print(f"{key}: {found['points']} points, {found['seconds']:.0f} s", flush=True)
        return found

    return cached(folder / f"{_file_name(key)}.json", measure)


def _drawn(model: Checkpoint, store: Store, key: str, config: Config, folder: Path, work: Path) -> dict[str, Any]:
    """The slice of a structure; its cube files are written as well."""
    from charge3net.studies.fields.measure import write_cubes
    from charge3net.studies.fields.slices import cut, pack_slice

    def draw() -> dict[str, Any]:
        cubes = work / "cubes" / _file_name(key)
        write_cubes(model.predictor.model, store[key], config.floor, cubes)
        print(f"{key}: slice, and cubes in {cubes}", flush=True)
        return pack_slice(cut(model.predictor.model, store[key], config.floor, config.window))

    return cached(folder / f"{_file_name(key)}-slice-{config.window:g}.json", draw)


def _file_name(key: str) -> str:
    return key.replace("/", "_")
