"""The finished trainings of the study and their errors on the test part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError
from charge3net.studies.checkpoint import Checkpoint
from charge3net.studies.learning_curves.config import Config

if TYPE_CHECKING:
    from charge3net.evaluation.materials import Evaluation
    from charge3net.evaluation.run import TestSet
    from charge3net.train.runs import Run


def finished_members(config: Config, folder: Path) -> list[Run]:
    """The finished runs that the settings ask for, whatever else is in the folder.

    Raises:
        InputError: for one that is missing or not finished.
    """
    from charge3net.train.runs import read_runs

    orders, baselines = (
        [f"lmax={order}" for order in config.lmax],
        [name.replace("/", "-") for name in config.baselines],
    )
    places = [
        folder / f"{model},train_size={size},seed={seed}"
        for models, seeds in ((orders, config.seeds), (baselines, config.baseline_seeds))
        for model in models
        for size in config.sizes
        for seed in seeds
    ]
    found = read_runs(places)
    for member in found:
        if not member.summary:
            raise InputError(f"{member.path} is not finished; run the study again")
    return found


def measure(member: Run, test: TestSet, work: Path) -> tuple[dict[str, Any], Evaluation]:
    """How a run was trained, with ε_mae in % of every test material; and its evaluation, stored in ``work``."""
    from charge3net.models.registry import label
    from charge3net.studies.training import run_record

    evaluation = Checkpoint(member.path, work).evaluate(test, work / "evaluations" / member.path.name)
    row = {
        "model": label(member.card.architecture, member.card.hyperparameters),
        "size": member.config["data"]["train_size"],
        **run_record(member),
        "nmae_percent": [round(m.total.nmae, 4) for m in evaluation.materials],
    }
    return row, evaluation
