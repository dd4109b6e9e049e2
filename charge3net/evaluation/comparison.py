"""Comparison of models evaluated on the same materials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.analysis.statistics import paired_difference
from charge3net.errors import InputError
from charge3net.evaluation.expectations import Honesty, expected_of
from charge3net.evaluation.materials import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def comparison_rows(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """One row per model, best first, with the paired difference to the best over the materials that both have.

    ``difference`` is this model's ε_mae minus that of the best, with its 95 % interval, in %.
    """
    order = sorted(evaluations, key=lambda e: e.nmae().mean)
    best = _errors(order[0])
    rows = []
    for evaluation in order:
        own, average, summary = _errors(evaluation), evaluation.nmae(), evaluation.summary()
        row = {
            "model": evaluation.facts["name"],
            "nmae_percent": average.mean,
            "standard_error": average.standard_error,
            "baseline_nmae_percent": evaluation.baseline().mean,
            "absolute_electron_error": summary["absolute_electron_error"]["mean"],
            "materials": average.count,
            "seconds_per_material": float(np.mean([m.seconds for m in evaluation.materials])),
            "difference": None,
            "difference_low": None,
            "difference_high": None,
        }
        common = sorted(own.keys() & best.keys())
        if evaluation is not order[0] and len(common) > 1:
            pair = paired_difference(np.array([own[k] for k in common]), np.array([best[k] for k in common]))
            row.update(difference=pair.mean, difference_low=pair.low, difference_high=pair.high)
        rows.append(row)
    return rows


def comparison_figure(evaluations: Sequence[Evaluation]) -> Figure:
    """The errors of every material for several models, and those of SAD where the store has it."""
    from charge3net.plot import error_strip

    rows = {e.facts["name"]: np.array([m.total.nmae for m in e.materials]) for e in evaluations}
    atoms = [m.baseline.nmae for m in evaluations[0].materials if m.baseline is not None]
    reference = "superposition of atoms"
    return error_strip({**rows, reference: np.array(atoms)} if atoms else rows, reference)


def expected_figure(evaluation: Evaluation) -> Figure:
    """True against expected errors, by the groups of the calibration.

    Raises:
        InputError: if the model said nothing of its errors.
    """
    from charge3net.plot import expected_errors

    told = expected_of(evaluation.materials)
    if not told:
        raise InputError(
            f"{evaluation.facts['name']}: no expected errors; evaluate a model with a calibration, as the shipped one"
        )
    groups: dict[str, list[tuple[float, ...]]] = {}
    for material, said in told:
        groups.setdefault(str(material.expectation.group), []).append((material.total.nmae, *said))
    title = f"{evaluation.facts['name']}\n{Honesty.of(evaluation.materials)}"
    return expected_errors({name: np.array(groups[name]) for name in sorted(groups)}, title)


def _errors(evaluation: Evaluation) -> dict[str, float]:
    return {m.key: m.total.nmae for m in evaluation.materials}
