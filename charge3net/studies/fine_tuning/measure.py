"""Errors of a checkpoint on the test part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.studies.checkpoint import Checkpoint

if TYPE_CHECKING:
    from charge3net.evaluation.materials import Evaluation
    from charge3net.evaluation.run import TestSet
    from charge3net.train.runs import Run


def measure(start: str, member: Run, test: TestSet, work: Path) -> dict[str, Any]:
    """How a run was trained, with ε_mae in % of every test entry; the evaluation is stored in ``work``."""
    from charge3net.studies.training import run_record

    folder = work / "evaluations" / start / member.path.name
    return {
        "start": start,
        "size": member.config["data"]["train_size"],
        **run_record(member),
        "nmae_percent": errors(Checkpoint(member.path, work).evaluate(test, folder)),
    }


def errors(evaluation: Evaluation) -> list[float]:
    """ε_mae in % of every test entry."""
    return [round(m.total.nmae, 4) for m in evaluation.materials]
