"""Restarts: SCF steps, work and energies of pw.x started from predicted densities.

Networks are trained on densities of pw.x; structures that none of them has seen are then run from superposed atoms,
from pw.x's own start, from each prediction and from the exact density. See docs/studies.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError
from charge3net.studies.restart.config import Config, Network
from charge3net.studies.training import choice, run_record, sweep

if TYPE_CHECKING:
    from charge3net.density import Density
    from charge3net.geometry import Geometry
    from charge3net.grid import Grid
    from charge3net.studies.checkpoint import Checkpoint
    from charge3net.studies.restart.bench import Model
    from charge3net.train.runs import Run

#: Name of a model's ensemble on the page.
ENSEMBLE = "{} × {}"


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train what is missing, run pw.x for every test structure that is not finished, and sum up.

    Raises:
        InputError: if a training failed, a run of pw.x does not converge, or a test structure was trained on.
    """
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.studies.checkpoint import Checkpoint
    from charge3net.studies.restart.bench import Bench
    from charge3net.studies.restart.measure import Diagonalisation
    from charge3net.studies.restart.summary import sum_up
    from charge3net.studies.restart.tuning import tune

    if config.threshold not in config.thresholds:
        raise InputError(f"thresholds must hold the threshold of the runs, {config.threshold:g}")
    store, split = Store(config.store), read_split(config.split)
    parts = {name: read_split(one.split).part("test") for name, one in config.tests.items()}
    learned = {*split.train, *split.validation}
    known = {name: _known(keys, split.train, store) for name, keys in parts.items()}
    tests = {name: _chosen(keys, store, config.tests[name].largest) for name, keys in known.items()}
    for name, keys in tests.items():
        if not keys or learned & set(keys):
            split_of = config.tests[name].split
            raise InputError(f"the test part of {split_of} is empty, or holds structures that are trained on")
    validation = _known(read_split(config.tuning).validation, split.train, store)
    if not set(validation) <= set(split.validation):
        raise InputError(f"the validation part of {config.tuning} holds structures that {config.split} does not")
    runs = {name: _trained(name, network, config, work) for name, network in config.networks.items()}
    models = _models({name: [Checkpoint(one.path, work) for one in members] for name, members in runs.items()})
    bench = Bench.of(config, store, work)
    last = list(config.networks)[-1]
    ways = [Diagonalisation(*pair) for pair in product(config.diago_thr_inits, config.diago_david_ndims)]
    tuning = tune(bench, last, models[last], _chosen(validation, store, config.tuned_on), ways)
    bench = bench.tuned(tuning)
    sets = {name: [bench.measured(key, models) for key in keys] for name, keys in tests.items()}
    formulas = {store[key].formula for key in split.train}
    return {
        "data": {
            "split": config.split,
            "store_hash": store.hash(),
            "trained_on": len(split.train),
            "formulas": len(formulas),
            "validation": len(split.validation),
            "left_out": {name: len(parts[name]) - len(keys) for name, keys in known.items()},
            "known": {name: sum(store[key].formula in formulas for key in keys) for name, keys in tests.items()},
        },
        "threshold": config.threshold,
        "thresholds": list(config.thresholds),
        "extension": config.extension,
        "tuning": tuning,
        "published": config.published,
        "runs": {name: [run_record(member) for member in members] for name, members in runs.items()},
        "sets": sets,
        "summary": sum_up(sets, config.thresholds.index(config.threshold), config.published),
    }


def _known(keys: tuple[str, ...], train: tuple[str, ...], store: Any) -> tuple[str, ...]:
    """Those without an element that no training structure has."""
    elements = {int(z) for key in train for z in store[key].geometry.numbers}
    return tuple(key for key in keys if elements.issuperset(store[key].geometry.numbers.tolist()))


def _chosen(keys: tuple[str, ...], store: Any, largest: int) -> tuple[str, ...]:
    """At most so many, by hash, one structure of every composition before the second of any."""
    seen: Counter[str] = Counter()
    places = []
    for key in sorted(keys, key=lambda key: sha256(key.encode()).hexdigest()):
        places.append((seen[store[key].formula], key))
        seen[store[key].formula] += 1
    return tuple(key for _, key in sorted(places, key=lambda one: one[0])[:largest])


def _trained(name: str, network: Network, config: Config, work: Path) -> list[Run]:
    """The finished trainings of a network, by seed."""
    from charge3net.train.runs import find_runs

    folder = work / "runs" / "".join(letter if letter.isascii() else "delta" for letter in name)
    atoms = f"data.isolated_atoms={config.isolated_atoms}"
    settings = [f"experiment={config.experiment}", *network.settings, *config.overrides, choice("seed", network.seeds)]
    if not any(one == "model=charge3net" for one in network.settings):
        settings.append(atoms)
    sweep(settings, str(folder), store=config.store, split=config.split, launcher=[])
    found = {int(member.config["seed"]): member for member in find_runs(folder) if member.summary}
    missing = [seed for seed in network.seeds if seed not in found]
    if missing:
        raise InputError(f"{folder} has no finished run with seed {missing[0]}; run it again")
    return [found[seed] for seed in network.seeds]


def _models(loaded: Mapping[str, list[Checkpoint]]) -> dict[str, Model]:
    """By name: the first seed of each network, then the mean of all."""
    from charge3net.studies.restart.bench import Model

    models: dict[str, Model] = {}
    for name, members in loaded.items():
        models[name] = Model(members[0].weights[:12], members[0].predict)
        if len(members) > 1:
            weights = "-".join(member.weights[:6] for member in members)
            models[ENSEMBLE.format(name, len(members))] = Model(weights, partial(_mean, members))
    return models


def _mean(members: list[Any], geometry: Geometry, grid: Grid) -> Density:
    """The mean of the members' predictions."""
    from dataclasses import replace

    densities = [member.predict(geometry, grid) for member in members]
    return replace(densities[0], values=sum(density.values for density in densities) / len(densities))
