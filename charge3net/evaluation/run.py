"""Evaluating a checkpoint on a store: from the model to tables and figures."""

from __future__ import annotations

import hashlib
import platform
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from charge3net.checkpoints import fingerprint
from charge3net.data.splits import Split
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.evaluation.expectations import expected_of
from charge3net.evaluation.files import EvaluationLog, write_evaluation
from charge3net.evaluation.materials import Evaluation, evaluate
from charge3net.models.base import DensityModel
from charge3net.models.registry import label
from charge3net.provenance import installed_versions

if TYPE_CHECKING:
    from charge3net.checkpoints import ModelCard


@dataclass(frozen=True)
class TestSet:
    """The materials of an evaluation.

    Attributes:
        store: the densities.
        keys: of the materials.
        part: of the split, or "all".
        split: None if every entry is evaluated.
    """

    __test__ = False  # not for pytest

    store: Store
    keys: tuple[str, ...]
    part: str
    split: Split | None

    @classmethod
    def of(cls, store: Store, split: Split | None, part: str = "test") -> TestSet:
        """A part of a split, or the whole store without a split.

        Raises:
            InputError: if the part is empty or has keys that the store lacks.
        """
        if split is None:
            return cls(store, tuple(store.keys()), "all", None)
        missing = [key for key in split.part(part) if key not in store]
        if missing:
            raise InputError(
                f"the {part} part of the split names {missing[0]!r} and {len(missing) - 1} more that {store.path} "
                "does not have; take the split that belongs to this store"
            )
        return cls(store, split.part(part), part, split)


def evaluate_checkpoint(
    model: str | Path,
    test: TestSet,
    folder: str | Path,
    *,
    angular: bool = False,
    device: str | None = None,
    figures: bool = True,
    name: str | None = None,
) -> Evaluation:
    """Evaluate one model and write its folder; an interrupted evaluation is resumed.

    Args:
        model: run folder, checkpoint folder, released weights, or a name that ``charge3net models`` lists.
        test: the materials.
        folder: output folder.
        angular: also compute ζ of the true densities.
        device: of the prediction; None takes a GPU if there is one.
        figures: draw parity, histogram and elements (needs matplotlib).
        name: of the model in tables; None takes its label, e.g. "ChargE3Net L=2".

    Raises:
        InputError: for a model or store that cannot be read, or if no material could be evaluated.
    """
    from charge3net.predict.ensemble import EnsemblePredictor
    from charge3net.predict.opened import open_predictor

    predictor = open_predictor(model, device=device)
    members = list(predictor) if isinstance(predictor, EnsemblePredictor) else [predictor]
    card, network = predictor.card, members[0].model
    prints = [fingerprint(member.model) for member in members]
    print_ = prints[0] if len(prints) == 1 else hashlib.sha256(" ".join(prints).encode()).hexdigest()
    mean = f", mean of {len(members)}" if len(members) > 1 else ""
    store_hash = test.store.hash()
    log = EvaluationLog(folder, {"weights": print_, "store": store_hash, "angular": angular})
    caveats = caveats_of(card, test)
    for caveat in caveats:
        warnings.warn(caveat, stacklevel=2)
    failed: dict[str, str] = {}
    todo = [key for key in test.keys if key not in log.finished]
    for material in _with_bar(
        evaluate(predictor, test.store, todo, angular=angular, on_failure=failed.__setitem__), todo
    ):
        log.append(material)
    facts = {
        "name": name or label(network.architecture, network.hyperparameters()) + mean,
        "model": {**_model_facts(model, network, card, print_), "members": len(members)},
        "data": _data_facts(test, store_hash),
        "keys": list(test.keys),
        "warnings": caveats,
        **_circumstances(members[0].device),
    }
    evaluation = Evaluation(tuple(log.finished[k] for k in test.keys if k in log.finished), failed, facts)
    if not evaluation.materials:
        raise InputError(
            f"none of {len(failed)} materials could be predicted; the first: {next(iter(failed.values()))}"
        )
    write_evaluation(evaluation, folder)
    if figures:
        draw_evaluation(evaluation, folder)
    return evaluation


def caveats_of(card: ModelCard | None, test: TestSet) -> list[str]:
    """Warnings that evaluated materials may have been trained on; empty if they were not."""
    known = None if card is None else card.data.get("split_hash")
    if test.part == "train":
        return ["these are training materials of the split: the errors do not apply to unseen ones"]
    if known is None:
        return ["the training set of this model is not known: the evaluated materials may be part of it"]
    if test.split is None:
        return ["no split is given: the evaluated materials include training materials, if the store has them"]
    if test.split.hash != known:
        return ["the model was trained with another split: the evaluated materials may be part of its training set"]
    if test.part == "validation":
        return [
            "the model was selected by its error on the validation part: on unseen materials the error will be larger"
        ]
    return []


def draw_evaluation(evaluation: Evaluation, folder: str | Path) -> None:
    """Write ``parity.png``, ``errors.png``, ``elements.png``, and ``expected.png`` where errors were expected."""
    from charge3net.evaluation.comparison import expected_figure
    from charge3net.plot import element_bars, error_histogram, parity, save_figure

    folder, name = Path(folder), str(evaluation.facts.get("name", ""))
    errors = np.array([m.total.nmae for m in evaluation.materials])
    baseline = np.array([m.baseline.nmae for m in evaluation.materials if m.baseline is not None])
    elements = evaluation.by_element()
    lines = {z: e.baseline.nmae for z, e in elements.items() if e.baseline is not None}
    save_figure(parity(evaluation.parity(), name), folder / "parity.png")
    save_figure(error_histogram(errors, baseline if len(baseline) else None, name), folder / "errors.png")
    save_figure(element_bars({z: e.pooled.nmae for z, e in elements.items()}, lines, name), folder / "elements.png")
    if expected_of(evaluation.materials):
        save_figure(expected_figure(evaluation), folder / "expected.png")


def _with_bar(materials: Any, todo: Sequence[str]) -> Any:
    """Progress over materials on standard error, when that is a terminal."""
    from tqdm import tqdm

    with tqdm(total=len(todo), unit="material", disable=None, file=sys.stderr, dynamic_ncols=True) as bar:
        for material in materials:
            bar.set_postfix_str(f"{material.key} ε_mae {material.total.nmae:.2f} %")
            bar.update()
            yield material


def _model_facts(path: str | Path, model: DensityModel, card: ModelCard | None, weights: str) -> dict[str, Any]:
    return {
        "path": str(path),
        "architecture": model.architecture,
        "hyperparameters": model.hyperparameters(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights": weights,
        "elements": list(card.elements) if card else [],
        "trained_on": dict(card.data) if card else {},
        "training": dict(card.training) if card else {},
    }


def _data_facts(test: TestSet, store_hash: str) -> dict[str, Any]:
    return {
        "store": str(test.store.path),
        "store_hash": store_hash,
        "part": test.part,
        "split_hash": None if test.split is None else test.split.hash,
        "materials": len(test.keys),
    }


def _circumstances(device: torch.device) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": installed_versions(),
        "machine": f"{platform.machine()} {platform.system()}, {torch.get_num_threads()} threads, {device}",
    }
