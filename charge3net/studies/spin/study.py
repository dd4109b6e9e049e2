"""Spin: total density and magnetisation at several rotation orders, the global sign, and magnetic moments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.data.splits import Split, read_split
from charge3net.data.store import Store, StoreEntry
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.io.packed import pack_density
from charge3net.studies.cache import cached
from charge3net.studies.checkpoint import Checkpoint
from charge3net.studies.spin.config import Config
from charge3net.studies.spin.measure import case_of
from charge3net.studies.spin.summary import GROUPS, SIGNED, UNSIGNED, compare_orders, group_averages
from charge3net.studies.training import finished_runs, sweep_orders

if TYPE_CHECKING:
    from charge3net.train.runs import Run


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train what is missing; predict every test structure with every model.

    Raises:
        InputError: without rotation orders or seeds, for structures that the store lacks, or a training that failed.
    """
    if not config.lmax or not config.seeds:
        raise InputError("the study of spin needs rotation orders and seeds; --show prints the settings")
    store, split, alike = Store(config.store), read_split(config.split), read_split(config.alike)
    for one in (split, alike):
        one.check(store.keys())
    variants = [_variant(config, work, UNSIGNED, lmax, config.seeds) for lmax in config.lmax]
    if config.signed_seeds:
        variants.append(_variant(config, work, SIGNED, config.lmax[-1], config.signed_seeds))
    for variant in variants:
        variant["cases"] = _cases(variant.pop("runs"), store, split, alike, work)
    return {
        "variants": variants,
        "averages": [group_averages(variant) for variant in variants],
        "pairs": compare_orders(variants),
        "maps": _maps(config, work, variants, store, alike),
        "data": _data_facts(store, split, alike),
    }


def _variant(config: Config, work: Path, loss: str, lmax: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Train one rotation order with one loss and all seeds."""
    folder = work / loss / f"l{lmax}"
    what, members = ["experiment=study/spin", f"loss={loss}", *config.overrides], ([lmax], config.rates, seeds)
    sweep_orders(what, str(folder), *members, store=config.store, split=config.split, launcher=config.launcher)
    runs = list(finished_runs(folder, [lmax], seeds).values())
    summaries = [one.summary for one in runs]
    return {
        "lmax": lmax,
        "loss": loss,
        "seeds": list(seeds),
        "steps": summaries[0]["step"],
        "parameters": summaries[0]["parameters"],
        "training_seconds": [one["seconds"] for one in summaries],
        "training": {name: runs[0].config[name] for name in ("model", "optim", "data", "train")},
        "runs": runs,
    }


def _cases(runs: Sequence[Run], store: Store, split: Split, alike: Split, work: Path) -> list[list[dict[str, Any]]]:
    """[seeds][structures] errors and moments of each model on each structure, with its group."""
    known = {store[key].formula for key in split.train}
    of_seeds = []
    for one in runs:
        model, cases = Checkpoint(one.path, work), []
        folder = work / "structures" / _cache_name(model, store)
        for group, keys in (("trained", split.train), ("", split.test), ("alike", alike.test)):
            for key in keys:
                case = cached(folder / f"{key}.json", partial(_case, model, store[key]))
                own = group or ("distortion" if case["formula"] in known else "composition")
                cases.append({**case, "group": own})
        of_seeds.append(cases)
        print(f"{one.path}: {len(cases)} structures", flush=True)
    return of_seeds


def _case(model: Checkpoint, entry: StoreEntry) -> dict[str, Any]:
    return case_of(entry, _predicted(model, entry)).as_dict()


def _predicted(model: Checkpoint, entry: StoreEntry) -> Density:
    """Evaluated at every voxel: equivalent voxels are not made equal by the symmetry of the crystal."""
    return model.predict(entry.geometry, entry.grid, symmetry=False)


def _cache_name(model: Checkpoint, store: Store) -> str:
    return f"{model.weights[:8]}-{store.hash()[:8]}"


def _maps(
    config: Config, work: Path, variants: list[dict[str, Any]], store: Store, alike: Split
) -> dict[str, dict[str, Any]]:
    """Magnetisations of two structures: DFT, and the first seed of the largest rotation order with the better sign."""
    best = [variant for variant in variants if variant["loss"] == UNSIGNED][-1]
    cases = [c for c in best["cases"][0] if c["group"] in GROUPS and c["alignment"] == "antiparallel"]
    keys = [sorted(alike.test)[0]] if alike.test else []
    if cases:
        keys.insert(0, sorted(cases, key=lambda case: case["unsigned"])[len(cases) // 2]["key"])
    runs = finished_runs(work / UNSIGNED / f"l{best['lmax']}", [best["lmax"]], config.seeds[:1])
    model = Checkpoint(next(iter(runs.values())).path, work)
    folder = work / "maps" / _cache_name(model, store)
    return {key: cached(folder / f"{key}.json", partial(_map, model, store[key])) for key in keys}


def _map(model: Checkpoint, entry: StoreEntry) -> dict[str, Any]:
    predicted, true = np.asarray(_predicted(model, entry).spin), entry.values[1]
    sign = 1.0 if np.abs(predicted - true).sum() <= np.abs(predicted + true).sum() else -1.0
    return {"DFT": _packed(entry, true), "predicted": _packed(entry, sign * predicted)}


def _packed(entry: StoreEntry, magnetisation: np.ndarray) -> dict[str, Any]:
    return pack_density(Density(entry.geometry, entry.grid, magnetisation))


def _data_facts(store: Store, split: Split, alike: Split) -> dict[str, Any]:
    unseen = {store[key].formula for key in split.test} - {store[key].formula for key in split.train}
    return {
        "store": str(store.path),
        "store_hash": store.hash(),
        "split_hash": split.hash,
        "train": list(split.train),
        "validation": list(split.validation),
        "test": list(split.test),
        "alike": list(alike.test),
        "unseen_formulas": sorted(unseen),
    }
