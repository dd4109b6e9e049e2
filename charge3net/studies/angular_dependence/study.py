"""Angular dependence: do densities that vary strongly with direction gain more from a high rotation order?

ζ of every test density (Eq. 6 of Koker et al., npj Comput. Mater. 10, 161 (2024), their Figs. 4 and 5) against the
difference in error between two rotation orders. See docs/studies.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError
from charge3net.studies.angular_dependence.config import Config
from charge3net.studies.angular_dependence.measure import volume_per_atom, zeta_by_both_methods
from charge3net.studies.angular_dependence.summary import groups

if TYPE_CHECKING:
    from charge3net.data.splits import Split
    from charge3net.data.store import Store
    from charge3net.evaluation.materials import Evaluation
    from charge3net.train.runs import Run


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train and evaluate what is missing; ζ by both methods, correlations, the materials of highest and lowest ζ.

    Raises:
        InputError: for a test material of no kind, equal rotation orders, or a training that failed.
    """
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.studies.training import finished_runs, run_record, sweep_orders

    if not config.low < config.high or len(config.seeds) < 1:
        raise InputError(f"two rotation orders, low < high, are compared; found low={config.low}, high={config.high}")
    store, whole = Store(config.store), read_split(config.split)
    kinds = _kinds(config, whole)
    learned = _kinds_of_training(config)
    split, dense = _without_dense(store, whole, config.min_volume)
    split.save(work / "split.json")
    settings = [f"experiment={config.experiment}", *config.overrides]
    orders, path = (config.low, config.high), str(work / "split.json")
    members = (orders, config.rates, config.seeds)
    sweep_orders(settings, str(work / "runs"), *members, store=config.store, split=path, launcher=config.launcher)
    trained = finished_runs(work / "runs", orders, config.seeds)
    evaluations = _evaluated(store, split, "test", split.test, trained, work / "evaluations")
    zeta = work / "zeta" / store.hash()[:8]
    materials = _materials(store, kinds, evaluations, config, zeta)
    first = next(iter(evaluations.values()))
    keys = [key for key in split.train if key in learned]
    fitted: list[dict[str, Any]] = []
    if keys:
        evaluations = _evaluated(store, split, "train", keys, trained, work / "fitted")
        fitted = _materials(store, learned, evaluations, config, zeta)
    return {
        "data": {
            **first.facts["data"],
            "split": config.split,
            "train": len(split.train),
            "left_out": dense,
            "known_formulas": _known_formulas(store, split),
        },
        "orders": [config.low, config.high],
        "distance": config.distance,
        "min_volume": config.min_volume,
        "runs": [
            {"order": order, "mul": member.config["model"]["mul"], **run_record(member)}
            for (order, _), member in trained.items()
        ],
        "materials": materials,
        "groups": groups(materials),
        "fitted": fitted,
        "fitted_groups": groups(fitted),
        "extremes": _extremes(store, materials, trained, config, work),
    }


def _kinds(config: Config, split: Split) -> dict[str, str]:
    """Test material → kind."""
    from charge3net.data.splits import read_split

    if not config.kinds:
        return dict.fromkeys(split.test, "materials")
    beside = Path(config.split).parent
    found = {key: kind for kind in config.kinds for key in read_split(beside / kind / "split.json").test}
    missing = [key for key in split.test if key not in found]
    if missing:
        raise InputError(f"{missing[0]!r} ({len(missing)} in total) is in the test part of no kind; add it to kinds")
    return found


def _kinds_of_training(config: Config) -> dict[str, str]:
    """Training material → kind, for the kinds whose training materials are evaluated.

    Raises:
        InputError: for a kind that is not among ``kinds``.
    """
    from charge3net.data.splits import read_split

    for kind in config.fitted:
        if kind not in config.kinds:
            raise InputError(f"fitted names {kind!r}, which is not among kinds={config.kinds}")
    beside = Path(config.split).parent
    return {key: kind for kind in config.fitted for key in read_split(beside / kind / "split.json").train}


def _evaluated(
    store: Store, split: Split, part: str, keys: Sequence[str], trained: Mapping[tuple[int, int], Run], folder: Path
) -> dict[tuple[int, int], Evaluation]:
    """Errors of every trained model on these materials of a part of the split."""
    import warnings

    from charge3net.evaluation.run import TestSet
    from charge3net.studies.checkpoint import Checkpoint

    test = TestSet(store, tuple(keys), part, split)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="these are training materials")  # intended
        return {
            place: Checkpoint(member.path, folder.parent).evaluate(test, folder / member.path.name)
            for place, member in trained.items()
        }


def _without_dense(store: Store, split: Split, least: float | None) -> tuple[Split, list[str]]:
    """The split without materials of less volume per atom than ``least``, and the keys of those.

    Raises:
        InputError: if that leaves a part empty.
    """
    from charge3net.data.splits import PARTS

    keys = [key for part in PARTS for key in getattr(split, part)]
    dense = [] if least is None else [key for key in keys if volume_per_atom(store, key) < least]
    rest = split.restricted_to([key for key in keys if key not in dense])
    if not all(getattr(rest, part) for part in PARTS):
        raise InputError(f"min_volume={least} leaves a part of the split empty; choose a smaller value")
    return rest, dense


def _known_formulas(store: Store, split: Split) -> int:
    """Number of test materials whose formula occurs in the training part."""
    known = {store[key].geometry.formula for key in split.train}
    return sum(store[key].geometry.formula in known for key in split.test)


def _materials(
    store: Store,
    kinds: Mapping[str, str],
    evaluations: Mapping[tuple[int, int], Evaluation],
    config: Config,
    folder: Path,
) -> list[dict[str, Any]]:
    """Kind, volume per atom, ζ by both methods, ε_mae of SAD and of each order and seed, for each material."""
    rows = []
    for found in zip(*(evaluation.materials for evaluation in evaluations.values()), strict=True):
        errors = {place: round(material.total.nmae, 4) for place, material in zip(evaluations, found, strict=True)}
        one = found[0]
        rows.append(
            {
                "key": one.key,
                "formula": one.formula,
                "kind": kinds[one.key],
                "volume_per_atom": round(volume_per_atom(store, one.key), 3),
                **zeta_by_both_methods(store, one.key, config.distance, folder),
                "superposition": None if one.baseline is None else round(one.baseline.nmae, 4),
                "low": [errors[config.low, seed] for seed in config.seeds],
                "high": [errors[config.high, seed] for seed in config.seeds],
            }
        )
    return rows


def _extremes(
    store: Store,
    materials: Sequence[Mapping[str, Any]],
    trained: Mapping[tuple[int, int], Run],
    config: Config,
    work: Path,
) -> list[dict[str, Any]]:
    """The materials of highest and lowest ζ with their densities: DFT, and the predictions of the first seed."""
    from charge3net.io.packed import pack_density
    from charge3net.studies.cache import cached
    from charge3net.studies.checkpoint import Checkpoint

    order = sorted(materials, key=lambda material: -material["zeta"])
    models = [Checkpoint(trained[order, config.seeds[0]].path, work) for order in (config.low, config.high)]
    folder = work / "extremes" / "-".join([*(model.weights[:8] for model in models), store.hash()[:8]])

    def densities(key: str) -> dict[str, Any]:
        entry = store[key]
        predicted = [model.predict(entry.geometry, entry.grid) for model in models]
        return {"densities": [pack_density(density) for density in (entry.density(), *predicted)]}

    return [
        {"which": which, "key": key, **cached(folder / f"{key}.json", partial(densities, key))}
        for which, key in (("highest", order[0]["key"]), ("lowest", order[-1]["key"]))
    ]
