"""Sums of edges at their receivers: torch's index_add beside torch-scatter's segment_csr.

Protocol: BaVS3, NaCl, TiO2 and LiCoO2 with ``--probes`` random points each in one batch. (1) The sum alone: random
float32 messages of 128 features on the edges that end in probes, forward, and forward and backward. (2) ``--steps``
training steps (Adam, L1 loss, random targets) of SchNet with 128 features and 3 interactions. One process, one thread;
torch and torch-scatter alternate, ``--rounds`` times; medians of processor time, which a busy machine changes little.
torch-scatter must be installed (``make scatter``).

    python -m benchmarks.segment_sum [--rounds 5] [--out results/segment_sum.json]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import circumstances, write_result
from benchmarks.training_step import parts
from charge3net.graph.collate import collate
from charge3net.graph.types import DensityBatch
from charge3net.models.schnet import SchNetDensity
from charge3net.nn.segment import SWITCH, has_torch_scatter, segment_sum

WAYS = ("torch", "torch_scatter")
FEATURES = 128


def main() -> int:
    """Measure, print and write; status 2 without torch-scatter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--probes", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "segment_sum.json")
    args = parser.parse_args()
    if not has_torch_scatter():
        print("torch-scatter is not installed; run make scatter", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    batch = collate(parts(args.probes, 1))
    protocol = {"rounds": args.rounds, "steps": args.steps, "probes": args.probes, "features": FEATURES}
    result: dict[str, Any] = {
        "protocol": protocol | {"edges": len(batch.probes.receivers), "receivers": batch.probes.n_probes},
        "circumstances": circumstances(("torch", "torch-scatter")),
        "milliseconds": {name: race(run, args.rounds, 1e3) for name, run in sums(batch).items()},
        "seconds_of_training": race(lambda: train(batch, args.steps), args.rounds, 1.0),
    }
    for name, times in (*result["milliseconds"].items(), ("training (s)", result["seconds_of_training"])):
        print(f"{name:<22}" + "".join(f"{way} {times[way]:8.3f}   " for way in WAYS))
    write_result(args.out, result)
    return 0


def sums(batch: DensityBatch) -> dict[str, Callable[[], None]]:
    """The sum alone, with and without its backward pass."""
    generator = torch.Generator().manual_seed(0)
    receivers, n = batch.probes.receivers, batch.probes.n_probes
    messages = torch.randn(len(receivers), FEATURES, generator=generator)
    learned = messages.clone().requires_grad_()

    def forward() -> None:
        segment_sum(messages, receivers, n)

    def both() -> None:
        segment_sum(learned, receivers, n).sum().backward()

    return {"forward (ms)": forward, "and backward (ms)": both}


def train(batch: DensityBatch, steps: int) -> None:
    """Steps from the same start."""
    torch.manual_seed(0)
    model = SchNetDensity(features=FEATURES, num_interactions=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(batch) - batch.target).abs().mean().backward()
        optimizer.step()


def race(run: Callable[[], None], rounds: int, scale: float) -> dict[str, float]:
    """Median processor time of each way, times ``scale``; a short run is repeated for a tenth of a second."""
    before = os.environ.get(SWITCH)
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    try:
        for way in WAYS:  # the first use of each loads and allocates
            os.environ[SWITCH] = way
            run()
        for _ in range(rounds):
            for way in WAYS:
                os.environ[SWITCH] = way
                times[way].append(scale * _seconds(run))
    finally:
        os.environ.pop(SWITCH)
        if before is not None:
            os.environ[SWITCH] = before
    return {way: statistics.median(found) for way, found in times.items()}


def _seconds(run: Callable[[], None]) -> float:
    count, start = 0, time.process_time()
    while (elapsed := time.process_time() - start) < 0.1:
        run()
        count += 1
    return elapsed / count


if __name__ == "__main__":
    sys.exit(main())
