"""Correlations of ζ with the gain, the noise of the gain, and the two definitions of ζ compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.statistics import spearman
from charge3net.report.formatting import averaged

#: All kinds together.
POOLED = "all"


@dataclass(frozen=True, eq=False)
class Columns:
    """The materials as arrays.

    Attributes:
        zeta, zeta_published: [materials].
        low, high: [seeds, materials] ε_mae in % at the lower and the higher rotation order.
    """

    zeta: Float[ndarray, "materials"]
    zeta_published: Float[ndarray, "materials"]
    low: Float[ndarray, "seeds materials"]
    high: Float[ndarray, "seeds materials"]

    @property
    def gains(self) -> Float[ndarray, "seeds materials"]:
        """ε(low) − ε(high) of each seed, percentage points."""
        return self.low - self.high

    @property
    def relative_gains(self) -> Float[ndarray, "seeds materials"]:
        """Gain over ε(low), in %."""
        return 100.0 * self.gains / self.low


def columns(materials: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows of the result as arrays."""
    return Columns(
        np.array([material["zeta"] for material in materials]),
        np.array([material["zeta_published"] for material in materials]),
        np.array([material["low"] for material in materials]).T,
        np.array([material["high"] for material in materials]).T,
    )


def groups(materials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Numbers of each kind, and of all together where there are several, as plain JSON values."""
    kinds = list(dict.fromkeys(material["kind"] for material in materials))
    names = [*kinds, POOLED] if len(kinds) > 1 else kinds
    return [_group(name, [m for m in materials if name in (m["kind"], POOLED)]) for name in names]


def _group(name: str, materials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    table = columns(materials)
    gain, relative = table.gains.mean(axis=0), table.relative_gains.mean(axis=0)
    difference = table.zeta_published - table.zeta
    atoms = [m["superposition"] for m in materials if m["superposition"] is not None]
    return {
        "name": name,
        "count": len(materials),
        "low": _average(table.low.mean(axis=0)),
        "high": _average(table.high.mean(axis=0)),
        "superposition": _average(np.array(atoms)) if atoms else None,
        "zeta": _range(table.zeta),
        "gain": _correlation(table.zeta, gain),
        "relative_gain": _correlation(table.zeta, relative),
        "gain_published_zeta": _correlation(table.zeta_published, gain),
        "noise": {"gain": noise(table.gains), "relative_gain": noise(table.relative_gains)},
        "zeta_difference": {**_range(difference), "absolute_mean": float(np.abs(difference).mean())},
        "zeta_agreement": _correlation(table.zeta, table.zeta_published),
        "helped": int((gain > 0).sum()),
    }


def noise(gains: Float[ndarray, "seeds materials"]) -> dict[str, float] | None:
    """Variation of the gain between trainings with different seeds.

    Returns:
        ``median_deviation``: the median over materials of the standard deviation between seeds, in the unit of the
        gains; ``agreement``: Spearman's ρ between the gains of two seeds (mean over pairs); ``ceiling``: the
        correlation that the mean over seeds would have with a quantity that fixed the true gain's rank,
        √(k·r/(1 + (k − 1)·r)) for k seeds of agreement r (Spearman and Brown's formula and the correction for
        attenuation). None for one seed.
    """
    seeds = len(gains)
    pairs = [spearman(gains[i], gains[j]) for i in range(seeds) for j in range(i)]
    found = [pair.rho for pair in pairs if pair is not None]
    if not found:
        return None
    agreement = float(np.mean(found))
    reliability = max(seeds * agreement / (1.0 + (seeds - 1) * agreement), 0.0) if agreement > -1.0 else 0.0
    deviation = float(np.median(gains.std(axis=0, ddof=1)))
    return {"median_deviation": deviation, "agreement": agreement, "ceiling": float(np.sqrt(reliability))}


def _average(values: Float[ndarray, "materials"]) -> dict[str, float | None]:
    """Mean ± standard error, median."""
    return {**averaged(values, digits=9), "median": float(np.median(values))}


def _range(values: Float[ndarray, "materials"]) -> dict[str, float]:
    return {"mean": float(values.mean()), "low": float(values.min()), "high": float(values.max())}


def _correlation(x: Float[ndarray, "materials"], y: Float[ndarray, "materials"]) -> dict[str, float] | None:
    found = spearman(x, y)
    return None if found is None else asdict(found)
