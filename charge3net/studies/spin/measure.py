"""Errors of total density and magnetisation, and magnetic moments, of one model for one structure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charge3net.analysis.metrics import ErrorSums
from charge3net.analysis.moments import alignment, cell_moments, sphere_moments
from charge3net.data.store import StoreEntry
from charge3net.density import Density
from charge3net.errors import InputError

#: Structures with a smaller ∫|m| per cell (μ_B) have no error of the magnetisation.
UNMAGNETIC = 0.1


@dataclass(frozen=True)
class Case:
    """Errors and moments of one model for one structure.

    The sign of the DFT magnetisation is chosen such that the largest atomic moment is positive, that of the prediction
    such that its error is the smaller one.

    Attributes:
        key, formula: of the structure.
        alignment: of the DFT moments in spheres: ``parallel``, ``antiparallel``, ``none``.
        total, baseline: ε_mae in % of the total density, predicted and of SAD.
        signed, unsigned: ε_mae in % of the magnetisation with its sign and with the better sign; None without moments.
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


def case_of(entry: StoreEntry, predicted: Density) -> Case:
    """Compare a prediction with the DFT density.

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


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, tuple | list):
        return [_rounded(item) for item in value]
    return value
