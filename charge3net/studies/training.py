"""Trainings of a study: commands of this package in processes of their own, and the runs that they leave."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.errors import InputError
from charge3net.train.runs import Run, find_runs

#: Starts ``charge3net ARGUMENTS`` and returns its exit status; given by :func:`commands_started_by`.
_start: ContextVar[Callable[[Sequence[str]], int]] = ContextVar("start")


@contextmanager
def commands_started_by(start: Callable[[Sequence[str]], int]) -> Iterator[None]:
    """Start the commands of studies with this function inside the ``with`` block.

    Args:
        start: runs ``charge3net ARGUMENTS`` in a process of its own and returns its exit status.
    """
    token = _start.set(start)
    try:
        yield
    finally:
        _start.reset(token)


def charge3net_command(arguments: Sequence[str]) -> None:
    """Run ``charge3net ARGUMENTS`` in a process of its own with the same output.

    Raises:
        InputError: if it fails (its own message is printed before), or outside of :func:`commands_started_by`.
        KeyboardInterrupt: if it was interrupted.
    """
    start = _start.get(None)
    if start is None:
        raise InputError("a study trains its models with `charge3net train`; run the study by `charge3net study`")
    print(f"charge3net {shlex.join(arguments)}", flush=True)
    status = start(arguments)
    if status == 130:
        raise KeyboardInterrupt("; the same command continues")
    if status:
        raise InputError(f"charge3net {arguments[0]} ended with status {status}; its message is above")


def sweep(overrides: Sequence[str], output: str, *, store: str, split: str, launcher: Sequence[str]) -> None:
    """Train the members of a sweep (``charge3net train --multirun``) that are not finished, into folders in ``output``.

    Args:
        overrides: of the trainings: ``experiment=…``, ``model.lmax=0,1,2``, ….
        output: folder of the runs.
        store, split: the densities.
        launcher: ``["launcher=joblib", "hydra.launcher.n_jobs=2"]``, ….
    """
    data = [f"data.store={store}", f"data.split={split}", f"output={output}", "resume=true"]
    charge3net_command(["train", "--multirun", *overrides, *data, *launcher])


def choice(setting: str, values: Sequence[object]) -> str:
    """A Hydra override that sweeps over values; the setting is part of the folder names even with a single value."""
    return f"{setting}=choice({','.join(map(str, values))})"


def sweep_orders(
    settings: Sequence[str],
    output: str,
    orders: Sequence[int],
    rates: Mapping[int, float],
    seeds: Sequence[int],
    *,
    store: str,
    split: str,
    launcher: Sequence[str],
) -> None:
    """:func:`sweep` over seeds for one rotation order after the other, each with a learning rate of its own.

    Args:
        settings: of all trainings; they take precedence over the rates.
        orders: the rotation orders L.
        rates: L → ``optim.lr``.

    Raises:
        InputError: for an order without a rate.
    """
    without = [order for order in orders if order not in rates]
    if without:
        raise InputError(f"rates has no learning rate for L = {without[0]}; add one: 'rates={{{without[0]}:0.01}}'")
    for order in orders:
        varied = [choice("model.lmax", [order]), choice("seed", seeds), f"optim.lr={rates[order]}"]
        sweep([*varied, *settings], output, store=store, split=split, launcher=launcher)


def finished_runs(folder: Path, orders: Sequence[int], seeds: Sequence[int]) -> dict[tuple[int, int], Run]:
    """(L, seed) → finished run in a folder, in the given order, whatever else is there.

    Raises:
        InputError: if one is missing.
    """
    found = {
        (int(member.config["model"]["lmax"]), int(member.config["seed"])): member
        for member in find_runs(folder)
        if member.summary
    }
    asked = [(order, seed) for order in orders for seed in seeds]
    missing = [place for place in asked if place not in found]
    if missing:
        raise InputError(f"{folder} has no finished run with L = {missing[0][0]}, seed {missing[0][1]}; run it again")
    return {place: found[place] for place in asked}


def run_record(member: Run) -> dict[str, Any]:
    """Training settings, duration and validation error of a run, as a result stores them.

    ``batch``: structures × probes a step; ``lr``: the learning rate before its schedule. Times in s, the error on the
    validation probes in %; None for values that an unfinished run lacks.
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
