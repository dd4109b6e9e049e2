"""Learning curves with their exponents, and each network compared with the one before."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.errors import InputError
from charge3net.studies.learning_curves.config import Config

if TYPE_CHECKING:
    from charge3net.analysis.learning import Gain, SizeErrors


def compare_runs(runs: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """Curves with their exponents, and each network compared with the one before."""
    from charge3net.analysis.learning import gains, learning_exponent

    errors = size_errors(runs)
    curves = []
    for name, found in errors.items():
        exponent = learning_exponent(found, config.draws)
        curves.append(
            {
                "model": name,
                "sizes": found.sizes.astype(int).tolist(),
                "seeds": len(found.errors),
                "mean": found.mean().tolist(),
                "material_error": found.material_error().tolist(),
                "seed_spread": None if len(found.errors) < 2 else found.seed_spread().tolist(),
                "exponent": asdict(exponent),
            }
        )
    networks = list(errors)[: len(config.lmax)]
    steps = [
        {
            "from": low,
            "to": high,
            "gains": [_plain(gain) for gain in gains(errors[low], errors[high])],
        }
        for low, high in itertools.pairwise(networks)
    ]
    return {"curves": curves, "steps": steps}


def _plain(gain: Gain) -> dict[str, Any]:
    """For JSON, which has no NaN."""
    error = None if np.isnan(gain.seed_error) else gain.seed_error
    return {**asdict(gain), "seed_error": error, "settled": gain.settled}


def size_errors(runs: Sequence[Mapping[str, Any]]) -> dict[str, SizeErrors]:
    """Errors of each model as an array over seeds, sizes and materials; models sorted by rotation order, then name.

    Raises:
        InputError: if a model lacks a seed at some size.
    """
    from charge3net.analysis.learning import SizeErrors

    found = {}
    for name in sorted({run["model"] for run in runs}, key=lambda name: ("L=" not in name, name)):
        own = {(run["seed"], run["size"]): run["nmae_percent"] for run in runs if run["model"] == name}
        seeds, sizes = sorted({seed for seed, _ in own}), sorted({size for _, size in own})
        missing = [(seed, size) for seed in seeds for size in sizes if (seed, size) not in own]
        if missing:
            raise InputError(
                f"{name} has no finished run with seed {missing[0][0]} and {missing[0][1]} training materials; "
                "run the study again"
            )
        errors = np.array([[own[seed, size] for size in sizes] for seed in seeds])
        found[name] = SizeErrors(np.array(sizes, dtype=float), errors)
    return found


def combined_error(curve: Mapping[str, Any]) -> np.ndarray:
    """[sizes] standard error of the mean: variances over materials and between seeds added."""
    error = np.square(np.array(curve["material_error"], dtype=float))
    if curve["seed_spread"] is not None:
        error = error + np.square(np.array(curve["seed_spread"])) / curve["seeds"]
    return np.sqrt(error)
