"""Exponents of time and memory."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from charge3net.analysis.power_law import fit_power_law
from charge3net.models.registry import label
from charge3net.studies.scaling.measure import Measurement

#: Fitted quantities: attribute of a measurement → axis label.
QUANTITIES = {
    "seconds": "processor time (s)",
    "neighbours": "neighbour search (s)",
    "encoding": "encoding atoms (s)",
    "reading": "evaluating the grid (s)",
    "megabytes": "memory above imports and model (MB)",
}


def model_name(architecture: str) -> str:
    """Name of an architecture at published size."""
    return label(architecture, {"lmax": 4} if architecture == "charge3net" else {})


def fit_exponents(found: list[Measurement], fit_from: int) -> list[dict[str, Any]]:
    """Exponents for each model and crystal, fitted to the medians over the repeats."""
    fits = []
    for architecture, crystal in dict.fromkeys((one.architecture, one.crystal) for one in found):
        rows = [asdict(one) | {"seconds": one.seconds} for one in found]
        rows = [row for row in rows if (row["architecture"], row["crystal"]) == (architecture, crystal)]
        if len({row["atoms"] for row in rows if row["atoms"] >= fit_from}) < 3:
            continue
        laws = {name: _law(rows, name, fit_from) for name in QUANTITIES}
        alone = [_law([row for row in rows if row["repeat"] == i], "seconds", fit_from) for i in _repeated(rows)]
        single = [law["exponent"] for law in alone if law is not None]
        fits.append({"architecture": architecture, "crystal": crystal, "single": single, **laws})
    return fits


def _repeated(rows: list[dict[str, Any]]) -> list[int]:
    return sorted({row["repeat"] for row in rows})


def _law(rows: list[dict[str, Any]], name: str, fit_from: int) -> dict[str, Any] | None:
    """The fitted power law; None if a value is not positive (memory of a small structure)."""
    x, y, _, _ = series(rows, name)
    keep = x >= fit_from
    return asdict(fit_power_law(x[keep], y[keep])) if (y[keep] > 0).all() else None


def series(rows: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sizes; median, smallest and largest over the repeats."""
    sizes = sorted({row["atoms"] for row in rows})
    values = [np.array([row[name] for row in rows if row["atoms"] == size]) for size in sizes]
    reduced = [np.array([how(one) for one in values]) for how in (np.median, np.min, np.max)]
    return np.array(sizes, dtype=np.float64), reduced[0], reduced[1], reduced[2]
