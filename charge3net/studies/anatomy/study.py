"""Anatomy of the error: its size for each structure, compared with the spread of functionals, and its distribution.

ε_mae of every test structure with ε_mad of Jørgensen and Bhowmik, npj Comput. Mater. 8, 183 (2022); the error by
element (Bader volumes of the DFT density), by distance to the nearest atom, by density. See docs/studies.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.errors import InputError
from charge3net.studies.anatomy.config import Config, Group
from charge3net.studies.cache import cached

if TYPE_CHECKING:
    from charge3net.data.store import Store
    from charge3net.studies.checkpoint import Checkpoint

#: Fraction of a structure's error inside the isosurfaces in the figures.
ENCLOSED = 0.3


def run(config: Config, work: Path) -> dict[str, Any]:
    """Analyse every structure of every group and average; finished structures stay in ``work``.

    Raises:
        InputError: for a model that was trained on one of the structures, or files that cannot be read.
    """
    from charge3net.analysis.cores import valence_electrons
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store

    store = Store(config.store)
    entries = [store[key] for key in store]
    compositions = [Counter(entry.geometry.numbers.tolist()) for entry in entries]
    valence = valence_electrons(compositions, np.array([entry.electrons for entry in entries]))
    spread, allowed = _read_spread(config.functionals), read_split(config.split)
    groups = {
        name: _group(work, name, group, allowed.part("test"), store, valence, spread["epsilon_mad"])
        for name, group in config.groups.items()
    }
    return {
        "store": config.store,
        "store_hash": store.hash(),
        "split": config.split,
        "split_hash": allowed.hash,
        "functionals": {"path": config.functionals, **spread["header"]},
        "groups": groups,
    }


def _group(
    work: Path,
    name: str,
    group: Group,
    allowed: Sequence[str],
    store: Store,
    valence: Mapping[int, int],
    spread: Mapping[str, float],
) -> dict[str, Any]:
    """Result of one group."""
    from charge3net.data.splits import read_split
    from charge3net.studies.anatomy.measure import average_seeds
    from charge3net.studies.anatomy.summary import sum_up
    from charge3net.studies.checkpoint import Checkpoint

    split = read_split(group.split)
    keys = [key for key in split.part("test") if key in allowed]
    if not keys:
        raise InputError(f"no structure of the test part of {group.split} is in the test part of the common split")
    models = [Checkpoint(path, work) for path in group.models]
    facts = [_model_facts(path, model, keys) for path, model in zip(group.models, models, strict=True)]
    folders = [work / "structures" / name / f"{model.weights[:8]}-{store.hash()[:8]}" for model in models]
    parts = [_analysed(keys, store, model, valence, folder) for model, folder in zip(models, folders, strict=True)]
    found = [average_seeds(of_structure) for of_structure in zip(*parts, strict=True)]
    return {
        "split": group.split,
        "split_hash": split.hash,
        "left_out": [key for key in split.test if key not in allowed],
        "models": facts,
        **sum_up(found, spread),
        "pictures": _pictures(found, store, models[0], folders[0] / "pictures"),
    }


def _analysed(
    keys: Sequence[str], store: Store, model: Checkpoint, valence: Mapping[int, int], folder: Path
) -> list[dict[str, Any]]:
    """The errors of the structures, each stored in a file as soon as it is finished."""
    from tqdm import tqdm

    from charge3net.studies.anatomy.measure import analyse_error

    def analysed(key: str) -> dict[str, Any]:
        entry = store[key]
        return analyse_error(entry, model.predict(entry.geometry, entry.grid), valence)

    return [
        cached(folder / f"{key}.json", partial(analysed, key))
        for key in tqdm(keys, desc=folder.parent.name, unit="structure", disable=None)
    ]


def _pictures(
    found: Sequence[Mapping[str, Any]], store: Store, model: Checkpoint, folder: Path
) -> dict[str, dict[str, Any]]:
    """best, median, worst → the first model's error as a packed density, and the level that encloses part of it."""
    ranked = sorted(found, key=lambda structure: float(np.mean(structure["nmae"])))
    chosen = {"best": ranked[0], "median": ranked[(len(ranked) - 1) // 2], "worst": ranked[-1]}
    return {
        which: cached(folder / f"{structure['key']}.json", partial(_picture, structure, store, model))
        for which, structure in chosen.items()
    }


def _picture(structure: Mapping[str, Any], store: Store, model: Checkpoint) -> dict[str, Any]:
    from charge3net.density import Density
    from charge3net.io.packed import pack_density
    from charge3net.plot.isosurface import level_enclosing

    entry = store[structure["key"]]
    error = np.asarray(model.predict(entry.geometry, entry.grid).total, dtype=np.float64) - entry.values[0]
    level = level_enclosing(Density(entry.geometry, entry.grid, np.abs(error)), ENCLOSED)
    return {
        "key": entry.key,
        "formula": structure["formula"],
        "nmae": structure["nmae"][0],
        "level": float(f"{level:.3g}"),
        "error": pack_density(Density(entry.geometry, entry.grid, error), step=level / 8.0),
    }


def _model_facts(path: str, model: Checkpoint, keys: Sequence[str]) -> dict[str, Any]:
    """Name, training and weights of a model.

    Raises:
        InputError: if one of the keys is in the training or validation part of the split that it was trained with.
    """
    from charge3net.data.splits import read_split
    from charge3net.models.registry import label
    from charge3net.studies.training import run_record
    from charge3net.train.runs import read_runs

    run = read_runs([Path(path)])[0]
    split = run.config["data"]["split"]
    trained = read_split(split)
    seen = sorted({*trained.train, *trained.validation} & set(keys))
    if seen:
        raise InputError(f"{path} was trained or chosen on {seen[0]!r} and {len(seen) - 1} more of the test structures")
    return {
        "path": _short(path),
        "name": label(model.card.architecture, model.card.hyperparameters),
        **run_record(run),
        "parameters": model.parameters,
        "weights": model.weights,
        "trained_with": {"split": _short(split), "split_hash": trained.hash, "materials": len(trained.train)},
    }


def _short(path: str) -> str:
    """Relative to the current folder if the path is below it."""
    full, here = Path(path).resolve(), Path.cwd().resolve()
    return str(full.relative_to(here)) if full.is_relative_to(here) else path


def _read_spread(path: str | None) -> dict[str, Any]:
    """ε_mad of each structure, and how it was computed; empty without a file.

    Raises:
        InputError: if the file cannot be read.
    """
    if path is None:
        return {"epsilon_mad": {}, "header": {"functionals": []}}
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        by_key = {row["key"]: float(row["epsilon_mad"]) for row in content["structures"]}
        return {"epsilon_mad": by_key, "header": {k: content[k] for k in ("code", "mode", "functionals")}}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} holds no spread of functionals ({error}); data_prep/benchmark_set/functionals.py makes it"
        ) from error
