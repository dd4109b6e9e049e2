"""The test structures of each kind, and the errors of a trained model on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.errors import InputError
from charge3net.studies.cache import cached
from charge3net.studies.checkpoint import Checkpoint
from charge3net.studies.new_compositions.config import Config, TestKind

if TYPE_CHECKING:
    from charge3net.data.splits import Split
    from charge3net.data.store import Store
    from charge3net.evaluation.run import TestSet
    from charge3net.geometry import Geometry
    from charge3net.studies.new_compositions.trainings import Training
    from charge3net.train.runs import Run


@dataclass(frozen=True)
class Seen:
    """What training and validation know.

    Attributes:
        formulas: of training structures.
        held: formulas of validation structures.
        structures: what identifies the structures of both.
    """

    formulas: frozenset[str]
    held: frozenset[str]
    structures: frozenset[tuple[str, float, bytes]]

    @classmethod
    def of(cls, store: Store, split: Split) -> Seen:
        """Of the split that the models are trained with."""
        train, validation = ([store[key].geometry for key in part] for part in (split.train, split.validation))
        return cls(
            frozenset(one.formula for one in train),
            frozenset(one.formula for one in validation),
            frozenset(_identity(one) for one in (*train, *validation)),
        )


def _identity(geometry: Geometry) -> tuple[str, float, bytes]:
    """Formula, volume (10⁻³ Å³) and positions (10⁻³ Å): the same for two calculations of one structure."""
    return geometry.formula, round(geometry.volume, 3), (np.round(geometry.positions, 3) + 0.0).tobytes()


@dataclass(frozen=True)
class Chosen:
    """The test structures of one kind.

    Attributes:
        name: of the kind.
        test: for the evaluation.
        formulas: [structures] reduced formula.
        known: [structures] whether a training structure has it.
        left_out: how many were left out, because training or validation knows them.
    """

    name: str
    test: TestSet
    formulas: tuple[str, ...]
    known: tuple[bool, ...]
    left_out: int


def choose(name: str, kind: TestKind, seen: Seen) -> Chosen:
    """The structures of a kind that no model was trained or selected on.

    Raises:
        InputError: if none is left, or for another word than ``new``, ``known`` and ``any``.
    """
    from charge3net.data.splits import Split, read_split
    from charge3net.data.store import Store
    from charge3net.evaluation.run import TestSet

    if kind.compositions not in ("new", "known", "any"):
        raise InputError(f"tests.{name}.compositions is {kind.compositions!r}; choose new, known or any")
    store = Store(kind.store)
    keys = tuple(store.keys()) if kind.split is None else read_split(kind.split).part("test")
    geometries = {key: store[key].geometry for key in keys}
    kept = [
        key
        for key, geometry in geometries.items()
        if _identity(geometry) not in seen.structures
        and not (kind.compositions == "new" and geometry.formula in seen.formulas | seen.held)
        and not (kind.compositions == "known" and geometry.formula not in seen.formulas)
    ]
    if not kept:
        raise InputError(
            f"no structure of the test {name!r} is new to training and of {kind.compositions} composition; leave it out"
        )
    formulas = tuple(geometries[key].formula for key in kept)
    test = TestSet(store, tuple(kept), "test", Split((), (), tuple(kept)))
    return Chosen(name, test, formulas, tuple(one in seen.formulas for one in formulas), len(keys) - len(kept))


def errors_of(run: Run, chosen: Chosen, work: Path) -> dict[str, list[float | None]]:
    """ε_mae in % of a run on each structure, and of SAD (None where the store has none)."""
    import warnings

    with warnings.catch_warnings():
        for message in ("the model was trained with another split", "the training set of this model is not known"):
            warnings.filterwarnings("ignore", message=message)  # :class:`Seen` has seen to it
        folder = work / "evaluations" / run.path.name / chosen.name
        found = Checkpoint(run.path, work).evaluate(chosen.test, folder)
    if found.failed:
        key, reason = next(iter(found.failed.items()))
        raise InputError(f"{run.path} cannot predict {key}: {reason}")
    return {
        "model": [round(one.total.nmae, 4) for one in found.materials],
        "sad": [None if one.baseline is None else round(one.baseline.nmae, 4) for one in found.materials],
    }


def measured(training: Training, run: Run, kinds: Sequence[Chosen], work: Path) -> dict[str, Any]:
    """How a run was trained, and its errors by kind."""
    from charge3net.models.registry import label
    from charge3net.studies.training import run_record

    return {
        "network": training.network,
        "fraction": training.fraction,
        "order": run.config["model"].get("lmax"),
        "label": label(run.card.architecture, run.card.hyperparameters),
        "train": run.card.data.get("train_size"),
        "processor_seconds": run.summary.get("processor_seconds"),
        **run_record(run),
        "errors": {kind.name: errors_of(run, kind, work)["model"] for kind in kinds},
    }


def zeta(chosen: Chosen, work: Path) -> list[float]:
    """ζ of the true density of each structure."""
    from charge3net.analysis.angular import angular_variation

    store, folder = chosen.test.store, work / "zeta" / chosen.test.store.hash()[:8]

    def one(key: str) -> dict[str, float]:
        return {"zeta": angular_variation(store[key].density(), None, "spectral")}

    return [round(cached(folder / f"{key}.json", partial(one, key))["zeta"], 5) for key in chosen.test.keys]


def facts_of(config: Config, split: Split, store: Store) -> dict[str, Any]:
    """Sizes of the training set."""
    geometries = [store[key].geometry for key in split.train]
    return {
        "store": config.store,
        "store_hash": store.hash(),
        "split": config.split,
        "split_hash": split.hash,
        "train": len(split.train),
        "formulas": len({one.formula for one in geometries}),
        "validation": len(split.validation),
    }
