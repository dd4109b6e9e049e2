"""Learning curves: the error against the number of training materials, for every rotation order and the baselines.

After Fig. 3 of Koker et al., npj Comput. Mater. 10, 161 (2024), and Fig. 5 of Jørgensen and Bhowmik, npj Comput. Mater.
8, 183 (2022): nested training sets, the same validation and test part, equal steps. See docs/studies.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charge3net.errors import InputError
from charge3net.studies.learning_curves.config import Config
from charge3net.studies.learning_curves.measure import finished_members, measure
from charge3net.studies.learning_curves.summary import compare_runs
from charge3net.studies.training import choice, sweep

#: The trainings: sizes and learning rates of the models, steps, batch.
EXPERIMENT = "experiment=study/learning_curves"


def run(config: Config, work: Path) -> dict[str, Any]:
    """Train what is missing, evaluate what is missing, compare.

    Raises:
        InputError: for fewer than three sizes, no rotation order, or a training that failed.
    """
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.evaluation.run import TestSet

    if len(set(config.sizes)) < 3 or not config.lmax:
        raise InputError(f"learning curves need a rotation order and three training sizes, found sizes={config.sizes}")
    folder = work / "runs"
    _train(config, folder)
    split = read_split(config.split)
    test = TestSet.of(Store(config.store), split)
    measured = [measure(member, test, work) for member in finished_members(config, folder)]
    runs, first = [row for row, _ in measured], measured[0][1]
    formulas = [m.formula for m in first.materials]
    baseline = [None if m.baseline is None else round(m.baseline.nmae, 4) for m in first.materials]
    data = {
        **first.facts["data"],
        "split": config.split,
        "train": len(split.train),
        "validation": len(split.validation),
        "keys": list(test.keys),
        "formulas": formulas,
        "superposition_nmae_percent": baseline,
    }
    return {"data": data, "runs": runs, **compare_runs(runs, config)}


def _train(config: Config, folder: Path) -> None:
    """The sweeps: rotation orders, then baselines, each over sizes and seeds."""
    asked = (("model.lmax", config.lmax, config.seeds), ("model", config.baselines, config.baseline_seeds))
    for setting, models, seeds in asked:
        if models and seeds:
            settings = [EXPERIMENT, *varied(setting, models, config.sizes, seeds), *config.overrides]
            sweep(settings, str(folder), store=config.store, split=config.split, launcher=config.launcher)


def varied(setting: str, models: Sequence[object], sizes: Sequence[int], seeds: Sequence[int]) -> list[str]:
    """Hydra overrides of the settings in which trainings differ; all three appear in the names of the run folders."""
    return [choice(setting, models), choice("data.train_size", sizes), choice("seed", seeds)]
