"""A real training run: optimiser steps per second of ``charge3net train``, and where a step's time goes.

Protocol: the two bundled sets of DFT densities, ChargE3Net L = 4, mul = 500, 4 structures × 200 probes a step, Adam.
For each set and each number of threads and of loader processes, a run of ``--steps`` steps through
:func:`charge3net.train.run.train` (Lightning, log, checkpoint and all); the rate by the clock is the median of those
that the run itself logs, every 20 steps, without the first. Without loader processes also the processor time of a
step, which another load of the machine leaves alone: that of the run minus that of a run of a third of the steps, such
that what is done once cancels; and beside it, from a bare loop over the same batches, the medians of the processor
times of the loader, the forward pass with the loss, the backward pass, and Adam. What a step takes beyond their sum is
Lightning's and that of what we hang on it.

    python -m benchmarks.training_run [--steps 120] [--threads 1 2] [--workers 0 1] [--out results/training_run.json]
"""

from __future__ import annotations

import argparse
import csv
import itertools
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import circumstances, write_result
from charge3net.kernels import status
from charge3net.models.charge3net import ChargE3Net
from charge3net.train.config import DataConfig, LoopConfig, OptimConfig, RuntimeConfig, TrainConfig
from charge3net.train.datamodule import DensityDataModule
from charge3net.train.losses import build_loss
from charge3net.train.module import DensityTask
from charge3net.train.run import train
from charge3net.train.schedule import build_schedule
from data_prep.bundles.unpack import BUNDLES, unpack

#: Name → what writes the store and its split into a folder.
SETS: dict[str, Callable[[Path], object]] = {
    "demo": lambda folder: unpack(BUNDLES["demo_set"], folder),
    "benchmark": lambda folder: unpack(BUNDLES["benchmark_set"], folder),
}

#: Steps between two rates of the log.
WINDOW = 20

BATCH_SIZE, PROBES = 4, 200


def run(data: Path, model: dict[str, Any], steps: int, threads: int, workers: int, folder: Path) -> tuple[float, float]:
    """Steps per second of a training run, by its own log; and the processor seconds of all of it."""
    config = TrainConfig(
        name="run",
        output=str(folder),
        model={"architecture": "charge3net", **model},
        data=DataConfig(
            store=str(data / "store"), split=str(data / "split.json"), batch_size=BATCH_SIZE, probes=PROBES,
            val_structures=1, val_probes=100, workers=workers,
        ),
        train=LoopConfig(max_steps=steps, val_every=steps, log_every=min(WINDOW, steps)),
        runtime=RuntimeConfig(accelerator="cpu", threads=threads, progress=False),
    )  # fmt: skip
    start = time.process_time()
    train(config)
    busy = time.process_time() - start
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        logged = [row["train/structures_per_s"] for row in csv.DictReader(file)]
    rates = [float(rate) for rate in logged if rate]
    return statistics.median(rates[1:] or rates) / BATCH_SIZE, busy


def parts_of_a_step(data: Path, model: dict[str, Any], steps: int, threads: int) -> dict[str, float]:
    """Median processor seconds of the parts, in a bare loop over the batches of the run."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = ChargE3Net(**model)
    task = DensityTask(network, build_loss("l1"), OptimConfig(), build_schedule(OptimConfig().schedule, steps))
    optimizer = task.configure_optimizers()["optimizer"]
    module = DensityDataModule(data / "store", data / "split.json", network.cutoff, BATCH_SIZE, PROBES)
    batches = iter(module.train_loader())
    times: dict[str, list[float]] = {name: [] for name in ("loader", "forward", "backward", "optimiser")}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = work()
        times[name].append(time.process_time() - start)
        return result

    def adam() -> None:
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(steps):
        batch = timed("loader", lambda: next(batches))
        loss = timed("forward", lambda batch=batch: task.training_step(batch, 0))
        timed("backward", loss.backward)
        timed("optimiser", adam)
    return {name: statistics.median(of_part[WINDOW:] or of_part) for name, of_part in times.items()}


def measure(data: Path, model: dict[str, Any], options: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """One row for each number of threads and loader processes."""
    rows = []
    for threads, workers in itertools.product(options.threads, options.workers):
        rate, busy = run(data, model, options.steps, threads, workers, scratch / f"{threads}-{workers}")
        row: dict[str, Any] = {"threads": threads, "workers": workers, "steps_per_second": rate}
        text = f"{data.name:10} {threads} threads, {workers} workers: {rate:6.2f} steps/s"
        if workers == 0:
            few = options.steps // 3
            _, busy_before = run(data, model, few, threads, workers, scratch / f"{threads}-{workers}-short")
            step = (busy - busy_before) / (options.steps - few)
            parts = parts_of_a_step(data, model, options.steps, threads)
            row |= {"processor_seconds": step, "parts": {**parts, "rest": step - sum(parts.values())}}
            text += f", {1e3 * step:.1f} ms of processor:"
            text += "".join(f"  {name} {1e3 * seconds:.1f}" for name, seconds in row["parts"].items())
        rows.append(row)
        print(text, flush=True)
    return rows


def main() -> None:
    """Unpack, run, print, and write the result if asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--smoke", action="store_true", help="a small network, few steps, one row: does it run?")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = {"lmax": 4, "mul": 500}
    if options.smoke:
        options.sets, options.steps, options.threads, options.workers = ["demo"], 3 * WINDOW, [1], [0]
        model = {"lmax": 1, "mul": 24}
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.sets:
            SETS[name](Path(scratch, name))
            rows[name] = measure(Path(scratch, name), model, options, Path(scratch, f"{name}-runs"))
    if options.out is not None:
        protocol = {"steps": options.steps, "batch_size": BATCH_SIZE, "probes": PROBES, "model": model}
        facts = {"protocol": protocol, "machine": circumstances(("torch", "e3nn", "lightning")), "kernels": status()}
        write_result(options.out, {**facts, "sets": rows})


if __name__ == "__main__":
    main()
