"""PAW density matrices learned on the features of a density model, and GPAW started from them.

The head is trained once, on all training entries that have density matrices. Errors are those of the test part; for
some of its crystals GPAW starts from every pair of density and D. See docs/studies.md.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError
from charge3net.studies.cache import cached
from charge3net.studies.occupations.config import Config

if TYPE_CHECKING:
    from numpy import ndarray

    from charge3net.data.store import Store, StoreEntry
    from charge3net.models.base import DensityModel
    from charge3net.models.occupations import OccupationHead
    from charge3net.paw.files import DensityMatrices
    from charge3net.studies.occupations.training import Example

#: Settings that the trained head depends on.
_TRAINING = ("mul", "lmax", "steps", "batch", "lr", "seed")


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train the head unless it is there, measure the test part, run what GPAW has not finished, and sum up.

    Raises:
        InputError: for parts without density matrices, structures that differ from theirs, or a failed calculation.
    """
    from charge3net.checkpoints import fingerprint, load_model
    from charge3net.data.splits import PARTS, read_split
    from charge3net.data.store import Store
    from charge3net.paw.files import read_density_matrices
    from charge3net.pretrained.resolve import resolve_model
    from charge3net.studies.occupations.measure import errors, turned_error
    from charge3net.studies.occupations.summary import sum_up
    from charge3net.studies.occupations.training import example

    store, split, matrices = Store(config.store), read_split(config.split), read_density_matrices(config.matrices)
    model, _ = load_model(resolve_model(config.model))
    every = {part: [key for key in split.part(part) if key in matrices] for part in PARTS}
    learned = {int(number) for key in every["train"] for number in matrices.numbers[key]}
    keys = {
        part: [key for key in found if learned.issuperset(matrices.numbers[key].tolist())]
        for part, found in every.items()
    }
    _check(keys, store, matrices)
    examples = {
        part: [example(store[key].geometry, key, matrices, model) for key in found] for part, found in keys.items()
    }
    head, facts, folder = _trained(config, work, model, matrices, keys, examples)
    structures = [
        {
            "key": key,
            "formula": store[key].formula,
            "numbers": store[key].geometry.numbers.tolist(),
            "errors": errors(head, one),
        }
        for key, one in zip(keys["test"], examples["test"], strict=True)
    ]
    chosen = _chosen(keys["test"], store, config.structures) if config.gpaw else []
    tried = [_calculated(key, store, model, head, matrices, config, folder / "gpaw") for key in chosen]
    calculations = [one for one in tried if "not_converged" not in one]
    return {
        "data": {
            "matrices": dict(matrices.meta),
            "store_hash": store.hash(),
            "left_out": {part: len(every[part]) - len(found) for part, found in keys.items()},
            "entries": {part: len(found) for part, found in keys.items()},
            "formulas": {part: len({store[key].formula for key in found}) for part, found in keys.items()},
        },
        "model": {"name": config.model, "weights": fingerprint(model)},
        "training": {name: getattr(config, name) for name in _TRAINING} | facts,
        "turned": max(turned_error(model, head, store[key].geometry, i) for i, key in enumerate(keys["test"])),
        "structures": structures,
        "calculations": calculations,
        "not_converged": [one["key"] for one in tried if "not_converged" in one],
        "summary": sum_up(structures, calculations),
    }


def _check(keys: dict[str, list[str]], store: Store, matrices: DensityMatrices) -> None:
    """Every part has entries, and the density matrices are of their atoms."""
    for part, found in keys.items():
        if not found:
            raise InputError(f"the {part} part has no entry with density matrices; give the split of their set")
        for key in found:
            if store[key].geometry.numbers.tolist() != matrices.numbers[key].tolist():
                raise InputError(f"{key}: the density matrices are of other atoms than the store's; unpack both again")


def _trained(
    config: Config,
    work: Path,
    model: DensityModel,
    matrices: DensityMatrices,
    keys: dict[str, list[str]],
    examples: dict[str, list[Example]],
) -> tuple[OccupationHead, dict[str, Any], Path]:
    """The head, what its training says, and the folder of everything that depends on it."""
    from charge3net.checkpoints import fingerprint
    from charge3net.checkpoints.occupations import CARD, load_head, save_head
    from charge3net.studies.occupations.training import train

    settings = {name: value for name, value in asdict(config).items() if name in _TRAINING}
    text = json.dumps([settings, keys["train"], keys["validation"], fingerprint(model)])
    folder = work / hashlib.sha256(text.encode()).hexdigest()[:12]
    if not (folder / CARD).is_file():
        head, facts = train(config, model, matrices, examples)
        save_head(folder, head, model, facts)
    facts = json.loads((folder / CARD).read_text(encoding="utf-8"))["facts"]
    return load_head(folder, model), facts, folder


def _chosen(keys: Sequence[str], store: Store, largest: int) -> list[str]:
    """At most so many crystals without spin, one of every formula before the second of any."""
    seen: Counter[str] = Counter()
    places = []
    for key in keys:
        if store[key].channels == 1:
            places.append((seen[store[key].formula], key))
            seen[store[key].formula] += 1
    return [key for _, key in sorted(places, key=lambda one: one[0])[:largest]]


def _calculated(
    key: str,
    store: Store,
    model: DensityModel,
    head: OccupationHead,
    matrices: DensityMatrices,
    config: Config,
    folder: Path,
) -> dict[str, Any]:
    """GPAW from every pair of density and D; stored as soon as it is finished."""
    settings = {"encut": config.encut, "smearing": config.smearing}
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:6]

    def compute() -> dict[str, Any]:
        from charge3net.studies.occupations.measure import calculated

        entry = store[key]
        starts = _starts(entry, model, head, matrices)
        return {"key": key, "formula": entry.formula, **calculated(entry, starts, config.gpaw, settings)}

    return cached(folder / digest / f"{key}.json", compute)


def _starts(
    entry: StoreEntry, model: DensityModel, head: OccupationHead, matrices: DensityMatrices
) -> dict[str, tuple[ndarray, list[ndarray]]]:
    """Density-D → both, for true and predicted densities."""
    from charge3net.graph.build import build_atom_graph
    from charge3net.models.occupations import atom_features
    from charge3net.paw.matrices import from_irreps
    from charge3net.predict.predictor import Predictor
    from charge3net.studies.occupations.measure import MEAN, NEUTRAL, PREDICTED, TRUE

    true = entry.density()
    predicted = Predictor(model).predict(entry.geometry, grid=true.grid)
    graph, setups = build_atom_graph(entry.geometry, model.cutoff), matrices.setups_of(entry.key)
    centre = head.mean_tensors(graph)
    sources = {
        NEUTRAL: [setup.neutral for setup in setups],
        MEAN: [setup.neutral + from_irreps(one, setup) for setup, one in zip(setups, centre, strict=True)],
        PREDICTED: head.matrices(graph, atom_features(model, graph)),
        TRUE: matrices[entry.key],
    }
    densities = {TRUE: true.total, PREDICTED: predicted.total}
    return {f"{density}-{source}": (densities[density], sources[source]) for density in densities for source in sources}
