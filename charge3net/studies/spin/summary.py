"""Averages over structures and seeds, and the comparison of rotation orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.statistics import paired_difference
from charge3net.report.formatting import averaged


def group_averages(variant: dict[str, Any]) -> dict[str, Any]:
    """Means of the errors in %, by group; those of the magnetisation also by alignment."""
    cases = variant["cases"]
    table: dict[str, Any] = {"lmax": variant["lmax"], "loss": variant["loss"]}
    for group in (*WITH_TRAINED, "alike"):
        numbers = {name: average(cases, name, chosen(group)) for name in ("total", "baseline", "unsigned", "signed")}
        for alignment in ("parallel", "antiparallel"):
            for name in ("unsigned", "signed"):
                numbers[f"{name} {alignment}"] = average(cases, name, chosen(group, alignment))
        table[group] = numbers
    return table


def compare_orders(variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Highest minus lowest rotation order, paired over structures (means over seeds), in %."""
    orders = [variant for variant in variants if variant["loss"] == UNSIGNED]
    rows: list[dict[str, Any]] = []
    for group in GROUPS if len(orders) > 1 else ():
        for name in ("total", "unsigned"):
            first, last = (
                over_seeds([[c for c in cases if chosen(group)(c)] for cases in one["cases"]], name)
                for one in (orders[0], orders[-1])
            )
            if len(first) > 1:
                pair = paired_difference(np.array([last[k] for k in first]), np.array(list(first.values())))
                numbers = {key: round(getattr(pair, key), 4) for key in ("mean", "low", "high")}
                rows.append({"group": group, "error": name, **numbers, "wins": pair.wins, "count": pair.count})
    return rows


#: Elements whose atomic moments are compared: V, Cr, Mn, Fe, Co, Ni.
MAGNETIC = (23, 24, 25, 26, 27, 28)


#: Losses: with the better global sign of the magnetisation, and with the sign of the DFT calculation.
UNSIGNED, SIGNED = "unsigned_l1", "l1"


#: Group of test structures → its name in figures and text; ``alike`` is a third group, described separately.
GROUPS = {"distortion": "new distortions", "composition": "new compositions"}


#: The same with the training structures, which show what was fitted.
WITH_TRAINED = {"trained": "trained on", **GROUPS}


def variant_name(variant: dict[str, Any]) -> str:
    """``L = 4``, or ``L = 4, signed`` if trained with the sign of the DFT calculation."""
    return f"L = {variant['lmax']}" + (", signed" if variant["loss"] == SIGNED else "")


def chosen(group: str, alignment: str | None = None) -> Callable[[dict[str, Any]], bool]:
    """Whether a case is of a group, and of an alignment of moments where one is given."""
    return lambda case: case["group"] == group and alignment in (None, case["alignment"])


def over_seeds(runs: Iterable[Sequence[dict[str, Any]]], name: str) -> dict[str, float]:
    """Key → mean over seeds of an entry of the cases, where it is defined."""
    values: dict[str, list[float]] = {}
    for cases in runs:
        for case in cases:
            if case[name] is not None:
                values.setdefault(case["key"], []).append(case[name])
    return {key: float(np.mean(several)) for key, several in values.items()}


def average(
    runs: Sequence[Sequence[dict[str, Any]]], name: str, select: Callable[[dict[str, Any]], bool]
) -> dict[str, Any] | None:
    """Mean over structures of an entry of the cases; None where no selected case has it.

    Returns:
        ``mean``, ``standard_error`` over the structures (of their means over the seeds), ``seeds``: the mean of each
        seed, ``structures``: how many.
    """
    kept = [[case for case in cases if select(case)] for cases in runs]
    per_structure = list(over_seeds(kept, name).values())
    if not per_structure:
        return None
    found = averaged(per_structure)
    return {
        "structures": found.pop("count"),
        **found,
        "seeds": [round(float(np.mean([c[name] for c in cases if c[name] is not None])), 4) for cases in kept],
    }


def atom_moments(
    runs: Sequence[Sequence[dict[str, Any]]], select: Callable[[dict[str, Any]], bool]
) -> tuple[Float[ndarray, "atoms"], Float[ndarray, "seeds atoms"]]:
    """DFT moments in μ_B of the atoms of :data:`MAGNETIC` elements, and the predicted ones of each seed."""
    rows = []
    for cases in runs:
        of_seed = [
            pair
            for case in cases
            if select(case)
            for z, *pair in zip(case["numbers"], *case["atoms"], strict=True)
            if z in MAGNETIC
        ]
        rows.append(np.array(of_seed, dtype=np.float64).reshape(-1, 2))
    return rows[0][:, 0], np.stack([row[:, 1] for row in rows])
