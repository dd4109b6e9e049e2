"""Runs: settings, log and summary of run folders. Does not need Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.train.run_folder import METRICS, RunFolder

if TYPE_CHECKING:
    from charge3net.checkpoints import ModelCard


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder.

    Attributes:
        path: the folder.
        name: unique among the runs read together.
        card: of its best model.
        config: its settings (``config.json``).
        summary: of the finished run (``summary.json``); empty if it is not finished.
        metrics: column of ``metrics.csv`` → [rows] values, NaN where not logged.
    """

    path: Path
    name: str
    card: ModelCard
    config: dict[str, Any]
    summary: dict[str, Any]
    metrics: dict[str, Float[ndarray, "rows"]]

    def validation_curve(self) -> tuple[Float[ndarray, "points"], Float[ndarray, "points"]]:
        """Steps, and ε_mae in % on the validation probes at each."""
        steps, errors = self.metrics.get("step", np.zeros(0)), self.metrics.get("val/emae", np.zeros(0))
        keep = np.isfinite(errors)
        return steps[: len(errors)][keep], errors[keep]


def find_runs(folder: str | Path) -> list[Run]:
    """The runs in a folder, at any depth, or the folder itself; sorted by path.

    Raises:
        InputError: if there is none with a model in it.
    """
    folder = Path(folder)
    found = sorted(path.parent for path in folder.rglob(METRICS) if RunFolder(path.parent).has_model)
    if not found:
        raise InputError(f"{folder} holds no run with a trained model (model/ and {METRICS}); train one first")
    return read_runs(found)


#: Files that a sweep leaves beside its runs, which ``runs/*`` names as well.
_FILES_OF_SWEEPS = ("multirun.yaml", "optimization_results.yaml")


def expand_models(paths: Sequence[str | Path]) -> list[Path]:
    """The models that these paths name: a folder of runs stands for its runs, as after ``runs/*``.

    Files that a sweep leaves beside its runs (:data:`_FILES_OF_SWEEPS`) are left out.

    Raises:
        InputError: if nothing is left, or a path is given twice.
    """
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise InputError("the same model is given twice; give each once")
    found: list[Path] = []
    for path in map(Path, paths):
        runs = sorted(metrics.parent for metrics in path.rglob(METRICS) if RunFolder(metrics.parent).has_model)
        if path.name not in _FILES_OF_SWEEPS:
            found += runs or [path]
    if not found:
        raise InputError(f"there is no model in {', '.join(map(str, paths))}; give run folders or checkpoints")
    return list(dict.fromkeys(found))


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read these run folders; their names are the parts in which the paths differ.

    Raises:
        InputError: for a folder that is not a run.
    """
    from charge3net.checkpoints import load_card

    runs = []
    for path, name in zip(paths, unique_names(paths), strict=True):
        run = RunFolder(path)
        if not run.is_run:
            raise InputError(f"{path} is not a run folder: it has no {METRICS}")
        runs.append(Run(path, name, load_card(path), run.config() or {}, run.summary() or {}, _columns(run.metrics())))
    return runs


def _columns(rows: Sequence[dict[str, str]]) -> dict[str, Float[ndarray, "rows"]]:
    """Column name → values of all rows, NaN where a row has none."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([float(row.get(name, "nan")) for row in rows]) for name in names}


def unique_names(models: Sequence[str | Path]) -> list[str]:
    """A folder name for each model: the shortest ends of the paths that differ, parts joined by "-"."""
    paths = [Path(model).resolve() for model in models]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["-".join(path.parts[-depth:]).replace("/", "") for path in paths]
        if len(set(names)) == len(names):
            return names
    raise InputError("the same model is given twice; give each once")
