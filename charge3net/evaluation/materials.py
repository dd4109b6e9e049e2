"""Evaluation on whole grids: errors of predicted densities, material by material.

Files are written by :mod:`charge3net.evaluation.files`. docs/evaluation.md defines every number.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.angular import angular_variation
from charge3net.analysis.metrics import Average, ErrorSums, sums_by_element
from charge3net.analysis.nearest import nearest_atoms
from charge3net.analysis.parity import parity_counts
from charge3net.data.store import Store, StoreEntry
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.evaluation.expectations import Expectation, Honesty
from charge3net.grid import Grid

#: Voxels per chunk.
CHUNK = 1 << 18


@runtime_checkable
class PredictsDensity(Protocol):
    """:class:`charge3net.predict.predictor.Predictor`, or any other object with this method."""

    def predict(self, structure: Any, *, grid: Grid) -> Density:
        """The density of a structure on a grid."""
        ...


@dataclass(frozen=True)
class MaterialErrors:
    """The errors of one material.

    Attributes:
        key, formula, atoms: which material.
        voxel_volume: Å³.
        total: errors of the total density over every voxel.
        baseline: errors of the superposition of atomic densities (SAD), where the store has it.
        spin: errors of the magnetisation, if both model and store have it.
        unsigned_spin: the same up to the global sign of the magnetisation, which the structure does not determine.
        elements: atomic number → errors of the total density over the voxels nearest to that element.
        baseline_elements: the same for SAD; empty without it.
        parity: counts of (true, predicted), see :mod:`charge3net.analysis.parity`.
        seconds: time of the prediction.
        zeta: angular variation ζ of the true density, if requested.
        expectation: what the model says of its own error.
    """

    key: str
    formula: str
    atoms: int
    voxel_volume: float
    total: ErrorSums
    baseline: ErrorSums | None
    spin: ErrorSums | None
    elements: dict[int, ErrorSums]
    baseline_elements: dict[int, ErrorSums]
    parity: dict[int, int]
    seconds: float
    zeta: float | None = None
    unsigned_spin: ErrorSums | None = None
    expectation: Expectation = field(default_factory=Expectation)


@dataclass(frozen=True)
class Evaluation:
    """A model's errors on a set of materials.

    Attributes:
        materials: in the order of evaluation.
        failed: material → reason why it could not be evaluated.
        facts: plain JSON values: model, data, versions.
    """

    materials: tuple[MaterialErrors, ...]
    failed: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def nmae(self) -> Average:
        """ε_mae in %, mean over materials ± standard error."""
        return Average.of(m.total.nmae for m in self.materials)

    def nmae_by_formula(self) -> Average:
        """The same, mean over formulas ± standard error; each counts once, with the mean over its materials.

        Entries of one composition are alike, so their standard error is too small where a few compositions have many.
        """
        formulas: dict[str, list[float]] = {}
        for material in self.materials:
            formulas.setdefault(material.formula, []).append(material.total.nmae)
        return Average.of(Average.of(errors).mean for errors in formulas.values())

    def baseline(self) -> Average:
        """ε_mae of SAD in % over the materials that have it."""
        return Average.of(m.baseline.nmae for m in self.materials if m.baseline is not None)

    def summary(self) -> dict[str, Any]:
        """Plain JSON values: name → {mean, standard_error, count}, each over the materials for which it is defined."""
        volume = [m.voxel_volume for m in self.materials]
        errors = [abs(m.total.electron_error(v)) for m, v in zip(self.materials, volume, strict=True)]
        averages = {
            "nmae_percent": self.nmae(),
            "nmae_by_formula_percent": self.nmae_by_formula(),
            "baseline_nmae_percent": self.baseline(),
            "absolute_electron_error": Average.of(errors),
            "rmse": Average.of(m.total.rmse for m in self.materials),
            "magnetisation_nmae_percent": Average.of(m.spin.nmae for m in self.materials if m.spin is not None),
            "unsigned_magnetisation_nmae_percent": Average.of(
                m.unsigned_spin.nmae for m in self.materials if m.unsigned_spin is not None
            ),
            "zeta": Average.of(m.zeta for m in self.materials if m.zeta is not None),
        }
        plain = {name: _plain(average) for name, average in averages.items() if average.count}
        honesty = Honesty.of(self.materials)
        if honesty is not None:
            plain["expected_error"] = honesty.to_json()
        return {**plain, "voxels": sum(m.total.voxels for m in self.materials), "materials": len(self.materials)}

    def by_element(self) -> dict[int, ElementErrors]:
        """Errors by element, pooled over all materials."""
        numbers = sorted({z for m in self.materials for z in m.elements})
        return {z: ElementErrors.of(self.materials, z) for z in numbers}

    def parity(self) -> dict[int, int]:
        """Counts of (true, predicted) over all materials."""
        counts: Counter[int] = Counter()
        for material in self.materials:
            counts.update(material.parity)
        return dict(counts)


@dataclass(frozen=True)
class ElementErrors:
    """The errors around one element.

    Attributes:
        pooled: sums over its voxels in all materials.
        baseline: the same for SAD; None unless all these materials have it.
        nmae: ε_mae in %, mean over materials ± standard error.
    """

    pooled: ErrorSums
    baseline: ErrorSums | None
    nmae: Average

    @classmethod
    def of(cls, materials: Sequence[MaterialErrors], number: int) -> ElementErrors:
        """From the materials that contain the element with this atomic number."""
        having = [m for m in materials if number in m.elements]
        complete = all(number in m.baseline_elements for m in having)
        return cls(
            sum((m.elements[number] for m in having), ErrorSums()),
            sum((m.baseline_elements[number] for m in having), ErrorSums()) if complete else None,
            Average.of(m.elements[number].nmae for m in having),
        )


def evaluate(
    predictor: PredictsDensity,
    store: Store,
    keys: Sequence[str],
    *,
    angular: bool = False,
    on_failure: Callable[[str, str], None] | None = None,
) -> Iterator[MaterialErrors]:
    """Errors of the materials, one at a time; memory for one grid.

    Args:
        predictor: predicts the density on the grid of the store.
        store: densities to compare with.
        keys: of the materials.
        angular: also compute ζ of the true densities.
        on_failure: called with key and reason if a material cannot be predicted; None raises the error.

    Raises:
        InputError: for a key that the store does not have, before anything is computed.
    """
    unknown = [key for key in keys if key not in store]
    if unknown:
        raise InputError(
            f"the store {store.path} has no entry {unknown[0]!r} ({len(unknown)} of {len(keys)} are missing)"
        )
    for key in keys:
        entry = store[key]
        start = time.perf_counter()
        try:
            predicted = predictor.predict(entry.geometry, grid=entry.grid)
        except InputError as error:
            if on_failure is None:
                raise
            on_failure(key, str(error))
            continue
        yield material_errors(entry, predicted, time.perf_counter() - start, angular)


def material_errors(entry: StoreEntry, predicted: Density, seconds: float, angular: bool = False) -> MaterialErrors:
    """Compare a prediction with the stored density, voxel by voxel.

    Raises:
        InputError: if the prediction is on another grid.
    """
    if not predicted.grid.same_as(entry.grid):
        raise InputError(f"{entry.key}: the prediction has grid {predicted.grid.shape}, the store {entry.grid.shape}")
    target, prediction = entry.values[0].reshape(-1), np.asarray(predicted.total).reshape(-1)
    baseline = None if entry.baseline is None else entry.baseline.reshape(-1)
    elements, baseline_elements = _by_element(entry, [prediction] if baseline is None else [prediction, baseline])
    parity = Counter[int]()
    for start in range(0, len(target), CHUNK):
        parity.update(parity_counts(target[start : start + CHUNK], prediction[start : start + CHUNK]))
    spin, unsigned_spin = None, None
    if entry.channels == 2 and predicted.spin is not None:
        spin = ErrorSums.of(predicted.spin, entry.values[1])
        unsigned_spin = ErrorSums.unsigned(predicted.spin, entry.values[1])
    return MaterialErrors(
        key=entry.key,
        formula=entry.formula,
        atoms=len(entry.geometry),
        voxel_volume=entry.grid.voxel_volume,
        total=ErrorSums.of(prediction, target),
        baseline=None if baseline is None else ErrorSums.of(baseline, target),
        spin=spin,
        elements=elements,
        baseline_elements=baseline_elements,
        parity=dict(parity),
        seconds=seconds,
        zeta=angular_variation(entry.density()) if angular else None,
        unsigned_spin=unsigned_spin,
        expectation=Expectation.of(predicted.provenance),
    )


def _by_element(
    entry: StoreEntry, predictions: Sequence[Float[ndarray, "voxels"]]
) -> tuple[dict[int, ErrorSums], dict[int, ErrorSums]]:
    """Errors of one or two predictions by element of the nearest atom, a chunk of voxels at a time."""
    target = entry.values[0].reshape(-1)
    found: tuple[dict[int, ErrorSums], dict[int, ErrorSums]] = ({}, {})
    for start in range(0, len(target), CHUNK):
        stop = min(start + CHUNK, len(target))
        nearest = nearest_atoms(entry.grid.points(np.arange(start, stop)), entry.geometry)
        numbers = entry.geometry.numbers[nearest.atoms]
        for sums, prediction in zip(found, predictions, strict=False):
            for z, some in sums_by_element(prediction[start:stop], target[start:stop], numbers).items():
                sums[z] = sums.get(z, ErrorSums()) + some
    return found


def _plain(average: Average) -> dict[str, float | int | None]:
    """For JSON, which has no NaN."""
    error = None if np.isnan(average.standard_error) else average.standard_error
    return {"mean": average.mean, "standard_error": error, "count": average.count}
