"""Reading run folders: what was trained, with what, and how its error fell. No Lightning needed."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError

if TYPE_CHECKING:
    from charge3net.checkpoints.save_load import ModelCard

_METRICS, _CONFIG, _SUMMARY, _CARD = "metrics.csv", "config.json", "summary.json", "model/model.json"


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder.

    Attributes:
        path: the folder.
        name: unique among the runs that were found together.
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
    found = sorted(path.parent for path in folder.rglob(_METRICS) if (path.parent / _CARD).is_file())
    if not found:
        raise InputError(f"{folder} holds no run with a trained model (model/ and {_METRICS}); train one first")
    return read_runs(found)


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """These run folders; names are what tells their paths apart.

    Raises:
        InputError: for a folder that is no run.
    """
    from charge3net.checkpoints.save_load import load_card
    from charge3net.evaluation.run import unique_names

    runs = []
    for path, name in zip(paths, unique_names(paths), strict=True):
        if not (path / _METRICS).is_file():
            raise InputError(f"{path} is not a run folder: it has no {_METRICS}")
        metrics = _read_metrics(path / _METRICS)
        runs.append(Run(path, name, load_card(path), _json(path / _CONFIG), _json(path / _SUMMARY), metrics))
    return runs


def _read_metrics(path: Path) -> dict[str, Float[ndarray, "rows"]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
        return {name: np.array([float(v) if v else np.nan for v in values]) for name, values in columns.items()}
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
