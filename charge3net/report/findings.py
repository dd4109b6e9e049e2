"""Findings in sentences made from the numbers: what is significant, and what is not."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from charge3net.analysis.statistics import PairedDifference, paired_difference, spearman
from charge3net.report.formatting import signed
from charge3net.report.gather import Comparison, TrainedModel


@dataclass(frozen=True)
class Findings:
    """Sentences.

    Attributes:
        shown: significant findings.
        open: findings that are not significant, and limits.
    """

    shown: tuple[str, ...]
    open: tuple[str, ...]


def findings(comparison: Comparison) -> Findings:
    """All findings about a set of runs."""
    shown: list[str] = [_headline(comparison)]
    unsettled: list[str] = []
    for settled, sentence in (*_rotation_orders(comparison), *_others(comparison), *_angular(comparison)):
        (shown if settled else unsettled).append(sentence)
    unsettled += [*_unequal(comparison), _seeds(comparison), *_still_falling(comparison), _scope(comparison)]
    return Findings(tuple(shown), tuple(unsettled))


def compare(first: TrainedModel, second: TrainedModel) -> PairedDifference | None:
    """ε_mae of the first minus the second, material by material; None for a single material."""
    return paired_difference(first.errors, second.errors) if len(first.keys) > 1 else None


def _headline(comparison: Comparison) -> str:
    best, n = comparison.best, len(comparison.keys)
    text = f"{best.label} predicts the {n} held-out {_structures(n)} with ε_mae = {best.average} %"
    if np.isnan(comparison.baseline).all():
        return text + "; the data set has no SAD (superposition of atomic densities) to compare with."
    ratio = comparison.baseline / best.errors
    reference = float(np.nanmean(comparison.baseline))
    better = int(np.nansum(ratio > 1.0))
    return (
        f"{text}. SAD (superposition of atomic densities) has {reference:.1f} %, {reference / best.average.mean:.1f} "
        f"times as much; over structures the ratio ranges from {np.nanmin(ratio):.1f} to {np.nanmax(ratio):.1f}, and "
        f"the network has the lower error for {better} of {n}."
    )


def _rotation_orders(comparison: Comparison) -> list[tuple[bool, str]]:
    orders = comparison.rotation_orders()
    if len(orders) < 2:
        return []
    sentences: list[tuple[bool, str]] = []
    lowest = orders[0]
    for higher in orders[1:]:
        names = (f"The network with L = {higher.rotation_order}", f"that with L = {lowest.rotation_order}")
        sentences += _pair_sentence(*names, higher, lowest)
    means = [c.average.mean for c in orders]
    listed = ", ".join(f"{c.rotation_order}: {c.average.mean:.2f} %" for c in orders)
    if all(later < earlier for earlier, later in itertools.pairwise(means)):
        sentences.append((True, f"The mean error decreases with every step in rotation order (L = {listed})."))
    else:
        text = f"The error does not decrease steadily with L ({listed}): these trainings do not rank the orders."
        sentences.append((False, text))
    return sentences


def _pair_sentence(first: str, second: str, one: TrainedModel, other: TrainedModel) -> list[tuple[bool, str]]:
    """Which of two models has the lower error, and whether that is significant; empty for a single material."""
    pair = compare(one, other)
    if pair is None:
        return []
    direction = "lower" if pair.mean < 0 else "higher"
    text = (
        f"{first} has a {direction} error than {second} by {abs(pair.mean):.2f} percentage points "
        f"(95 % interval of the difference, paired over structures: {signed(pair.low)} … {signed(pair.high)}; "
        f"lower for {pair.wins} of {pair.count})"
    )
    if not pair.settled:
        return [(False, f"{text}: the interval includes zero, so this is not significant.")]
    spread = _spread_of_difference(one, other)
    if spread is not None and abs(pair.mean) < 2.0 * spread:
        return [(False, f"{text}, but other seeds differ as much ({spread:.2f}): not significant.")]
    return [(True, f"{text}.")]


def _spread_of_difference(one: TrainedModel, other: TrainedModel) -> float | None:
    """Standard error of the difference from the spread between seeds, None unless both were trained more than once."""
    if one.between_trainings is None or other.between_trainings is None:
        return None
    return float(np.sqrt(one.between_trainings**2 / len(one.runs) + other.between_trainings**2 / len(other.runs)))


def _others(comparison: Comparison) -> list[tuple[bool, str]]:
    """The best model against the best of each other architecture."""
    sentences: list[tuple[bool, str]] = []
    seen = {comparison.best.runs[0].card.architecture}
    for model in comparison.models[1:]:
        architecture = model.runs[0].card.architecture
        if architecture not in seen:
            sentences += _pair_sentence(comparison.best.label, model.label, comparison.best, model)
        seen.add(architecture)
    return sentences


def _angular(comparison: Comparison) -> list[tuple[bool, str]]:
    orders = comparison.rotation_orders()
    if len(orders) < 2:
        return []
    low, high = orders[0], orders[-1]
    found = spearman(comparison.zeta, relative_gain(low, high))
    if found is None:
        return [(False, "There are too few structures to relate the gain from higher L to the angular variation ζ.")]
    settled = found.low > 0 or found.high < 0
    interval = f"{signed(found.low)} … {signed(found.high)}"
    text = (
        f"Across structures the gain from L = {low.rotation_order} to L = {high.rotation_order} and the angular "
        f"variation ζ of the true density have the rank correlation {signed(found.rho)} (95 % interval {interval}; "
        f"ζ ranges from {comparison.zeta.min():.3f} to {comparison.zeta.max():.3f})"
    )
    return [(settled, text + ("." if settled else ": the interval includes zero, so this is not significant."))]


def relative_gain(lower: TrainedModel, higher: TrainedModel) -> np.ndarray:
    """[materials] how much smaller the error of the second is, in % of the error of the first."""
    return 100.0 * (lower.errors - higher.errors) / lower.errors


def _unequal(comparison: Comparison) -> list[str]:
    orders = comparison.rotation_orders()
    if len(orders) < 2:
        return []
    sizes, steps = {c.size for c in orders}, {c.steps for c in orders}
    named = (("representation sizes", sizes), ("numbers of steps", steps))
    what = " and ".join(name for name, found in named if len(found) > 1)
    if what:
        return [f"The rotation orders were trained with different {what}, so they cannot be compared directly."]
    times = [c.seconds for c in orders]
    if None in times or len(orders) < 2:
        return []
    text = ", ".join(f"L = {c.rotation_order}: {c.seconds:.0f} s" for c in orders)
    return [f"Rotation orders are compared at equal steps and size, not at equal time ({text})."]


def _seeds(comparison: Comparison) -> str:
    counts = {len(c.runs) for c in comparison.models}
    if counts == {1}:
        return (
            "Every model was trained with one seed: the intervals are over structures only, and do not include the "
            "spread between trainings."
        )
    spreads = [f"{c.label} {c.between_trainings:.2f}" for c in comparison.models if c.between_trainings is not None]
    return (
        f"Standard deviation of ε_mae between seeds in percentage points: {', '.join(spreads)}. The intervals are over "
        "structures and do not include it."
    )


def _still_falling(comparison: Comparison) -> list[str]:
    names = []
    for model in comparison.models:
        _, errors = model.best_run.validation_curve()
        if len(errors) > 1 and errors.argmin() == len(errors) - 1:
            names.append(model.label)
    if not names:
        return []
    whose = "every model" if len(names) == len(comparison.models) else ", ".join(names)
    return [
        f"The validation error of {whose} was lowest at the last step: a longer training would probably lower it "
        "further, and may change the order of the models."
    ]


def _scope(comparison: Comparison) -> str:
    from ase.data import chemical_symbols

    entries = [m.elements for m in comparison.best.evaluations[0].materials]
    symbols = ", ".join(chemical_symbols[z] for z in sorted({z for elements in entries for z in elements}))
    return (
        f"The test set has {len(comparison.keys)} {_structures(len(comparison.keys))} of the elements {symbols}, and "
        "is one part of the data; the errors do not apply to other chemistry."
    )


def _structures(n: int) -> str:
    return "structure" if n == 1 else "structures"
