"""Learning curves: the error against the number of training materials, for every rotation order and the baselines.

After Fig. 3 of Koker et al., npj Comput. Mater. 10, 161 (2024), and Fig. 5 of Jørgensen and Bhowmik, npj Comput. Mater.
8, 183 (2022): nested training sets, the same validation and test part, equal steps. docs/studies.md describes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError
from charge3net.studies.learning_curves.config import Config
from charge3net.studies.learning_curves.summary import compare_runs
from charge3net.studies.training import choice, sweep

if TYPE_CHECKING:
    from charge3net.train.runs import Run


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train what is missing, evaluate what is missing, compare.

    Raises:
        InputError: for fewer than three sizes or no network, or if a training failed.
    """
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.evaluation.run import TestSet, evaluate_checkpoint
    from charge3net.models.registry import label
    from charge3net.studies.training import run_record

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
    return {"data": data, "runs": runs, **compare_runs(runs, config)}


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
