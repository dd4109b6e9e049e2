"""Restarts: SCF steps, work and energies of pw.x started from predicted densities.

Networks are trained on densities of pw.x; structures that none of them has seen are then run from superposed atoms,
from pw.x's own start, from each prediction and from the exact density. See docs/studies.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError
from charge3net.studies.cache import cached
from charge3net.studies.restart.config import Config, Network
from charge3net.studies.training import choice, run_record, sweep

if TYPE_CHECKING:
    from charge3net.density import Density
    from charge3net.geometry import Geometry
    from charge3net.grid import Grid
    from charge3net.studies.checkpoint import Checkpoint
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
    from charge3net.studies.restart.summary import sum_up

    if config.threshold not in config.thresholds:
        raise InputError(f"thresholds must hold the threshold of the runs, {config.threshold:g}")
    store, split = Store(config.store), read_split(config.split)
    parts = {name: read_split(path).part("test") for name, path in config.tests.items()}
    learned = {*split.train, *split.validation}
    elements = {int(z) for key in split.train for z in store[key].geometry.numbers}
    known = {
        name: tuple(key for key in keys if elements.issuperset(store[key].geometry.numbers.tolist()))
        for name, keys in parts.items()
    }
    tests = {name: _chosen(keys, store, config.largest) for name, keys in known.items()}
    for name, keys in tests.items():
        if not keys or learned & set(keys):
            raise InputError(f"the test part of {config.tests[name]} is empty, or holds structures that are trained on")
    runs = {name: _trained(name, network, config, work) for name, network in config.networks.items()}
    sets = {name: _measured(keys, store, runs, config, work) for name, keys in tests.items()}
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
        "diago_thr_init": config.diago_thr_init,
        "published": config.published,
        "runs": {name: [run_record(member) for member in members] for name, members in runs.items()},
        "sets": sets,
        "summary": sum_up(sets, config.thresholds.index(config.threshold), config.published),
    }


def _chosen(keys: tuple[str, ...], store: Any, largest: int) -> tuple[str, ...]:
    """At most so many, one structure of every composition before the second of any."""
    seen: Counter[str] = Counter()
    places = []
    for key in keys:
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


def _measured(
    keys: tuple[str, ...], store: Any, runs: Mapping[str, list[Run]], config: Config, work: Path
) -> list[dict[str, Any]]:
    """Every structure of a set; each start is stored in a file as soon as it is finished."""
    from charge3net.atoms.isolated import read_isolated_atoms
    from charge3net.studies.checkpoint import Checkpoint
    from charge3net.studies.restart.measure import Settings, with_model, without_model

    loaded = {name: [Checkpoint(member.path, work) for member in members] for name, members in runs.items()}
    folder = work / "structures" / f"{store.hash()[:6]}-{config.diago_thr_init:g}"
    thresholds = tuple(config.thresholds)
    settings = Settings(Path(config.pseudo_dir), config.threshold, thresholds, config.diago_thr_init, config.limit)
    atoms = read_isolated_atoms(config.isolated_atoms)
    models = _models(loaded)
    found = []
    for key in keys:
        exact = folder / f"{key}.npz"
        structure = cached(folder / f"{key}.json", partial(without_model, store[key], atoms, settings, exact))
        for name, (weights, predict) in models.items():
            tight = name == list(models)[-1]
            run = partial(with_model, store[key], predict, settings, exact, structure["energy"], tight)
            structure["starts"][name] = cached(folder / weights / f"{key}{'-tight' * tight}.json", run)
        found.append(structure)
    return found


def _models(loaded: Mapping[str, list[Checkpoint]]) -> dict[str, tuple[str, Callable[[Geometry, Grid], Density]]]:
    """Name → what names its weights, and its prediction: the first seed of each network, then the mean of all."""
    models: dict[str, tuple[str, Callable[[Geometry, Grid], Density]]] = {}
    for name, members in loaded.items():
        models[name] = members[0].weights[:12], members[0].predict
        if len(members) > 1:
            weights = "-".join(member.weights[:6] for member in members)
            models[ENSEMBLE.format(name, len(members))] = weights, partial(_mean, members)
    return models


def _mean(members: list[Any], geometry: Geometry, grid: Grid) -> Density:
    """The mean of the members' predictions."""
    from dataclasses import replace

    densities = [member.predict(geometry, grid) for member in members]
    return replace(densities[0], values=sum(density.values for density in densities) / len(densities))
