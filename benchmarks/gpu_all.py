"""Everything that needs a GPU, in at most ten minutes: points and training steps per second, memory, where time goes.

Sections, each written to the JSON file as soon as it is done, so that a run which is cut off keeps the others:

* ``grid``: points per second of the Triton kernels and of torch, their errors, memory (benchmarks/gpu_read.py);
* ``training``: forward, backward and Adam step of ChargE3Net: steps per second, peak memory, and the largest deviation
  of the loss and of a gradient tensor from float64, in float32, with TF32 products, and in bfloat16 autocast;
* ``profile``: the ten operations that take most of the time of a grid and of a training step.

    sh benchmarks/gpu_all.sh              on a GPU
    sh benchmarks/gpu_all.sh --dry        does it run? tiny sizes on the CPU, Triton's kernels in its interpreter
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmarks.read_grid import amplified
from benchmarks.record import circumstances, write_result
from benchmarks.structures import structures
from benchmarks.training_step import parts
from charge3net.graph.collate import collate
from charge3net.graph.types import DensityBatch
from charge3net.kernels import torch_only
from charge3net.models.charge3net import ChargE3Net

SECONDS = 600.0

#: ChargE3Net: rotation order and multiplicity, of a measurement and of a dry run.
SIZES = {False: ((4, 500), (2, 500), (0, 500)), True: ((1, 8),)}
#: (structures of a batch / 4, probes of each).
BATCHES = {False: ((1, 200), (4, 200)), True: ((1, 5),)}


@contextmanager
def products(precision: str, device: torch.device) -> Iterator[None]:
    """Matrix products in float32, TF32 or bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    cast: AbstractContextManager = nullcontext()
    if precision == "bf16":
        cast = torch.autocast(device.type, dtype=torch.bfloat16)
    try:
        with cast:
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def grid(dry: bool, deadline: float) -> dict[str, Any]:
    """Kernels against torch on whole grids."""
    from benchmarks.gpu_read import Contest, Protocol
    from charge3net.predict.backends.gpu import status

    if reason := status()["reason"]:
        return {"skipped": reason}
    if dry and os.environ.get("TRITON_INTERPRET") != "1":  # Triton looks at it when it is imported
        return {"skipped": "TRITON_INTERPRET is not 1; gpu_all.sh sets it"}
    protocol = Protocol(rounds=1, side=4, torch_side=4, points=10, mul=8) if dry else Protocol(rounds=3, side=128)
    found: dict[str, Any] = {}
    for lmax, mul in SIZES[dry]:
        torch.manual_seed(protocol.seed)
        model = amplified(ChargE3Net(lmax, mul)).to(_device(dry)).eval()
        for name, geometry in list(structures().items())[: 1 if dry else 4]:
            if time.monotonic() < deadline:
                found[f"L{lmax} {name}"] = Contest(model, geometry, protocol).run()
    return found


def training(dry: bool, deadline: float) -> dict[str, Any]:
    """Steps per second, memory and errors, by precision."""
    found: dict[str, Any] = {}
    for lmax, mul in SIZES[dry][:2]:
        for repeat, probes in BATCHES[dry]:
            torch.manual_seed(0)
            model = amplified(ChargE3Net(lmax, mul)).to(_device(dry))
            batch = collate(parts(probes, repeat)).to(_device(dry))
            with torch_only():
                exact = _gradients(copy.deepcopy(model).double(), batch)
                for precision in ("float32", "tf32", "bf16"):
                    if time.monotonic() < deadline:
                        key = f"L{lmax} {4 * repeat}×{probes} {precision}"
                        found[key] = _step(copy.deepcopy(model), batch, precision, exact, 1 if dry else 10)
    return found


def _step(
    model: ChargE3Net, batch: DensityBatch, precision: str, exact: dict[str, torch.Tensor], rounds: int
) -> dict[str, Any]:
    device = batch.target.device
    with products(precision, device):
        ours = _gradients(model, batch)
    # Tensors whose gradient vanishes by symmetry have no relative error.
    scale = max(float(value.abs().max()) for value in exact.values())
    errors = {
        name: float((ours[name].double() - value).abs().max() / value.abs().max())
        for name, value in exact.items()
        if float(value.abs().max()) > 1e-9 * scale
    }
    optimiser = torch.optim.Adam(model.parameters(), fused=True)

    def step() -> None:
        optimiser.zero_grad()
        with products(precision, device):
            loss = (model(batch) - batch.target).abs().mean()
        loss.backward()
        optimiser.step()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step()
    seconds = [_seconds(step, device) for _ in range(rounds)]
    return {
        "steps_per_second": 1.0 / statistics.median(seconds),
        "loss_error": errors.pop("loss"),
        "gradient_error": max(errors.values()),
        "peak_mb": torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None,
    }


def _gradients(model: ChargE3Net, batch: DensityBatch) -> dict[str, torch.Tensor]:
    """Loss and gradient of every parameter."""
    model.zero_grad()
    loss = (model(batch) - batch.target).abs().mean()
    loss.backward()
    return {"loss": loss.detach()} | {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def profile(dry: bool, deadline: float) -> dict[str, Any]:
    """Where the time of a grid and of a step goes: milliseconds and calls of the ten slowest operations."""
    from torch.profiler import ProfilerActivity, profile

    from charge3net.grid import Grid
    from charge3net.predict.predictor import Predictor

    device = _device(dry)
    lmax, mul = SIZES[dry][0]
    torch.manual_seed(0)
    model = amplified(ChargE3Net(lmax, mul)).to(device).eval()
    geometry = next(iter(structures().values()))
    side = 4 if dry else 96
    predictor = Predictor(model)
    batch = collate(parts(*reversed(BATCHES[dry][0]))).to(device)

    def read() -> None:
        predictor.predict(geometry, grid=Grid(geometry.cell, (side,) * 3), symmetry=False)

    def step() -> None:
        with torch_only():
            _gradients(model, batch)

    found = {}
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    for name, work in (("grid", read), ("training step", step)):
        if time.monotonic() > deadline:
            break
        work()
        with profile(activities=activities) as record:
            work()
        attribute = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
        events = sorted(record.key_averages(), key=lambda event: getattr(event, attribute), reverse=True)[:10]
        found[name] = [{"name": e.key, "ms": getattr(e, attribute) / 1e3, "calls": e.count} for e in events]
    return found


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _device(dry: bool) -> torch.device:
    return torch.device("cpu" if dry else "cuda")


def main() -> int:
    """0; 1 if a section failed; 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="tiny sizes on the CPU")
    parser.add_argument("--out", type=Path, default=Path("gpu_all.json"), help="default: gpu_all.json")
    args = parser.parse_args()
    if not args.dry and not torch.cuda.is_available():
        print("benchmarks.gpu_all: error: torch finds no GPU here; --dry runs it on the CPU", file=sys.stderr)
        return 2
    begun, failed = time.monotonic(), False
    result: dict[str, Any] = {"dry": args.dry, "machine": circumstances(("torch", "triton", "e3nn", "numpy"))}
    if not args.dry:
        result["machine"]["gpu"] = torch.cuda.get_device_name()
    for share, section in ((0.5, grid), (0.8, training), (0.95, profile)):
        start = time.monotonic()
        try:
            result[section.__name__] = section(args.dry, begun + share * SECONDS)
        except Exception as error:  # the other sections are measured all the same
            traceback.print_exc()
            result[section.__name__], failed = {"error": f"{type(error).__name__}: {error}"}, True
        print(f"{section.__name__}: {time.monotonic() - start:.0f} s", flush=True)
        write_result(args.out, result)
    print(args.out)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
