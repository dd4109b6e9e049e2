"""What the numbers say and what they leave open, in sentences made from the numbers."""

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
        shown: what the test shows.
        open: what it does not settle.
    """

    shown: tuple[str, ...]
    open: tuple[str, ...]


def findings(subject: Comparison) -> Findings:
    """Everything worth saying about a set of runs."""
    shown: list[str] = [_headline(subject)]
    unsettled: list[str] = []
    for settled, sentence in (*_rotation_orders(subject), *_others(subject), *_angular(subject)):
        (shown if settled else unsettled).append(sentence)
    unsettled += [*_unequal(subject), _seeds(subject), *_still_falling(subject), _scope(subject)]
    return Findings(tuple(shown), tuple(unsettled))


def compare(first: TrainedModel, second: TrainedModel) -> PairedDifference | None:
    """ε_mae of the first minus the second, material by material; None for a single material."""
    return paired_difference(first.errors, second.errors) if len(first.keys) > 1 else None


def _headline(subject: Comparison) -> str:
    best, n = subject.best, len(subject.keys)
    text = f"{best.label} predicts the {n} held-out {_structures(n)} with ε_mae = {best.average} %"
    if np.isnan(subject.baseline).all():
        return text + "; the data set has no superposition of atoms to compare with."
    ratio = subject.baseline / best.errors
    reference = float(np.nanmean(subject.baseline))
    better = int(np.nansum(ratio > 1.0))
    return (
        f"{text}. The superposition of atoms is {reference:.1f} % off, {reference / best.average.mean:.1f} times as "
        f"much; by structure the ratio runs from {np.nanmin(ratio):.1f} to {np.nanmax(ratio):.1f}, and the network is "
        f"the better one on {better} of {n}."
    )


def _rotation_orders(subject: Comparison) -> list[tuple[bool, str]]:
    orders = subject.rotation_orders()
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
        sentences.append((True, f"The mean error falls with every step in rotation order (L = {listed})."))
    else:
        text = f"The error does not fall steadily with L here ({listed}): this set and schedule do not rank the orders."
        sentences.append((False, text))
    return sentences


def _pair_sentence(first: str, second: str, one: TrainedModel, other: TrainedModel) -> list[tuple[bool, str]]:
    """Whether the first has the lower error, and whether that is settled; nothing for a single material."""
    pair = compare(one, other)
    if pair is None:
        return []
    direction = "lower" if pair.mean < 0 else "higher"
    text = (
        f"{first} has a {direction} error than {second} by {abs(pair.mean):.2f} percentage points "
        f"(95 % interval of the difference, paired over structures: {signed(pair.low)} … {signed(pair.high)}; "
        f"lower on {pair.wins} of {pair.count})"
    )
    if not pair.settled:
        return [(False, f"{text}: the interval includes zero, so this is not settled.")]
    spread = _spread_of_difference(one, other)
    if spread is not None and abs(pair.mean) < 2.0 * spread:
        return [(False, f"{text}, but trainings with other seeds differ as much ({spread:.2f}): not settled.")]
    return [(True, f"{text}.")]


def _spread_of_difference(one: TrainedModel, other: TrainedModel) -> float | None:
    """Standard error of the difference from the spread between seeds, None unless both were trained more than once."""
    if one.between_trainings is None or other.between_trainings is None:
        return None
    return float(np.sqrt(one.between_trainings**2 / len(one.runs) + other.between_trainings**2 / len(other.runs)))


def _others(subject: Comparison) -> list[tuple[bool, str]]:
    """The best model against the best of each other architecture."""
    sentences: list[tuple[bool, str]] = []
    seen = {subject.best.runs[0].card.architecture}
    for contender in subject.models[1:]:
        architecture = contender.runs[0].card.architecture
        if architecture not in seen:
            sentences += _pair_sentence(subject.best.label, contender.label, subject.best, contender)
        seen.add(architecture)
    return sentences


def _angular(subject: Comparison) -> list[tuple[bool, str]]:
    orders = subject.rotation_orders()
    if len(orders) < 2:
        return []
    low, high = orders[0], orders[-1]
    found = spearman(subject.zeta, relative_gain(low, high))
    if found is None:
        return [(False, "There are too few structures to relate the gain from higher L to the angular variation ζ.")]
    settled = found.low > 0 or found.high < 0
    interval = f"{signed(found.low)} … {signed(found.high)}"
    text = (
        f"Across structures the gain from L = {low.rotation_order} to L = {high.rotation_order} and the angular "
        f"variation ζ of the true density have the rank correlation {signed(found.rho)} (95 % interval {interval}; "
        f"ζ runs from {subject.zeta.min():.3f} to {subject.zeta.max():.3f})"
    )
    return [(settled, text + ("." if settled else ": the interval includes zero, so no relation is shown here."))]


def relative_gain(lower: TrainedModel, higher: TrainedModel) -> np.ndarray:
    """[materials] how much smaller the error of the second is, in % of the error of the first."""
    return 100.0 * (lower.errors - higher.errors) / lower.errors


def _unequal(subject: Comparison) -> list[str]:
    orders = subject.rotation_orders()
    if len(orders) < 2:
        return []
    sizes, steps = {c.size for c in orders}, {c.steps for c in orders}
    named = (("representation sizes", sizes), ("numbers of steps", steps))
    what = " and ".join(name for name, found in named if len(found) > 1)
    if what:
        return [f"The rotation orders were trained with different {what}; the comparison is not a fair one."]
    times = [c.seconds for c in orders]
    if None in times or len(orders) < 2:
        return []
    text = ", ".join(f"L = {c.rotation_order}: {c.seconds:.0f} s" for c in orders)
    return [f"Rotation orders are compared at equal steps and size, not at equal time ({text})."]


def _seeds(subject: Comparison) -> str:
    counts = {len(c.runs) for c in subject.models}
    if counts == {1}:
        return (
            "Every model was trained once, with one seed: the intervals are over structures only, and the spread "
            "between trainings is not in them."
        )
    spreads = [f"{c.label} {c.between_trainings:.2f}" for c in subject.models if c.between_trainings is not None]
    return (
        f"Trainings that differ in the seed only differ in ε_mae by (standard deviation, percentage points) "
        f"{', '.join(spreads)}; the intervals are over structures and do not contain this."
    )


def _still_falling(subject: Comparison) -> list[str]:
    names = []
    for contender in subject.models:
        _, errors = contender.best_run.validation_curve()
        if len(errors) > 1 and errors.argmin() == len(errors) - 1:
            names.append(contender.label)
    if not names:
        return []
    whose = "every model" if len(names) == len(subject.models) else ", ".join(names)
    return [
        f"The validation error of {whose} was lowest at the last step: a longer training would probably lower it "
        "further, and need not keep the order of the models."
    ]


def _scope(subject: Comparison) -> str:
    from ase.data import chemical_symbols

    entries = [m.elements for m in subject.best.evaluations[0].materials]
    symbols = ", ".join(chemical_symbols[z] for z in sorted({z for elements in entries for z in elements}))
    return (
        f"The test holds {len(subject.keys)} {_structures(len(subject.keys))} of the elements {symbols}, and one "
        "part of the data; nothing here speaks for chemistry that is not in it."
    )


def _structures(n: int) -> str:
    return "structure" if n == 1 else "structures"
