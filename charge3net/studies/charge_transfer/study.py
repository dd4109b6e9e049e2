"""Charge transfer: changes of Bader charges when one atom is removed from a cell, predicted against DFT.

Networks of several rotation orders are trained on cells of other compositions and on further crystals, then predict
both cells of every pair. See docs/studies.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.errors import InputError
from charge3net.studies.cache import cached
from charge3net.studies.charge_transfer.config import Config
from charge3net.studies.training import finished_runs, run_record, sweep_orders

if TYPE_CHECKING:
    from charge3net.data.store import Store
    from charge3net.studies.checkpoint import Checkpoint
    from charge3net.train.runs import Run

_EXPERIMENT = "study/charge_transfer"


def run(config: Config, work: Path) -> dict[str, Any]:
    """Gather the training set, train what is missing, predict and compare every pair.

    Raises:
        InputError: if the test part holds no pair, or a training failed.
    """
    from charge3net.analysis.cores import valence_electrons
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.studies.charge_transfer.summary import sum_up
    from charge3net.studies.checkpoint import Checkpoint

    store, split = Store(config.store), read_split(config.split)
    names = _pairs(config, split.part("test"))
    training = gather(config, work / "training")
    _train(config, training, work / "runs")
    together = Store(training / "store")
    entries = [together[key] for key in together]
    compositions = [Counter(entry.geometry.numbers.tolist()) for entry in entries]
    valence = valence_electrons(compositions, np.array([entry.electrons for entry in entries]))
    runs = list(finished_runs(work / "runs", config.lmax, config.seeds).values())
    models = {_run_name(member): Checkpoint(member.path, work) for member in runs}
    of_all = "-".join(model.weights[:6] for model in models.values())
    folder = work / "pairs" / f"{of_all}-{together.hash()[:6]}-{config.radius:g}"
    pairs = [_pair(name, config, store, models, valence, folder) for name in names]
    trained = read_split(training / "split.json")
    occurring = sorted({int(z) for name in names for z in store[name + config.before].geometry.numbers})
    return {
        "data": {
            "split": config.split,
            "split_hash": split.hash,
            "store_hash": store.hash(),
            "pairs": names,
            "trained_on": {"cathodes": len(split.train), "others": len(trained.train) - len(split.train)},
            "validation": len(trained.validation),
        },
        "radius": config.radius,
        "valence": {str(z): valence[z] for z in occurring},
        "runs": [{"name": _run_name(member), **run_record(member)} for member in runs],
        "pairs": pairs,
        "models": sum_up(pairs, {f"L={lmax}": [f"L={lmax} seed {s}" for s in config.seeds] for lmax in config.lmax}),
    }


def gather(config: Config, folder: Path) -> Path:
    """Write ``store`` and ``split.json`` of all training, validation and test densities to ``folder``.

    The validation part is that of ``config.split`` alone.
    """
    from charge3net.data.splits import Split, read_split
    from charge3net.data.store import Store
    from charge3net.data.writer import StoreWriter

    split, other = read_split(config.split), read_split(config.with_split)
    cathodes, further = Store(config.store), Store(config.with_store)
    elements = {int(z) for key in split.train for z in cathodes[key].geometry.numbers}
    tested = {cathodes[key].formula for key in split.test}
    entries = {key: further[key] for key in other.train}
    alike = [
        key
        for key, entry in entries.items()
        if elements.issuperset(entry.geometry.numbers.tolist()) and entry.formula not in tested
    ]
    sources = {config.store: [*split.train, *split.validation, *split.test], config.with_store: alike}
    with StoreWriter(folder / "store") as writer:
        for path, keys in sources.items():
            source = Store(path)
            for key in keys:
                if not writer.done(key):
                    entry = source[key]
                    writer.add(key, entry.density(), electrons=entry.electrons_expected, baseline=entry.baseline)
    Split((*split.train, *alike), split.validation, split.test).save(folder / "split.json")
    return folder


def _train(config: Config, training: Path, output: Path) -> None:
    settings, members = [f"experiment={_EXPERIMENT}", *config.overrides], (config.lmax, config.rates, config.seeds)
    store, split = str(training / "store"), str(training / "split.json")
    sweep_orders(settings, str(output), *members, store=store, split=split, launcher=config.launcher)


def _run_name(member: Run) -> str:
    return f"L={member.card.hyperparameters['lmax']} seed {member.config['seed']}"


def _pairs(config: Config, keys: Sequence[str]) -> list[str]:
    """Keys of the complete pairs, without their endings."""
    names = [key.removesuffix(config.before) for key in keys if key.endswith(config.before)]
    whole = sorted(name for name in names if name + config.after in keys)
    if not whole:
        raise InputError(
            f"the test part of {config.split} has no two keys that end in {config.before} and {config.after}"
        )
    return whole


def _pair(
    name: str,
    config: Config,
    store: Store,
    models: Mapping[str, Checkpoint],
    valence: Mapping[int, int],
    folder: Path,
) -> dict[str, Any]:
    """One pair compared, stored in a file as soon as it is finished."""
    from charge3net.studies.charge_transfer.measure import compare

    def compared() -> dict[str, Any]:
        halves = store[name + config.before], store[name + config.after]
        predictions = {
            run: tuple(model.predict(half.geometry, half.grid) for half in halves) for run, model in models.items()
        }
        return {"name": name, **compare(halves, predictions, valence, config.radius)}

    return cached(folder / f"{name}.json", compared)
