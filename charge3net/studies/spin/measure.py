"""What a model with a magnetisation gets right of one structure: errors and moments, and their means over many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.metrics import ErrorSums
from charge3net.analysis.moments import alignment, cell_moments, sphere_moments
from charge3net.data.store import Store, StoreEntry
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.studies.rounding import averaged

if TYPE_CHECKING:
    from charge3net.evaluation.materials import PredictsDensity

#: Elements that carry moments of their own: V, Cr, Mn, Fe, Co, Ni.
MAGNETIC = (23, 24, 25, 26, 27, 28)

#: Losses: up to the global sign of the magnetisation, and with the sign that the DFT loop ended with.
UNSIGNED, SIGNED = "unsigned_l1", "l1"

#: Group of test structures → its name in figures and text; ``alike`` is a third group, told of on its own.
GROUPS = {"distortion": "new distortions", "composition": "new compositions"}

#: The same with the training structures, to tell what was learned from what is general.
WITH_TRAINED = {"trained": "trained on", **GROUPS}

#: A smaller |moment| per cell is no magnetisation to compare with (μ_B).
UNMAGNETIC = 0.1


@dataclass(frozen=True)
class Case:
    """One model on one structure; plain JSON values.

    The DFT moments are turned such that the largest of an atom is positive, the predicted ones such that the error of
    the magnetisation is the smaller of both signs.

    Attributes:
        key, formula: which structure.
        alignment: of the DFT moments in spheres: ``parallel``, ``antiparallel``, ``none``.
        total, baseline: ε_mae in % of the total density, predicted and of the superposition of atoms.
        signed, unsigned: ε_mae in % of the magnetisation as it is and up to the global sign; None without moments.
        cell: ∫m of DFT and predicted, μ_B.
        absolute: ∫|m| of DFT and predicted, μ_B.
        numbers: atomic numbers.
        atoms: moments of the atoms in spheres, DFT and predicted, μ_B.
    """

    key: str
    formula: str
    alignment: str
    total: float
    baseline: float | None
    signed: float | None
    unsigned: float | None
    cell: tuple[float, float]
    absolute: tuple[float, float]
    numbers: list[int]
    atoms: tuple[list[float], list[float]]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, rounded to four decimals."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


def measure(predictor: PredictsDensity, store: Store, keys: Sequence[str]) -> Iterator[Case]:
    """One model on these entries of a store, one after the other.

    Raises:
        InputError: if the model or an entry has no magnetisation.
    """
    for key in keys:
        entry = store[key]
        yield case_of(entry, predictor.predict(entry.geometry, grid=entry.grid))


def case_of(entry: StoreEntry, predicted: Density) -> Case:
    """Compare a prediction with a stored density.

    Raises:
        InputError: if one of them has no magnetisation.
    """
    if entry.channels != 2 or predicted.spin is None:
        raise InputError(f"{entry.key}: the study of spin needs densities and models with two channels")
    target, spin, baseline = entry.values, np.asarray(predicted.spin), entry.baseline
    reference = sphere_moments(target[1], entry.grid, entry.geometry)
    turned = -1.0 if reference[np.argmax(np.abs(reference))] < 0.0 else 1.0
    absolute = (cell_moments(target[1], entry.grid)[1], cell_moments(spin, entry.grid)[1])
    magnetic = absolute[0] >= UNMAGNETIC
    errors = ErrorSums.of(spin, target[1]), ErrorSums.unsigned(spin, target[1])
    sign = turned if errors[0].absolute <= errors[1].absolute else -turned
    return Case(
        key=entry.key,
        formula=entry.formula,
        alignment=alignment(reference) if magnetic else "none",
        total=ErrorSums.of(np.asarray(predicted.total), target[0]).nmae,
        baseline=None if baseline is None else ErrorSums.of(baseline, target[0]).nmae,
        signed=errors[0].nmae if magnetic else None,
        unsigned=errors[1].nmae if magnetic else None,
        cell=(turned * cell_moments(target[1], entry.grid)[0], sign * cell_moments(spin, entry.grid)[0]),
        absolute=absolute,
        numbers=entry.geometry.numbers.tolist(),
        atoms=(
            (turned * reference).tolist(),
            (sign * sphere_moments(spin, entry.grid, entry.geometry)).tolist(),
        ),
    )


def variant_name(variant: dict[str, Any]) -> str:
    """``L = 4``, or ``L = 4, signed`` where the sign of the DFT loop was learned."""
    return f"L = {variant['lmax']}" + (", signed" if variant["loss"] == SIGNED else "")


def chosen(group: str, alignment: str | None = None) -> Callable[[dict[str, Any]], bool]:
    """Whether a case is of a group, and of an alignment of moments where one is given."""
    return lambda case: case["group"] == group and alignment in (None, case["alignment"])


def over_seeds(runs: Iterable[Sequence[dict[str, Any]]], name: str) -> dict[str, float]:
    """Key → mean over the seeds of a number of the cases, where it is defined."""
    values: dict[str, list[float]] = {}
    for cases in runs:
        for case in cases:
            if case[name] is not None:
                values.setdefault(case["key"], []).append(case[name])
    return {key: float(np.mean(several)) for key, several in values.items()}


def average(
    runs: Sequence[Sequence[dict[str, Any]]], name: str, select: Callable[[dict[str, Any]], bool]
) -> dict[str, Any] | None:
    """Mean over structures of a number; None where no selected case has it.

    Returns:
        ``mean``, ``standard_error`` over the structures (of their means over the seeds), ``seeds``: the mean of each
        seed, ``structures``: how many.
    """
    kept = [[case for case in cases if select(case)] for cases in runs]
    per_structure = list(over_seeds(kept, name).values())
    if not per_structure:
        return None
    found = averaged(per_structure)
    return {
        "structures": found.pop("count"),
        **found,
        "seeds": [round(float(np.mean([c[name] for c in cases if c[name] is not None])), 4) for cases in kept],
    }


def atom_moments(
    runs: Sequence[Sequence[dict[str, Any]]], select: Callable[[dict[str, Any]], bool]
) -> tuple[Float[ndarray, "atoms"], Float[ndarray, "seeds atoms"]]:
    """DFT moments in μ_B of the atoms of elements with moments of their own, and the predicted ones of each seed."""
    rows = []
    for cases in runs:
        of_seed = [
            pair
            for case in cases
            if select(case)
            for z, *pair in zip(case["numbers"], *case["atoms"], strict=True)
            if z in MAGNETIC
        ]
        rows.append(np.array(of_seed, dtype=np.float64).reshape(-1, 2))
    return rows[0][:, 0], np.stack([row[:, 1] for row in rows])


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, tuple | list):
        return [_rounded(item) for item in value]
    return value
