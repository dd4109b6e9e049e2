"""Errors of a group of structures; every number with its standard error over structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.shells import DENSITY_EDGES, SHELL
from charge3net.analysis.statistics import paired_difference, ratio_of_means
from charge3net.report.formatting import averaged, significant

#: Shells and bins with less than this fraction of the electrons of a group have no relative error.
LEAST = 1e-6


def sum_up(found: Sequence[Mapping[str, Any]], spread: Mapping[str, float]) -> dict[str, Any]:
    """Average over the structures of :func:`charge3net.studies.anatomy.measure.average_seeds`.

    Args:
        found: the structures; all of them have SAD, or none.
        spread: ε_mad in % of some of them, by key.

    Returns:
        ``structures`` (one row each), ``summary``, ``elements``, ``distance``, ``density``: plain JSON values.
    """
    structures = [
        {
            "key": one["key"],
            "formula": one["formula"],
            "atoms": one["atoms"],
            "nmae": round(float(np.mean(one["nmae"])), 4),
            "nmae_of_seeds": [round(value, 4) for value in one["nmae"]],
            "baseline": one["baseline"],
            "mad": spread.get(one["key"]),
        }
        for one in found
    ]
    return {
        "structures": structures,
        "summary": _summary(structures),
        "elements": _elements(found),
        "distance": _distance(found),
        "density": _density(found),
        "astray": significant(max(one["astray"] / sum(one["distance"]["reference"]) for one in found)),
    }


def _summary(structures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, median, ratio of SAD to the model, and the comparison with ε_mad where it is known."""
    errors = np.array([one["nmae"] for one in structures])
    seeds = np.mean([one["nmae_of_seeds"] for one in structures], axis=0)
    summary: dict[str, Any] = {
        "nmae": averaged(errors),
        "median": significant(np.median(errors)),
        "seeds": [significant(value) for value in seeds],
        "seed_spread": significant(seeds.std(ddof=1)) if len(seeds) > 1 else None,
    }
    baseline = np.array([np.nan if one["baseline"] is None else one["baseline"] for one in structures])
    if not np.isnan(baseline).any():
        ratio, error = ratio_of_means(baseline, errors)
        summary |= {"baseline": averaged(baseline), "ratio": significant(ratio), "ratio_error": significant(error)}
    known = [one for one in structures if one["mad"] is not None]
    if known:
        mad, own = (np.array([one[name] for one in known]) for name in ("mad", "nmae"))
        pair = paired_difference(own, mad) if len(known) > 1 else None
        summary["spread"] = {
            "mad": averaged(mad),
            "nmae": averaged(own),
            "below": int((own < mad).sum()),
            "difference": None if pair is None else [significant(value) for value in (pair.mean, pair.low, pair.high)],
        }
    return summary


def _elements(found: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Atomic number → error in % of the electrons in its Bader volumes, pooled over structures."""
    numbers = sorted({int(z) for one in found for z in one["elements"]})
    table = {}
    for z in map(str, numbers):
        parts = [one["elements"][z] for one in found if z in one["elements"]]
        held = np.array([part["reference"] for part in parts])
        relative = _percent([part["error"] for part in parts], held)
        has_baseline = all(part["baseline"] is not None for part in parts)
        table[z] = {
            **relative,
            "baseline": _percent([part["baseline"] for part in parts], held)["mean"] if has_baseline else None,
            "structures": len(parts),
            "atoms": sum(part["atoms"] for part in parts),
            "without_maximum": sum(part["without_maximum"] for part in parts),
            "electrons": significant(held.sum()),
        }
    return table


def _distance(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Per shell: share of the electrons and of the error, and the error relative to the electrons there, in %."""
    shells = max(len(one["distance"]["reference"]) for one in found)
    held, wrong = (_padded([one["distance"][name] for one in found], shells) for name in ("reference", "error"))
    off = None
    if all(one["distance"]["baseline"] is not None for one in found):
        off = _padded([one["distance"]["baseline"] for one in found], shells)
    profile = {"edges": [round(i * SHELL, 3) for i in range(shells + 1)], **_profile(held, wrong)}
    relative = None if off is None else [row["mean"] for row in _relative(held, off)]
    return {**profile, "baseline": relative}


def _density(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Per bin of the true density: volumes, shares, relative error."""
    bins = len(DENSITY_EDGES) - 1
    columns = {name: _padded([one["density"][name] for one in found], bins) for name in found[0]["density"]}
    volume = float(columns["volume"].sum())
    return {
        "edges": [significant(edge, 6) for edge in DENSITY_EDGES],
        "volume": [significant(v / volume) for v in columns["volume"].sum(axis=0)],
        "predicted": [significant(v / volume) for v in columns["predicted"].sum(axis=0)],
        **_profile(columns["reference"], columns["error"]),
    }


def _profile(held: Float[ndarray, "structures parts"], wrong: Float[ndarray, "structures parts"]) -> dict[str, Any]:
    """Shares of electrons and error with standard errors, and relative errors, of each part."""
    shares = [ratio_of_means(column, wrong.sum(axis=1)) for column in wrong.T]
    relative = _relative(held, wrong)
    return {
        "electrons": [significant(value) for value in held.sum(axis=0) / held.sum()],
        "share": [significant(value) for value, _ in shares],
        "share_error": [significant(error) for _, error in shares],
        "relative": [row["mean"] for row in relative],
        "relative_error": [row["standard_error"] for row in relative],
    }


def _relative(
    held: Float[ndarray, "structures parts"], wrong: Float[ndarray, "structures parts"]
) -> list[dict[str, Any]]:
    rows = []
    for electrons, error in zip(held.T, wrong.T, strict=True):
        enough = electrons.sum() > LEAST * held.sum()
        having = electrons > 0.0
        rows.append(_percent(error[having], electrons[having]) if enough else {"mean": None, "standard_error": None})
    return rows


def _percent(wrong: Sequence[float] | ndarray, held: Float[ndarray, "structures"]) -> dict[str, float | None]:
    ratio, error = ratio_of_means(100.0 * np.asarray(wrong, dtype=np.float64), held)
    return {"mean": significant(ratio), "standard_error": significant(error)}


def _padded(rows: Sequence[Sequence[float]], length: int) -> Float[ndarray, "structures parts"]:
    return np.array([[*row, *[0.0] * (length - len(row))] for row in rows])
