"""Learning curves: the error against the number of training materials, for every rotation order and the baselines.

After Fig. 3 of Koker et al., npj Comput. Mater. 10, 161 (2024), and Fig. 5 of Jørgensen and Bhowmik, npj Comput. Mater.
8, 183 (2022): nested training sets, the same validation and test part, equal steps. docs/studies.md describes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.errors import InputError
from charge3net.studies.learning_curves.page import combined_error, section
from charge3net.studies.training import choice, sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charge3net.analysis.learning import Gain, SizeErrors
    from charge3net.train.runs import Run

__all__ = ["Config", "figures", "run", "section"]


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: densities; the training part is cut to ``sizes``, validation and test stay whole.
        networks: experiments of conf/experiment that are compared with the one before, lowest rotation order first.
        baselines: experiments that stand beside them.
        sizes: of the training sets; a smaller one is part of every larger one of the same seed.
        seeds, baseline_seeds: of the weights, of the order of the data, and of the choice of the training set.
        overrides: further settings of every training, e.g. ``train.max_steps=3000``.
        launcher: how members run: ``launcher=joblib``, ``hydra.launcher.n_jobs=2``; empty: one after another.
        draws: of the bootstrap.
    """

    store: str
    split: str
    networks: list[str]
    baselines: list[str]
    sizes: list[int]
    seeds: list[int]
    baseline_seeds: list[int]
    overrides: list[str] = field(default_factory=list)
    launcher: list[str] = field(default_factory=list)
    draws: int = 2000


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train what is missing, evaluate what is missing, compare.

    Raises:
        InputError: for fewer than three sizes or no network, or if a training failed.
    """
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.evaluation.run import TestSet, evaluate_checkpoint
    from charge3net.models.registry import label
    from charge3net.studies.trained import run_record

    if len(set(config.sizes)) < 3 or not config.networks:
        raise InputError(f"learning curves need a network and three training sizes, found sizes={config.sizes}")
    folder = work / "runs"
    _train(config, folder)
    split = read_split(config.split)
    test = TestSet.of(Store(config.store), split)
    trained = _members(config, folder)
    evaluations = [
        evaluate_checkpoint(member.path, test, work / "evaluations" / member.path.name, figures=False)
        for member in trained
    ]
    runs = [
        {
            "model": label(member.card.architecture, member.card.hyperparameters),
            "size": member.config["data"]["train_size"],
            **run_record(member),
            "nmae_percent": [round(m.total.nmae, 4) for m in evaluation.materials],
        }
        for member, evaluation in zip(trained, evaluations, strict=True)
    ]
    formulas = [m.formula for m in evaluations[0].materials]
    baseline = [None if m.baseline is None else round(m.baseline.nmae, 4) for m in evaluations[0].materials]
    data = {
        **evaluations[0].facts["data"],
        "split": config.split,
        "train": len(split.train),
        "validation": len(split.validation),
        "keys": list(test.keys),
        "formulas": formulas,
        "superposition_nmae_percent": baseline,
    }
    return {"data": data, "runs": runs, **_compared(runs, config)}


def _train(config: Config, folder: Path) -> None:
    """The sweeps: networks, then baselines, each over sizes and seeds."""
    for experiments, seeds in ((config.networks, config.seeds), (config.baselines, config.baseline_seeds)):
        if experiments and seeds:
            settings = [*varied(experiments, config.sizes, seeds), *config.overrides]
            sweep(settings, str(folder), store=config.store, split=config.split, launcher=config.launcher)


def varied(experiments: Sequence[str], sizes: Sequence[int], seeds: Sequence[int]) -> list[str]:
    """What members differ in, as Hydra's overrides; all three stand in their folders."""
    return [choice("experiment", experiments), choice("data.train_size", sizes), choice("seed", seeds)]


def _members(config: Config, folder: Path) -> list[Run]:
    """The finished runs that this configuration asks for, whatever else is in the folder.

    Raises:
        InputError: for one that is not there or not finished.
    """
    from charge3net.train.runs import read_runs

    asked = ((config.networks, config.seeds), (config.baselines, config.baseline_seeds))
    places = [
        folder / f"{experiment.rsplit('/', 1)[-1]},train_size={size},seed={seed}"
        for experiments, seeds in asked
        for experiment in experiments
        for size in config.sizes
        for seed in seeds
    ]
    found = read_runs(places)
    for member in found:
        if not member.summary:
            raise InputError(f"{member.path} is not finished; run the study again")
    return found


def _compared(runs: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """Curves with their exponents, and each network beside the one before."""
    from charge3net.analysis.learning import gains, learning_exponent

    errors = size_errors(runs)
    curves = []
    for name, found in errors.items():
        exponent = learning_exponent(found, config.draws)
        curves.append(
            {
                "model": name,
                "sizes": found.sizes.astype(int).tolist(),
                "seeds": len(found.errors),
                "mean": found.mean().tolist(),
                "material_error": found.material_error().tolist(),
                "seed_spread": None if len(found.errors) < 2 else found.seed_spread().tolist(),
                "exponent": asdict(exponent),
            }
        )
    networks = list(errors)[: len(config.networks)]
    steps = [
        {
            "from": low,
            "to": high,
            "gains": [_plain(gain) for gain in gains(errors[low], errors[high])],
        }
        for low, high in itertools.pairwise(networks)
    ]
    return {"curves": curves, "steps": steps}


def _plain(gain: Gain) -> dict[str, Any]:
    """For JSON, which has no NaN."""
    error = None if np.isnan(gain.seed_error) else gain.seed_error
    return {**asdict(gain), "seed_error": error, "settled": gain.settled}


def size_errors(runs: Sequence[Mapping[str, Any]]) -> dict[str, SizeErrors]:
    """Errors of each model as an array over seeds, sizes and materials; models in order of rotation order, then name.

    Raises:
        InputError: if a model lacks a seed at some size.
    """
    from charge3net.analysis.learning import SizeErrors

    found = {}
    for name in sorted({run["model"] for run in runs}, key=lambda name: ("L=" not in name, name)):
        own = {(run["seed"], run["size"]): run["nmae_percent"] for run in runs if run["model"] == name}
        seeds, sizes = sorted({seed for seed, _ in own}), sorted({size for _, size in own})
        missing = [(seed, size) for seed in seeds for size in sizes if (seed, size) not in own]
        if missing:
            raise InputError(
                f"{name} has no finished run with seed {missing[0][0]} and {missing[0][1]} training materials; "
                "run the study again"
            )
        errors = np.array([[own[seed, size] for size in sizes] for seed in seeds])
        found[name] = SizeErrors(np.array(sizes, dtype=float), errors)
    return found


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """``curves``: errors and fitted slopes; ``orders``: what each rotation order gains over the one before."""
    from charge3net.plot.curves import GainCurve, SizeCurve, order_gains, size_curves

    curves = []
    for curve in result["curves"]:
        exponent = curve["exponent"]
        curves.append(
            SizeCurve(
                curve["model"],
                np.array(curve["sizes"], dtype=float),
                np.array(curve["mean"]),
                combined_error(curve),
                exponent["value"],
                exponent["factor"],
                (exponent["material_low"], exponent["material_high"]),
                np.array(exponent["seeds"]),
            )
        )
    atoms = [value for value in result["data"]["superposition_nmae_percent"] if value is not None]
    drawn = {"curves": size_curves(curves, float(np.mean(atoms)) if atoms else None)}
    steps = [
        GainCurve(
            f"{step['from'].split()[-1]} → {step['to'].split('=')[-1]}",
            np.array([gain["size"] for gain in step["gains"]], dtype=float),
            np.array([gain["pair"]["mean"] for gain in step["gains"]]),
            np.array([gain["pair"]["low"] for gain in step["gains"]]),
            np.array([gain["pair"]["high"] for gain in step["gains"]]),
            np.array([gain["settled"] for gain in step["gains"]]),
        )
        for step in result["steps"]
    ]
    return {**drawn, "orders": order_gains(steps)} if steps else drawn
