"""The contents of a report: runs and their evaluations on one test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.angular import angular_variation
from charge3net.analysis.metrics import Average
from charge3net.checkpoints import fingerprint
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.evaluation.files import SUMMARY, read_evaluation
from charge3net.evaluation.materials import Evaluation
from charge3net.evaluation.run import TestSet
from charge3net.models.registry import label
from charge3net.train.runs import Run, find_runs


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model, trained once or with several seeds.

    Attributes:
        label: its name in the report.
        runs, evaluations: one of each per training.
        keys: the test materials.
    """

    label: str
    runs: tuple[Run, ...]
    evaluations: tuple[Evaluation, ...]
    keys: tuple[str, ...]

    @property
    def errors(self) -> Float[ndarray, "materials"]:
        """[materials] ε_mae in %, mean over the trainings."""
        rows = [[e.materials[i].total.nmae for i in range(len(self.keys))] for e in self.evaluations]
        return np.array(rows, dtype=np.float64).mean(axis=0)

    @property
    def average(self) -> Average:
        """Mean over materials ± standard error."""
        return Average.of(self.errors)

    @property
    def between_trainings(self) -> float | None:
        """Standard deviation of ε_mae between trainings in %, None for one training."""
        means = [e.nmae().mean for e in self.evaluations]
        return float(np.std(means, ddof=1)) if len(means) > 1 else None

    @property
    def best_run(self) -> Run:
        """The training with the lowest validation error."""
        return min(self.runs, key=lambda run: run.card.metrics.get("val/emae", np.inf))

    @property
    def rotation_order(self) -> int | None:
        """L, for models that have one."""
        return self.runs[0].card.hyperparameters.get("lmax")

    @property
    def size(self) -> int | None:
        """Representation size: ChargE3Net's multiplicity, or the features of SchNet and PaiNN."""
        hyperparameters = self.runs[0].card.hyperparameters
        return hyperparameters.get("mul", hyperparameters.get("features"))

    @property
    def steps(self) -> int:
        """Optimiser steps of the longest training."""
        return max(int(run.summary.get("step") or run.card.training.get("step", 0)) for run in self.runs)

    @property
    def seconds(self) -> float | None:
        """Mean time of a finished training, None if unknown."""
        times = [run.summary["seconds"] for run in self.runs if "seconds" in run.summary]
        return float(np.mean(times)) if times else None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that a report shows.

    Attributes:
        models: best first.
        test: the held-out materials.
        baseline: [materials] ε_mae of SAD (superposition of atomic densities) in %, NaN where the store has none.
        zeta: [materials] angular variation of the true densities.
    """

    models: tuple[TrainedModel, ...]
    test: TestSet
    baseline: Float[ndarray, "materials"]
    zeta: Float[ndarray, "materials"]

    @property
    def best(self) -> TrainedModel:
        """The model with the lowest mean error."""
        return self.models[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """The materials that were evaluated."""
        return self.best.keys

    def typical(self) -> str:
        """The material with the median error of the best model."""
        order = np.argsort(self.best.errors, kind="stable")
        return self.keys[order[(len(order) - 1) // 2]]

    def rotation_orders(self) -> list[TrainedModel]:
        """The best model of each rotation order L, lowest first."""
        found: dict[int, TrainedModel] = {}
        for model in self.models:
            if model.rotation_order is not None:
                found.setdefault(model.rotation_order, model)
        return [found[order] for order in sorted(found)]


def gather(runs: str | Path, evaluations: str | Path, test: TestSet) -> Comparison:
    """Read runs and evaluations and match them by their weights.

    Args:
        runs: folder of run folders.
        evaluations: folder with output of ``charge3net evaluate``, at any depth.
        test: the materials that were evaluated.

    Raises:
        InputError: if a run has not been evaluated, or on something else than this test set.
    """
    found = _evaluations(Path(evaluations))
    groups: dict[str, list[tuple[Run, Evaluation]]] = {}
    trained = find_runs(runs)
    for run, name in zip(trained, _labels(trained), strict=True):
        evaluation = found.get(_weights(run))
        if evaluation is None:
            raise InputError(
                f"{evaluations} has no evaluation of {run.path}; make one with "
                f"`charge3net evaluate --model {run.path} --data {test.store.path} -o DIR`"
            )
        groups.setdefault(name, []).append((run, evaluation))
    members = [pair for group in groups.values() for pair in group]
    _check_same_data([evaluation for _, evaluation in members], test)
    keys = _common_keys([evaluation for _, evaluation in members], test.keys)
    models = [_trained_model(name, group, keys) for name, group in groups.items()]
    models.sort(key=lambda c: c.average.mean)
    first = models[0].evaluations[0].materials
    baseline = np.array([np.nan if m.baseline is None else m.baseline.nmae for m in first])
    zeta = [angular_variation(test.store[m.key].density()) if m.zeta is None else m.zeta for m in first]
    return Comparison(tuple(models), test, baseline, np.array(zeta))


def _trained_model(name: str, group: Sequence[tuple[Run, Evaluation]], keys: tuple[str, ...]) -> TrainedModel:
    chosen = []
    for _, evaluation in group:
        by_key = {m.key: m for m in evaluation.materials}
        chosen.append(Evaluation(tuple(by_key[k] for k in keys), evaluation.failed, evaluation.facts))
    return TrainedModel(name, tuple(run for run, _ in group), tuple(chosen), keys)


def _evaluations(folder: Path) -> dict[str, Evaluation]:
    """By the fingerprint of the weights."""
    found = [read_evaluation(path.parent) for path in sorted(folder.rglob(SUMMARY))]
    return {evaluation.facts["model"]["weights"]: evaluation for evaluation in found}


def _weights(run: Run) -> str:
    from charge3net.checkpoints import load_model

    return fingerprint(load_model(run.path)[0])


def _labels(runs: Sequence[Run]) -> list[str]:
    """A label for each run; only trainings that differ in nothing but the seed share one."""
    names = [label(run.card.architecture, run.card.hyperparameters) for run in runs]
    settings = [_settings(run) for run in runs]
    labels = []
    for name, own in zip(names, settings, strict=True):
        same_name = [i for i, other in enumerate(names) if other == name]
        first = next(i for i in same_name if settings[i] == own)
        alone = all(settings[i] == own for i in same_name)
        labels.append(name if alone else f"{name} ({runs[first].name})")
    return labels


def _settings(run: Run) -> str:
    """The training settings of a run without the seed."""
    training = {k: v for k, v in run.card.training.items() if k not in ("seed", "step", "name")}
    train_size = run.card.data.get("train_size")
    return str((sorted(run.card.hyperparameters.items()), sorted(training.items(), key=str), train_size))


def _check_same_data(evaluations: Sequence[Evaluation], test: TestSet) -> None:
    expected = test.store.hash()
    for evaluation in evaluations:
        if evaluation.facts["data"]["store_hash"] != expected:
            raise InputError(
                f"the evaluation of {evaluation.facts['name']} was made on {evaluation.facts['data']['store']}, which "
                f"is not {test.store.path} as it is now; evaluate again"
            )


def _common_keys(evaluations: Sequence[Evaluation], keys: Sequence[str]) -> tuple[str, ...]:
    done = set.intersection(*({m.key for m in e.materials} for e in evaluations))
    common = tuple(key for key in keys if key in done)
    if not common:
        raise InputError("the evaluations and this part of the split have no material in common; evaluate again")
    return common


def data_summary(store: Store, test: TestSet) -> dict[str, Any]:
    """Counts, elements and grids of the densities, and the notes on which all entries agree."""
    elements: set[int] = set()
    formulas: set[str] = set()
    spacing, atoms, notes = [], [], dict[str, set[str]]()
    for key in store:
        entry = store[key]
        elements.update(int(z) for z in entry.geometry.numbers)
        formulas.add(entry.formula)
        spacing.append(float(entry.grid.spacing.max()))
        atoms.append(len(entry.geometry))
        for name, value in entry.meta.items():
            if isinstance(value, str):
                notes.setdefault(name, set()).add(value)
    parts = {} if test.split is None else {p: len(getattr(test.split, p)) for p in ("train", "validation", "test")}
    return {
        "materials": len(store),
        "parts": parts,
        "elements": sorted(elements),
        "formulas": sorted(formulas),
        "atoms": (min(atoms), max(atoms)),
        "spacing": (min(spacing), max(spacing)),
        "notes": {name: sorted(values)[0] for name, values in notes.items() if len(values) == 1},
        "hash": store.hash(),
    }
