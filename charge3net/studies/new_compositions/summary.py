"""Means by structure and by formula, pairs of models, and the gain of high rotation orders against ζ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.statistics import paired_difference, spearman
from charge3net.report.formatting import averaged, significant

Rows = Sequence[Mapping[str, Any]]


def by_formula(errors: Float[ndarray, "structures"], formulas: Sequence[str]) -> Float[ndarray, "formulas"]:
    """Mean over the structures of each formula."""
    places: dict[str, list[int]] = {}
    for place, formula in enumerate(formulas):
        places.setdefault(formula, []).append(place)
    return np.array([errors[own].mean() for own in places.values()])


def of_kind(errors: Float[ndarray, "seeds structures"], kind: Mapping[str, Any]) -> dict[str, Any]:
    """Averages of the models of all seeds on one kind.

    Returns:
        ``entry``, ``formula``: mean over structures and over formulas, in %, of the mean over seeds; ``seeds``,
        ``seeds_by_formula``: the same of each seed; ``below_sad``, ``with_sad``: on how many structures the mean error
        is below that of SAD, and how many have one.
    """
    mean = errors.mean(axis=0)
    known = [place for place, value in enumerate(kind["sad"]) if value is not None]
    return {
        "entry": averaged(mean),
        "formula": averaged(by_formula(mean, kind["formulas"])),
        "seeds": [significant(value) for value in errors.mean(axis=1)],
        "seeds_by_formula": [significant(by_formula(one, kind["formulas"]).mean()) for one in errors],
        "below_sad": int(sum(mean[place] < kind["sad"][place] for place in known)),
        "with_sad": len(known),
    }


def row_of(runs: Rows, kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One row of a table: the runs of one model that differ in their seed only."""
    first = runs[0]
    seconds = [run["processor_seconds"] for run in runs if run["processor_seconds"] is not None]
    same = ("network", "label", "order", "fraction", "steps", "parameters", "train", "lr")
    return {
        **{name: first[name] for name in same},
        "seeds": [run["seed"] for run in runs],
        "processor_seconds": significant(float(np.median(seconds)), 3) if seconds else None,
        "validation": averaged(run["validation_nmae_percent"] for run in runs),
        "kinds": {
            name: of_kind(np.array([run["errors"][name] for run in runs], dtype=float), kind)
            for name, kind in kinds.items()
        },
    }


def rows_of(runs: Rows, kinds: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each model, number of steps, fraction and rotation order, in the order of the runs."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault(tuple(run[name] for name in ("network", "steps", "fraction", "order")), []).append(run)
    return [row_of(sorted(own, key=lambda run: run["seed"]), kinds) for own in groups.values()]


def atoms_row(kind: Mapping[str, Any]) -> dict[str, Any] | None:
    """Averages of SAD on the structures of one kind that have it; None if none has."""
    known = [
        (value, formula) for value, formula in zip(kind["sad"], kind["formulas"], strict=True) if value is not None
    ]
    if not known:
        return None
    sad = np.array([value for value, _ in known], dtype=float)
    return {"entry": averaged(sad), "formula": averaged(by_formula(sad, [formula for _, formula in known]))}


def pairs(first: Rows, second: Rows, kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Kind → how much lower the error of the second model is, paired over structures and over formulas."""
    found = {}
    for name, kind in kinds.items():
        one, other = (np.mean([run["errors"][name] for run in runs], axis=0, dtype=float) for runs in (first, second))
        if len(one) < 2:
            continue
        formulas = [by_formula(errors, kind["formulas"]) for errors in (one, other)]
        found[name] = {
            "entry": asdict(paired_difference(one, other)),
            "formula": asdict(paired_difference(*formulas)) if len(formulas[0]) > 1 else None,
            "better": int((other < one).sum()),
        }
    return found


def gains(low: Rows, high: Rows, kind: Mapping[str, Any], name: str) -> dict[str, Any]:
    """ε(low) − ε(high) of each structure, for the seeds that both orders have, and its rank correlation with ζ."""
    common = sorted({run["seed"] for run in low} & {run["seed"] for run in high})
    errors = [
        np.array([next(run for run in runs if run["seed"] == seed)["errors"][name] for seed in common], dtype=float)
        for runs in (low, high)
    ]
    gain = (errors[0] - errors[1]).mean(axis=0)
    zeta = np.array(kind["zeta"], dtype=float)
    rho = spearman(zeta, gain)
    formulas = spearman(by_formula(zeta, kind["formulas"]), by_formula(gain, kind["formulas"]))
    return {
        "orders": [low[0]["order"], high[0]["order"]],
        "seeds": common,
        "gain": [significant(value) for value in gain],
        "mean": averaged(gain),
        "helped": int((gain > 0).sum()),
        "rho": None if rho is None else asdict(rho),
        "rho_by_formula": None if formulas is None else asdict(formulas),
    }
