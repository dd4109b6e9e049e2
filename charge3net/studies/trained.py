"""Runs that a study has trained: finding them, and what of them stands in its result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.errors import InputError
from charge3net.train.runs import Run, find_runs


def finished_runs(folder: Path, orders: Sequence[int], seeds: Sequence[int]) -> dict[tuple[int, int], Run]:
    """(L, seed) → finished run in a folder, in the order asked for, whatever else is there.

    Raises:
        InputError: if one is missing.
    """
    found = {
        (int(member.config["model"]["lmax"]), int(member.config["seed"])): member
        for member in find_runs(folder)
        if member.summary
    }
    wanted = [(order, seed) for order in orders for seed in seeds]
    missing = [place for place in wanted if place not in found]
    if missing:
        raise InputError(f"{folder} holds no finished run with L = {missing[0][0]}, seed {missing[0][1]}; run it again")
    return {place: found[place] for place in wanted}


def run_record(member: Run) -> dict[str, Any]:
    """What a result says of every run: how it was trained, and how far it came.

    ``batch``: structures × probes a step; ``lr``: the learning rate before its schedule. Times in s, the error on the
    validation probes in %; None for what a run that is not finished does not know.
    """
    summary, data = member.summary, member.config["data"]
    best = summary.get("best", {})
    return {
        "seed": member.config["seed"],
        "steps": summary.get("step"),
        "batch": [data["batch_size"], data["probes"]],
        "lr": member.config["optim"]["lr"],
        "best_step": best.get("step"),
        "parameters": summary.get("parameters"),
        "seconds": summary.get("seconds"),
        "validation_nmae_percent": best.get("val/emae"),
        "loss": member.config["loss"]["name"],
        "last_losses": _last_losses(member),
    }


def _last_losses(member: Run, count: int = 10) -> float | None:
    """Mean of the last training losses that a run logged."""
    losses = member.metrics.get("train/loss", np.zeros(0))
    known = losses[np.isfinite(losses)][-count:]
    return float(f"{known.mean():.4g}") if len(known) else None
