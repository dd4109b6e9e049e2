"""Pairs summed up for every model: errors with standard errors over pairs, and the charge that goes where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from charge3net.report.formatting import averaged
from charge3net.studies.charge_transfer.measure import ATOMS

#: Columns of errors of a method, each a percentage.
ERRORS = ("error", "near_error", "density_error", "near_density_error")

#: Where charge comes from: name → whether an atomic number belongs to it.
KINDS = ("transition metals", "oxygen", "lithium")


def sum_up(pairs: Sequence[Mapping[str, Any]], models: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """Model → its errors and totals over the pairs; a model's runs (seeds) are averaged within a pair.

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
        "totals": {kind: _totals(pairs, target, found, kind) for kind in KINDS},
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


def _of_kind(numbers: ndarray, kind: str) -> Bool[ndarray, "atoms"]:
    """Which atoms are 3d metals, oxygen, lithium."""
    if kind == "transition metals":
        return (numbers >= 21) & (numbers <= 30)
    return numbers == {"oxygen": 8, "lithium": 3}[kind]


def _seed_spread(values: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation between seeds of the mean over pairs."""
    means = np.mean(values, axis=0)
    return round(float(means.std(ddof=1)), 4) if len(means) > 1 else None
