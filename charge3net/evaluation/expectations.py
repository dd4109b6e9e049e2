"""What a model says of its own errors, beside the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.analysis.statistics import RankCorrelation, spearman

if TYPE_CHECKING:
    from charge3net.evaluation.materials import MaterialErrors

#: Columns of ``evaluation.csv`` for it.
COLUMNS = (
    "expected_nmae_percent",
    "low_nmae_percent",
    "high_nmae_percent",
    "group",
    "spread_percent",
    "distance",
    "valence_error_percent",
    "flags",
)


@dataclass(frozen=True)
class Expectation:
    """What a prediction says of its own error; None for what the model does not know.

    Attributes:
        expected_percent, low_percent, high_percent: ε_mae, with the ends of its 90 % interval.
        group: of structures, on which the expectation rests (:mod:`charge3net.predict.calibration`).
        spread_percent: standard deviation between the members of an ensemble, as a share of the electrons.
        distance: of the surroundings of the atoms from the training set.
        valence_error_percent: (∫ρ̂ − N)/N against the valence N, before any correction of it.
        flags: what is unlike the training set, in sentences.
    """

    expected_percent: float | None = None
    low_percent: float | None = None
    high_percent: float | None = None
    group: str | None = None
    spread_percent: float | None = None
    distance: float | None = None
    valence_error_percent: float | None = None
    flags: tuple[str, ...] = ()

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Expectation:
        """From the provenance of a prediction; empty if it says nothing."""
        said = provenance.get("uncertainty", {})
        spread, electrons = said.get("relative_spread"), provenance.get("electron_error")
        return cls(
            expected_percent=said.get("expected_percent"),
            low_percent=said.get("low_percent"),
            high_percent=said.get("high_percent"),
            group=said.get("group"),
            spread_percent=None if spread is None else 100.0 * spread,
            distance=said.get("distance"),
            valence_error_percent=None if electrons is None else 100.0 * electrons,
            flags=tuple(said.get("flags", ())),
        )

    def row(self) -> dict[str, Any]:
        """The :data:`COLUMNS` of a table."""
        return {
            "expected_nmae_percent": self.expected_percent,
            "low_nmae_percent": self.low_percent,
            "high_nmae_percent": self.high_percent,
            "group": self.group,
            "spread_percent": self.spread_percent,
            "distance": self.distance,
            "valence_error_percent": self.valence_error_percent,
            "flags": "; ".join(self.flags),
        }


@dataclass(frozen=True)
class Honesty:
    """How expected errors compare with true ones.

    Attributes:
        count: number of materials that have an expected error.
        coverage: share of them whose true error lies in the interval.
        rank: Spearman's correlation of expected and true errors; None for too few.
    """

    count: int
    coverage: float
    rank: RankCorrelation | None

    @classmethod
    def of(cls, materials: Sequence[MaterialErrors]) -> Honesty | None:
        """Of those with an expected error; None if there is none."""
        told = expected_of(materials)
        if not told:
            return None
        true = np.array([material.total.nmae for material, _ in told])
        inside = [low <= error <= high for error, (_, (_, low, high)) in zip(true, told, strict=True)]
        rank = spearman(np.array([expected for _, (expected, _, _) in told]), true)
        return cls(len(told), float(np.mean(inside)), rank)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        rank = None if self.rank is None else self.rank.rho
        return {"count": self.count, "coverage_of_90_percent_interval": self.coverage, "spearman": rank}

    def __str__(self) -> str:
        rank = "" if self.rank is None else f", Spearman's ρ {self.rank.rho:+.2f}"
        return f"{100.0 * self.coverage:.0f} % of {self.count} true errors in the 90 % interval{rank}"


def expected_of(materials: Sequence[MaterialErrors]) -> list[tuple[MaterialErrors, tuple[float, float, float]]]:
    """The materials with an expected error, and this with its interval, in %."""
    found = []
    for material in materials:
        said = material.expectation
        if said.expected_percent is not None and said.low_percent is not None and said.high_percent is not None:
            found.append((material, (said.expected_percent, said.low_percent, said.high_percent)))
    return found
