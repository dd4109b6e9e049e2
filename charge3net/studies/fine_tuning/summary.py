"""Learning curves of both starts, and the difference between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

#: The two starts, as folders and in results.
TUNED, SCRATCH = "tuned", "scratch"


def compare(runs: Sequence[Mapping[str, Any]], formulas: Sequence[str], seen: Sequence[str]) -> dict[str, Any]:
    """``curves``: start → means over test entries and seeds, with and without formulas that the source has seen;
    ``rates``: start → rates that were tried, with their validation errors; ``gains``: from scratch − fine-tuned.
    """
    from charge3net.analysis.learning import SizeErrors, gains

    chosen = {start: _chosen_rate(runs, start) for start in (TUNED, SCRATCH)}
    unseen = np.array([formula not in seen for formula in formulas])
    found, curves = {}, {}
    for start, rate in chosen.items():
        own = {(r["seed"], r["size"]): r["nmae_percent"] for r in runs if r["start"] == start and r["lr"] == rate}
        seeds, sizes = sorted({seed for seed, _ in own}), sorted({size for _, size in own})
        errors = np.array([[own[seed, size] for size in sizes] for seed in seeds])
        found[start] = SizeErrors(np.array(sizes, dtype=float), errors)
        spread = found[start].seed_spread()
        curves[start] = {
            "lr": rate,
            "sizes": sizes,
            "mean": found[start].mean().round(4).tolist(),
            "material_error": found[start].material_error().round(4).tolist(),
            "seed_spread": None if np.isnan(spread).any() else spread.round(4).tolist(),
            "seeds": errors.mean(axis=2).round(4).tolist(),
            "mean_unseen": errors[:, :, unseen].mean(axis=(0, 2)).round(4).tolist() if unseen.any() else None,
        }
    tried = {start: _tried(runs, start) for start in chosen}
    differences = [
        {**asdict(gain), "seed_error": None if np.isnan(gain.seed_error) else gain.seed_error, "settled": gain.settled}
        for gain in gains(found[SCRATCH], found[TUNED])
    ]
    return {"curves": curves, "rates": tried, "gains": differences}


def _chosen_rate(runs: Sequence[Mapping[str, Any]], start: str) -> float:
    """The one with most trainings; others were tried once."""
    rates = [run["lr"] for run in runs if run["start"] == start]
    return max(dict.fromkeys(rates), key=rates.count)


def _tried(runs: Sequence[Mapping[str, Any]], start: str) -> list[dict[str, float]]:
    """Rate and validation error of the trainings that differ in the rate alone."""
    own = [run for run in runs if run["start"] == start]
    rates = {run["lr"] for run in own}
    for run in own:
        same = [r for r in own if (r["size"], r["seed"]) == (run["size"], run["seed"])]
        if {r["lr"] for r in same} == rates:
            return sorted(
                ({"lr": r["lr"], "validation_nmae_percent": r["validation_nmae_percent"]} for r in same),
                key=lambda row: row["lr"],
            )
    return []
