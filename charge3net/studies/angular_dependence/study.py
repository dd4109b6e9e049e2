"""Angular dependence: whether a density that varies around its atoms gains more from a high rotation order.

ζ of every test density (Eq. 6 of Koker et al., npj Comput. Mater. 10, 161 (2024), their Figs. 4 and 5) against the
error that the higher of two rotation orders saves. docs/studies.md describes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.errors import InputError
from charge3net.studies.angular_dependence.page import section
from charge3net.studies.angular_dependence.summary import groups
from charge3net.studies.cache import cached

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charge3net.data.splits import Split
    from charge3net.data.store import Store
    from charge3net.evaluation.materials import Evaluation
    from charge3net.train.runs import Run

__all__ = ["Config", "figures", "run", "section"]

#: Isosurfaces are drawn this much smaller: their shades make large files.
SHRINK = 0.68


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: densities, all kinds together.
        kinds: folders beside ``split``, each with the ``split.json`` of a kind; empty: one kind.
        fitted: of the kinds, those whose training materials are evaluated as well: what the networks can represent,
            without the chance of new compositions.
        experiment: of conf/experiment, trained at both rotation orders.
        low, high: rotation orders L that are compared.
        rates: L → learning rate.
        seeds: of weights and order of the data.
        min_volume: materials with less volume per atom, Å³, are left out of every part; null keeps all.
        distance: voxels farther than this (Å) from every atom do not count in ζ; null: all count.
        overrides: further settings of every training, e.g. ``train.max_steps=6000``.
        launcher: how members run: ``launcher=joblib``, ``hydra.launcher.n_jobs=2``; empty: one after another.
    """

    store: str
    split: str
    kinds: list[str]
    experiment: str
    low: int
    high: int
    rates: dict[int, float]
    seeds: list[int]
    min_volume: float | None = None
    distance: float | None = None
    fitted: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    launcher: list[str] = field(default_factory=list)


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train and evaluate what is missing, ζ by both methods, correlations, the two extreme materials.

    Raises:
        InputError: for a test material of no kind, equal rotation orders, or if a training failed.
    """
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.studies.trained import finished_runs, run_record
    from charge3net.studies.training import sweep_orders

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
    materials = _materials(store, kinds, evaluations, config, work / "zeta")
    first = next(iter(evaluations.values()))
    keys = [key for key in split.train if key in learned]
    fitted: list[dict[str, Any]] = []
    if keys:
        evaluations = _evaluated(store, split, "train", keys, trained, work / "fitted")
        fitted = _materials(store, learned, evaluations, config, work / "zeta")
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
        "extremes": _extremes(store, materials, trained, config),
    }


def _kinds(config: Config, split: Split) -> dict[str, str]:
    """Test material → its kind."""
    from charge3net.data.splits import read_split

    if not config.kinds:
        return dict.fromkeys(split.test, "materials")
    beside = Path(config.split).parent
    found = {key: kind for kind in config.kinds for key in read_split(beside / kind / "split.json").test}
    missing = [key for key in split.test if key not in found]
    if missing:
        raise InputError(f"{missing[0]!r} is in the test part of no kind, {len(missing)} such; name theirs in kinds")
    return found


def _kinds_of_training(config: Config) -> dict[str, str]:
    """Training material → its kind, of the kinds that are evaluated on what they were trained on.

    Raises:
        InputError: for one that is not among the kinds.
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
    """Every trained model on these materials of a part of the split."""
    import warnings

    from charge3net.evaluation.run import TestSet, evaluate_checkpoint

    test = TestSet(store, tuple(keys), part, split)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="these are training materials")  # they are meant to be
        return {
            place: evaluate_checkpoint(member.path, test, folder / member.path.name, figures=False)
            for place, member in trained.items()
        }


def _without_dense(store: Store, split: Split, least: float | None) -> tuple[Split, list[str]]:
    """The split without materials whose atoms have too little room, and the names of those.

    Raises:
        InputError: if that leaves a part empty.
    """
    from charge3net.data.splits import PARTS

    keys = [key for part in PARTS for key in getattr(split, part)]
    dense = [] if least is None else [key for key in keys if _volume_per_atom(store, key) < least]
    rest = split.restricted_to([key for key in keys if key not in dense])
    if not all(getattr(rest, part) for part in PARTS):
        raise InputError(f"min_volume={least} leaves a part of the split empty; take a smaller one")
    return rest, dense


def _known_formulas(store: Store, split: Split) -> int:
    """How many of the test materials have a formula that is trained on."""
    known = {store[key].geometry.formula for key in split.train}
    return sum(store[key].geometry.formula in known for key in split.test)


def _volume_per_atom(store: Store, key: str) -> float:
    """Å³; of a molecule, of its box."""
    geometry = store[key].geometry
    return float(abs(np.linalg.det(geometry.cell)) / len(geometry))


def _materials(
    store: Store,
    kinds: Mapping[str, str],
    evaluations: Mapping[tuple[int, int], Evaluation],
    config: Config,
    folder: Path,
) -> list[dict[str, Any]]:
    """Of each test material: kind, room, ζ by both methods, ε_mae of the atoms and of each order and seed."""
    rows = []
    for found in zip(*(evaluation.materials for evaluation in evaluations.values()), strict=True):
        errors = {place: round(material.total.nmae, 4) for place, material in zip(evaluations, found, strict=True)}
        one = found[0]
        rows.append(
            {
                "key": one.key,
                "formula": one.formula,
                "kind": kinds[one.key],
                "volume_per_atom": round(_volume_per_atom(store, one.key), 3),
                **_zeta(store, one.key, config.distance, folder),
                "superposition": None if one.baseline is None else round(one.baseline.nmae, 4),
                "low": [errors[config.low, seed] for seed in config.seeds],
                "high": [errors[config.high, seed] for seed in config.seeds],
            }
        )
    return rows


def _zeta(store: Store, key: str, distance: float | None, folder: Path) -> dict[str, float]:
    """ζ by both methods, kept in a file once it is known."""
    from charge3net.analysis.angular import angular_variation

    def both() -> dict[str, float]:
        density = store[key].density()
        return {
            "zeta": angular_variation(density, distance, "spectral"),
            "zeta_published": angular_variation(density, distance, "published"),
        }

    return cached(folder / (f"{key}.json" if distance is None else f"{key}-{distance:g}.json"), both)


def _extremes(
    store: Store, materials: Sequence[Mapping[str, Any]], trained: Mapping[tuple[int, int], Run], config: Config
) -> list[dict[str, Any]]:
    """The materials with the highest and the lowest ζ, and their densities: true, and of the first seed's models."""
    from charge3net.predict.predictor import Predictor
    from charge3net.studies.packed import pack_density

    order = sorted(materials, key=lambda material: -material["zeta"])
    predictors = [
        Predictor.from_checkpoint(trained[order, config.seeds[0]].path) for order in (config.low, config.high)
    ]
    chosen = []
    for which, material in (("highest", order[0]), ("lowest", order[-1])):
        entry = store[material["key"]]
        predicted = [predictor.predict(entry.geometry, grid=entry.grid) for predictor in predictors]
        densities = [pack_density(density) for density in (entry.density(), *predicted)]
        chosen.append({"which": which, "key": material["key"], "densities": densities})
    return chosen


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """``gain`` (``gain_fitted``): ζ against what the higher order saves on test (training) materials; ``methods``: both
    ζ; ``highest_zeta``, ``lowest_zeta``, ``profiles``: the two extreme densities."""
    from charge3net.plot.isosurface import isosurfaces, level_enclosing
    from charge3net.studies.angular_dependence.figures import gain_by_kind, radial_profiles, two_methods
    from charge3net.studies.angular_dependence.summary import columns
    from charge3net.studies.packed import unpack_density

    low, high = result["orders"]
    table = columns(result["materials"])
    kinds = [material["kind"] for material in result["materials"]]
    titles = ("DFT", f"L = {low}", f"L = {high}")
    drawn = {
        "gain": gain_by_kind(table.zeta, table.gains, table.relative_gains, kinds, (low, high)),
        "methods": two_methods(table.zeta, table.zeta_published, kinds),
    }
    if result["fitted"]:
        fitted = columns(result["fitted"])
        kinds = [material["kind"] for material in result["fitted"]]
        drawn["gain_fitted"] = gain_by_kind(fitted.zeta, fitted.gains, fitted.relative_gains, kinds, (low, high))
    named = {material["key"]: material for material in result["materials"]}
    profiles = []
    for extreme in result["extremes"]:
        material = named[extreme["key"]]
        densities = [unpack_density(packed) for packed in extreme["densities"]]
        title = f"{material['formula']}: ζ = {material['zeta']:.3f}"
        level = level_enclosing(densities[0], 0.8)
        paired = zip(densities, titles, strict=True)
        shown = [(d, name) for d, name in paired if d.total.min() < level < d.total.max()]
        surfaces = isosurfaces([d for d, _ in shown], [name for _, name in shown], level)
        surfaces.text(0.46, 1.0, title, ha="center", va="bottom", weight="bold", fontsize=12)
        width, height = surfaces.get_size_inches()
        surfaces.set_size_inches((SHRINK * width, SHRINK * height))
        drawn[f"{extreme['which']}_zeta"] = surfaces
        profiles.append((title, densities))
    return {**drawn, "profiles": radial_profiles(profiles, titles)}
