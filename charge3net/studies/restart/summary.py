"""Averages over the structures of a set, with intervals over compositions, and the law of steps against ε_mae."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.report.formatting import averaged, significant
from charge3net.studies.restart.measure import EXACT, SAD, TUNED, WITHOUT_MODEL

#: Draws of the bootstrap.
_DRAWS = 10_000
_WORK = ("seconds", "transforms", "operations")
#: Structures by size: at most so many atoms, and more than the one before.
_SIZES = (2, 4, 1000)


def sum_up(sets: Mapping[str, Sequence[Mapping[str, Any]]], middle: int, published: float) -> dict[str, Any]:
    """For each set and start the means, for all together the work by size and the law.

    Args:
        sets: name → structures of :func:`charge3net.studies.restart.measure.measure`.
        middle: which of the counts of steps is that of the runs.
        published: share of the steps that is placed on the law, %.
    """
    return {
        "middle": middle,
        "sets": {name: _set(structures) for name, structures in sets.items()},
        "sizes": _sizes([one for structures in sets.values() for one in structures]),
        "law": _law([one for structures in sets.values() for one in structures], middle, published),
    }


def _set(structures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = list(structures[0]["starts"])
    formulas = [one["formula"] for one in structures]
    return {
        "structures": len(structures),
        "compositions": len(set(formulas)),
        "starts": {name: _start(structures, name, formulas) for name in names},
    }


def _sizes(structures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Work saved by the last model and by the exact density, for structures of few and of more atoms."""
    found, smaller = [], 0
    for most in _SIZES:
        some = [one for one in structures if smaller < one["atoms"] <= most]
        smaller = most
        if some:
            starts = _set(some)["starts"]
            last = [name for name in starts if name not in WITHOUT_MODEL][-1]
            kept = {name: starts[name] for name in (last, EXACT)}
            atoms = [one["atoms"] for one in some]
            work = {
                name: {key: row[key] for key in ("saved_transforms", "saved_seconds")} for name, row in kept.items()
            }
            found.append({"atoms": [min(atoms), max(atoms)], "structures": len(some), "starts": work})
    return found


def _start(structures: Sequence[Mapping[str, Any]], name: str, formulas: Sequence[str]) -> dict[str, Any]:
    rows = [one["starts"][name] for one in structures]
    base, best = ([one["starts"][usual] for one in structures] for usual in (SAD, TUNED))
    found: dict[str, Any] = {"steps": [], "saved_steps": [], "saved_steps_tuned": [], "slowed": []}
    for i in range(len(rows[0]["steps"])):
        steps, usual, other = (np.array([row["steps"][i] for row in some], dtype=float) for some in (rows, base, best))
        known = bool(np.isfinite(steps).all() and np.isfinite(usual).all())
        found["steps"].append(averaged(steps) if known else None)
        found["saved_steps"].append(saved(steps, usual, formulas) if known else None)
        comparable = known and bool(np.isfinite(other).all())
        found["saved_steps_tuned"].append(saved(steps, other, formulas) if comparable else None)
        found["slowed"].append(float(np.mean(steps > usual)) if known else None)
    for key in _WORK:
        found[f"saved_{key}"] = saved(_work(rows, key), _work(base, key), formulas)
        found[f"saved_{key}_tuned"] = saved(_work(rows, key), _work(best, key), formulas)
    found["seconds"] = averaged(_work(rows, "seconds"))
    found["prediction_seconds"] = averaged(row.get("prediction_seconds", 0.0) for row in rows)
    exact = [one["energy"] for one in structures]
    found["largest_energy_difference"] = significant(
        max(abs(row["energy"] - right) for row, right in zip(rows, exact, strict=True))
    )
    for key in ("nmae", "energy_without_scf", "bands", "gap"):
        if key in rows[0]:
            values = np.abs([row[key] for row in rows])
            found[key] = averaged(values) | {
                "largest": significant(values.max()),
                "median": significant(np.median(values)),
            }
    return found


def _work(rows: Sequence[Mapping[str, Any]], key: str) -> Float[ndarray, "structures"]:
    """Of every structure; processor time includes the prediction."""
    more = "prediction_seconds" if key == "seconds" else ""
    return np.array([row[key] + row.get(more, 0.0) for row in rows], dtype=float)


def saved(
    found: Float[ndarray, "structures"], usual: Float[ndarray, "structures"], formulas: Sequence[str]
) -> dict[str, float | None]:
    """100·(1 − Σ found / Σ usual), with the 95 % interval of a bootstrap over compositions."""
    names = sorted(set(formulas))
    place = np.array([names.index(formula) for formula in formulas])
    sums = np.array([[values[place == i].sum() for i in range(len(names))] for values in (found, usual)])
    draws = np.random.default_rng(0).integers(0, len(names), (_DRAWS, len(names)))
    above, below = (row[draws].sum(1) for row in sums)
    low, high = np.percentile(100 * (1 - above / below), [2.5, 97.5])
    value = 100 * (1 - found.sum() / usual.sum())
    return {"value": significant(value), "low": significant(low), "high": significant(high)}


def _law(structures: Sequence[Mapping[str, Any]], middle: int, published: float) -> dict[str, Any]:
    """Least squares of steps = a + b·log₁₀(ε_mae / %) over all predictions, and the ε_mae of the published saving.

    The saving is placed against SAD with its best diagonalisation: pw.x's own costs steps that no density saves.
    """
    predicted = [
        (row["nmae"], row["steps"][middle])
        for one in structures
        for name, row in one["starts"].items()
        if name not in WITHOUT_MODEL
    ]
    x, y = np.log10([error for error, _ in predicted]), np.array([steps for _, steps in predicted], dtype=float)
    slope, constant = np.polyfit(x, y, 1)
    usual = float(np.mean([one["starts"][TUNED]["steps"][middle] for one in structures]))
    wanted = (1 - published / 100) * usual
    return {
        "count": len(predicted),
        "constant": significant(constant),
        "slope": significant(slope),
        "correlation": significant(np.corrcoef(x, y)[0, 1]),
        "sad_steps": significant(usual),
        "published_steps": significant(wanted),
        "published_nmae": significant(10 ** ((wanted - constant) / slope)),
    }
