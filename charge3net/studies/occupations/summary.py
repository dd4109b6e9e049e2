"""Averages over test structures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from charge3net.report.formatting import averaged, significant
from charge3net.studies.occupations.measure import MEAN, NEUTRAL, ORDERS, PREDICTED

_SOURCES = (NEUTRAL, MEAN, PREDICTED)


def sum_up(structures: Sequence[Mapping[str, Any]], calculations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Root mean squares of ‖ΔD‖ by order and element, share of ΔD that is predicted, energies and iterations."""
    return {"errors": _errors(structures), "starts": _starts(calculations)}


def _errors(structures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    atoms = {name: np.concatenate([np.array(one["errors"][name]) for one in structures]) for name in _SOURCES}
    numbers = np.concatenate([one["numbers"] for one in structures])
    formulas: dict[str, list[int]] = defaultdict(list)
    for i, one in enumerate(structures):
        formulas[one["formula"]].append(i)
    better = [_size(structures[i], PREDICTED) < _size(structures[i], MEAN) for i in range(len(structures))]
    return {
        "all": {name: _rms(found.sum(1)) for name, found in atoms.items()},
        "orders": {str(l): {name: _rms(found[:, i]) for name, found in atoms.items()} for i, l in enumerate(ORDERS)},
        "elements": {
            str(z): {"atoms": int((numbers == z).sum()), **{n: _rms(f[numbers == z].sum(1)) for n, f in atoms.items()}}
            for z in sorted(set(numbers.tolist()))
        },
        "formulas": {
            formula: {name: significant(float(np.mean([_size(structures[i], name) for i in own]))) for name in _SOURCES}
            for formula, own in formulas.items()
        },
        "better_than_mean": int(sum(better)),
        "structures": len(structures),
    }


def _size(structure: Mapping[str, Any], name: str) -> float:
    """Root mean square of ‖ΔD‖ over the atoms of a structure."""
    return float(np.sqrt(np.mean(np.array(structure["errors"][name]).sum(1))))


def _rms(squares: ndarray) -> float | None:
    return significant(float(np.sqrt(squares.mean())))


def _starts(calculations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Start → |E − E_SCF| in meV/atom without self-consistency, iterations; mean over structures."""
    names = calculations[0]["starts"] if calculations else ()
    return {
        name: {
            "energy": averaged(_energies(calculations, name)),
            "iterations": averaged([float(one["starts"][name]["iterations"]) for one in calculations]),
        }
        for name in names
    }


def _energies(calculations: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    return [1000 * abs(one["starts"][name]["energy"] - one["energy"]) / one["atoms"] for one in calculations]
