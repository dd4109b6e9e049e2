"""Magnetisation beside the total density: rotation orders, the global sign, moments, and what no network can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.analysis.statistics import paired_difference
from charge3net.data.splits import Split, read_split
from charge3net.data.store import Store, StoreEntry
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.studies.packed import pack_density, unpack_density
from charge3net.studies.spin.measure import (
    GROUPS,
    SIGNED,
    UNSIGNED,
    WITH_TRAINED,
    atom_moments,
    average,
    chosen,
    measure,
    over_seeds,
    variant_name,
)
from charge3net.studies.spin.page import section
from charge3net.studies.trained import finished_runs
from charge3net.studies.training import sweep_orders

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charge3net.predict.predictor import Predictor
    from charge3net.train.runs import Run

__all__ = ["Config", "figures", "run", "section"]


@dataclass
class Config:
    """Settings of the study.

    Attributes:
        store: folder of densities with magnetisation.
        split: its split.
        alike: a split whose test part has sublattices that only the moments tell apart.
        lmax: rotation orders, lowest first, trained up to the sign of each structure's magnetisation.
        rates: L → learning rate.
        seeds: of the first weights and the drawn probes.
        signed_seeds: seeds of the largest order, trained with the sign that the DFT loop ended with.
        overrides: more settings of every training.
        launcher: how Hydra starts the trainings.
    """

    store: str
    split: str
    alike: str
    lmax: list[int] = field(default_factory=lambda: [0, 4])
    rates: dict[int, float] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    signed_seeds: list[int] = field(default_factory=lambda: [0, 1])
    overrides: list[str] = field(default_factory=list)
    launcher: list[str] = field(default_factory=list)


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train what is missing, read every test structure with every model."""
    if not config.lmax or not config.seeds:
        raise InputError("the study of spin needs rotation orders and seeds; look at --show")
    store, split, alike = Store(config.store), read_split(config.split), read_split(config.alike)
    for one in (split, alike):
        one.check(store.keys())
    variants = [_variant(config, work, UNSIGNED, lmax, config.seeds) for lmax in config.lmax]
    if config.signed_seeds:
        variants.append(_variant(config, work, SIGNED, config.lmax[-1], config.signed_seeds))
    for variant in variants:
        variant["cases"] = _cases(variant.pop("runs"), store, split, alike)
    return {
        "variants": variants,
        "averages": [_averages(variant) for variant in variants],
        "pairs": _pairs(variants),
        "maps": _maps(config, work, variants, store, alike),
        "data": _data_facts(store, split, alike),
    }


def _variant(config: Config, work: Path, loss: str, lmax: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Train one rotation order with one loss, all seeds."""
    folder = work / loss / f"l{lmax}"
    what, members = ["experiment=spin", f"loss={loss}", *config.overrides], ([lmax], config.rates, seeds)
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


def _cases(runs: Sequence[Run], store: Store, split: Split, alike: Split) -> list[list[dict[str, Any]]]:
    """[seeds][structures] what each model makes of each test structure, with its group."""
    seen = {store[key].formula for key in split.train}
    found = []
    for one in runs:
        predictor = _Everywhere(_predictor(one.path))
        cases = []
        for group, keys in (("trained", split.train), ("", split.test), ("alike", alike.test)):
            for case in measure(predictor, store, keys):
                own = group or ("distortion" if case.formula in seen else "composition")
                cases.append({**case.as_dict(), "group": own})
        found.append(cases)
        print(f"{one.path}: {len(cases)} structures", flush=True)
    return found


class _Everywhere:
    """A predictor that reads every voxel: nothing is made equal by the crystal's symmetry."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, structure: Any, *, grid: Any) -> Density:
        return self._predictor.predict(structure, grid=grid, symmetry=False)


def _predictor(path: Path) -> Predictor:
    from charge3net.predict.predictor import Predictor

    return Predictor.from_checkpoint(path)


def _averages(variant: dict[str, Any]) -> dict[str, Any]:
    """Means of the errors in %, by group; those of the magnetisation by alignment too."""
    cases = variant["cases"]
    table: dict[str, Any] = {"lmax": variant["lmax"], "loss": variant["loss"]}
    for group in (*WITH_TRAINED, "alike"):
        numbers = {name: average(cases, name, chosen(group)) for name in ("total", "baseline", "unsigned", "signed")}
        for alignment in ("parallel", "antiparallel"):
            for name in ("unsigned", "signed"):
                numbers[f"{name} {alignment}"] = average(cases, name, chosen(group, alignment))
        table[group] = numbers
    return table


def _pairs(variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lowest against highest rotation order, structure by structure (means over seeds), in %."""
    orders = [variant for variant in variants if variant["loss"] == UNSIGNED]
    rows: list[dict[str, Any]] = []
    for group in GROUPS if len(orders) > 1 else ():
        for name in ("total", "unsigned"):
            first, last = (
                over_seeds([[c for c in cases if chosen(group)(c)] for cases in one["cases"]], name)
                for one in (orders[0], orders[-1])
            )
            if len(first) > 1:
                pair = paired_difference(np.array([last[k] for k in first]), np.array(list(first.values())))
                numbers = {key: round(getattr(pair, key), 4) for key in ("mean", "low", "high")}
                rows.append({"group": group, "error": name, **numbers, "wins": pair.wins, "count": pair.count})
    return rows


def _maps(
    config: Config, work: Path, variants: list[dict[str, Any]], store: Store, alike: Split
) -> dict[str, dict[str, Any]]:
    """Magnetisations of two structures, DFT and the largest rotation order's first seed: packed, sign as in cases."""
    best = [variant for variant in variants if variant["loss"] == UNSIGNED][-1]
    cases = [c for c in best["cases"][0] if c["group"] in GROUPS and c["alignment"] == "antiparallel"]
    keys = [sorted(alike.test)[0]] if alike.test else []
    if cases:
        keys.insert(0, sorted(cases, key=lambda case: case["unsigned"])[len(cases) // 2]["key"])
    folder = work / UNSIGNED / f"l{best['lmax']}"
    predictor = _Everywhere(_predictor(next(folder.glob(f"*seed={config.seeds[0]}*"), folder / "0")))
    found = {}
    for key in keys:
        entry = store[key]
        predicted = np.asarray(predictor.predict(entry.geometry, grid=entry.grid).spin)
        true = entry.values[1]
        sign = 1.0 if np.abs(predicted - true).sum() <= np.abs(predicted + true).sum() else -1.0
        found[key] = {"DFT": _packed(entry, true), "predicted": _packed(entry, sign * predicted)}
    return found


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


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """Errors by group, moments, maps."""
    from charge3net.studies.spin.figures import grouped_strip, magnetisation_maps, moment_parity

    reference = "superposition of atoms"
    panels = {
        "ε$_{mae}$ of the total density (%)": _strip(result, "total", (None,), reference),
        "ε$_{mae}$ of the magnetisation, up to its sign (%)": _strip(result, "unsigned", ("parallel", "antiparallel")),
    }
    drawn = {"errors": grouped_strip(panels, reference), "moments": moment_parity(_moment_panels(result))}
    if result["maps"]:
        rows = {
            "-".join(key.split("-")[:3]): (unpack_density(pair["DFT"]), unpack_density(pair["predicted"]))
            for key, pair in result["maps"].items()
        }
        drawn["maps"] = magnetisation_maps(rows, ("DFT", "predicted"))
    return drawn


def _strip(
    result: dict[str, Any], name: str, alignments: Sequence[str | None], reference: str | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Title of a block → name of a model → errors of the structures."""
    blocks: dict[str, dict[str, np.ndarray]] = {}
    for group, title in WITH_TRAINED.items():
        for alignment in alignments:
            select = chosen(group, alignment)
            block = {}
            for variant in result["variants"]:
                kept = [[case for case in cases if select(case)] for cases in variant["cases"]]
                block[variant_name(variant)] = np.array(list(over_seeds(kept, name).values()))
            if reference:
                block[reference] = np.array(list(over_seeds(kept[:1], "baseline").values()))
            block = {row: values for row, values in block.items() if len(values)}
            if block:
                blocks[title + (f", {alignment}" if alignment else "")] = block
    return blocks


def _moment_panels(result: dict[str, Any]) -> dict[str, Any]:
    from charge3net.studies.spin.figures import Moments

    panels: dict[str, Any] = {}
    for variant in result["variants"]:
        if variant["loss"] == UNSIGNED:
            cases = variant["cases"]
            panels[f"atoms, {variant_name(variant)}"] = [
                Moments(title, *atom_moments(cases, chosen(group))) for group, title in GROUPS.items()
            ]
            last = cases
    tested = [[case for case in of_seed if case["group"] in GROUPS] for of_seed in last]
    panels[f"cells, L = {result['variants'][len(panels) - 1]['lmax']}"] = [
        Moments(title, np.array([c[name][0] for c in tested[0]]), np.array([[c[name][1] for c in s] for s in tested]))
        for name, title in {"cell": "∫m", "absolute": "∫|m|"}.items()
    ]
    return panels
