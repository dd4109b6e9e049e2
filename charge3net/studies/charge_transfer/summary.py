"""Averages over pairs for every model: errors with standard errors, and total charge changes by kind of atom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import atomic_names
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from charge3net.report.formatting import averaged
from charge3net.studies.charge_transfer.measure import ATOMS

#: Columns of errors of a method, each a percentage.
ERRORS = ("error", "near_error", "density_error", "near_density_error")

#: Kind of the 3d metals; every other element is a kind of its own.
METALS = "transition metals"


def sum_up(pairs: Sequence[Mapping[str, Any]], models: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """Model → its errors and total charge changes; runs of a model (seeds) are averaged within a pair.

    Args:
        pairs: of :func:`charge3net.studies.charge_transfer.measure.compare`.
        models: name → names of its runs.
    """
    known = dict(models)
    if all(ATOMS in pair["methods"] for pair in pairs):
        known[ATOMS] = [ATOMS]
    return {name: _model(pairs, runs) for name, runs in known.items()}


def _model(pairs: Sequence[Mapping[str, Any]], runs: Sequence[str]) -> dict[str, Any]:
    rows = [[pair["methods"][run] for run in runs] for pair in pairs]
    errors = {name: [[row[name] for row in of_pair] for of_pair in rows] for name in ERRORS}
    nmae = [[float(np.mean(row["nmae"])) for row in of_pair] for of_pair in rows]
    target = [np.array(pair["target"]["changes"]) for pair in pairs]
    found = [np.mean([row["changes"] for row in of_pair], axis=0) for of_pair in rows]
    off = np.concatenate(found) - np.concatenate(target)
    return {
        "runs": list(runs),
        "pairs": [pair["name"] for pair in pairs],
        **{name: averaged(np.mean(values, axis=1)) for name, values in errors.items()},
        "of_pairs": {name: [float(np.mean(values)) for values in columns] for name, columns in errors.items()},
        "seed_spread": {name: _seed_spread(columns) for name, columns in errors.items()},
        "nmae": averaged(np.mean(nmae, axis=1)),
        "electrons_off": round(float(np.abs(off).mean()), 5),
        "totals": {kind: _totals(pairs, target, found, kind) for kind in _kinds(pairs)},
    }


def _totals(
    pairs: Sequence[Mapping[str, Any]],
    target: Sequence[Float[ndarray, "atoms"]],
    found: Sequence[Float[ndarray, "atoms"]],
    kind: str,
) -> dict[str, list[float]]:
    """ΣΔq over the atoms of a kind in each pair: DFT and predicted, electrons."""
    chosen = [_of_kind(np.array(pair["numbers"]), kind) for pair in pairs]
    return {
        "dft": [round(float(values[mine].sum()), 4) for values, mine in zip(target, chosen, strict=True)],
        "predicted": [round(float(values[mine].sum()), 4) for values, mine in zip(found, chosen, strict=True)],
    }


def _kinds(pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Kinds of the atoms of all pairs, heaviest element first."""
    numbers = sorted({z for pair in pairs for z in pair["numbers"]}, reverse=True)
    return list(dict.fromkeys(map(_kind, numbers)))


def _kind(z: int) -> str:
    return METALS if 21 <= z <= 30 else atomic_names[z].lower()


def _of_kind(numbers: Int[ndarray, "atoms"], kind: str) -> Bool[ndarray, "atoms"]:
    return np.array([_kind(int(z)) == kind for z in numbers])


def _seed_spread(values: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation between seeds of the mean over pairs."""
    means = np.mean(values, axis=0)
    return round(float(means.std(ddof=1)), 4) if len(means) > 1 else None
