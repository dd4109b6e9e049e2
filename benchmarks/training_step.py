"""Forward and backward pass of one training step: compiled, plain torch and, on request, as published.

Protocol: ChargE3Net with seeded random weights, L1 loss against random targets; BaVS3, NaCl, TiO2 and LiCoO2 with
``--probes`` random points each (``--repeat`` times over), atoms moved by 0.02 Å: else gradients vanish by symmetry.
One process; the ways alternate, ``--rounds`` times; medians of wall-clock and of processor time. Before the race: loss
and gradients of the compiled step against float64, and the memory that the compiled step adds. ``--published`` runs the
literal model (benchmarks/literal.py) too, with weights of its own: only its time is compared.

    python benchmarks/training_step.py [--lmax 4] [--mul 500] [--probes 200] [--threads 1] [--rounds 5] [--published]
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from torch import Tensor, nn

from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.collate import collate
from charge3net.graph.types import DensityBatch
from charge3net.kernels import status, torch_only
from charge3net.models.charge3net import ChargE3Net

CUTOFF = 4.0


def crystals() -> list[Atoms]:
    """BaVS3, NaCl, TiO2 and LiCoO2, conventional cells."""
    hexagonal = [90, 90, 120]
    return [
        crystal(
            ["Ba", "V", "S"], [(1 / 3, 2 / 3, 0.75), (0, 0, 0), (0.1655, 0.331, 0.25)], spacegroup=194,
            cellpar=[6.75, 6.75, 5.63, *hexagonal],
        ),
        bulk("NaCl", "rocksalt", 5.64, cubic=True),
        crystal(
            ["Ti", "O"], [(0, 0, 0), (0.3053, 0.3053, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
        ),
        crystal(
            ["Li", "Co", "O"], [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.2605)], spacegroup=166,
            cellpar=[2.816, 2.816, 14.05, *hexagonal],
        ),
    ]  # fmt: skip


def batch(probes: int, repeat: int) -> DensityBatch:
    """Random points in every crystal, random targets."""
    rng = np.random.default_rng(0)
    parts = []
    for atoms in crystals() * repeat:
        atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
        geometry = Geometry.of(atoms)
        points = rng.uniform(size=(probes, 3)) @ geometry.cell
        target = torch.from_numpy(rng.exponential(0.3, size=(probes, 1)).astype(np.float32))
        graphs = build_atom_graph(geometry, CUTOFF), build_probe_graph(geometry, points, CUTOFF)
        parts.append(DensityBatch(*graphs, target, (atoms.get_chemical_formula(),)))
    return collate(parts)


def step(model: nn.Module, answer: Callable[[], Tensor], target: Tensor) -> tuple[float, dict[str, Tensor]]:
    """Loss, and the gradient of every parameter that has one."""
    model.zero_grad()
    loss = (answer() - target).abs().mean()
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def accuracy(model: ChargE3Net, data: DensityBatch) -> dict[str, float]:
    """Relative difference to float64 of the loss, and of the gradient tensor that is worst, both ways."""
    exact = copy.deepcopy(model).double()
    loss, gradients = step(exact, lambda: exact(data), data.target)
    found = {}
    for name, run in (("compiled", lambda: model(data)), ("torch", lambda: _torch(model, data))):
        ours, theirs = step(model, run, data.target)
        errors = [float((theirs[k] - g).abs().max() / g.abs().max()) for k, g in gradients.items() if g.abs().max() > 0]
        found |= {f"{name} loss": abs(ours / loss - 1.0), f"{name} gradient": max(errors)}
    return found


def _torch(model: ChargE3Net, data: DensityBatch) -> Tensor:
    with torch_only():
        return model(data)


def race(runners: dict[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of each, run in turn."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            start, busy = time.perf_counter(), time.process_time()
            run()
            times[name].append((time.perf_counter() - start, time.process_time() - busy))
    return {
        name: {
            "seconds": statistics.median(t[0] for t in found),
            "cpu_seconds": statistics.median(t[1] for t in found),
        }
        for name, found in times.items()
    }


def peak_memory() -> float:
    """Most memory this process ever held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def published(options: argparse.Namespace, data: DensityBatch) -> Callable[[], Any]:
    """One step of the literal model."""
    from literal import LiteralChargE3Net  # beside this file

    torch.manual_seed(0)
    model = LiteralChargE3Net(options.lmax, options.mul)
    return lambda: step(model, lambda: model(data.atoms, data.probes).reshape(data.target.shape), data.target)


def machine() -> dict[str, Any]:
    """Where and with what the numbers were taken."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "e3nn")},
        "kernels": status(),
    }


def main() -> None:
    """Run the race and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmax", type=int, default=4)
    parser.add_argument("--mul", type=int, default=500)
    parser.add_argument("--probes", type=int, default=200, help="points per structure")
    parser.add_argument("--repeat", type=int, default=1, help="times the four structures")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions, of which the median is taken")
    parser.add_argument("--published", action="store_true", help="the literal model too: 50 s and 6 GB per round")
    parser.add_argument("--out", type=Path, help="file for the numbers as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model, data = ChargE3Net(options.lmax, options.mul), batch(options.probes, options.repeat)
    before = peak_memory()
    for _ in range(2):
        step(model, lambda: model(data), data.target)
    results: dict[str, Any] = {"added_mb": peak_memory() - before, "accuracy": accuracy(model, data)}
    runners = {
        "compiled": lambda: step(model, lambda: model(data), data.target),
        "torch": lambda: step(model, lambda: _torch(model, data), data.target),
    }
    if options.published:
        runners["published"] = published(options, data)
    results["times"] = race(runners, options.rounds)
    ours = results["times"]["compiled"]
    results["atom_edges"], results["probe_edges"] = len(data.atoms.senders), len(data.probes.senders)
    results["options"] = {k: v for k, v in vars(options).items() if k != "out"}
    for name, found in results["times"].items():
        wall, cpu = found["seconds"], found["cpu_seconds"]
        ratios = f"{wall / ours['seconds']:.1f} x, CPU {cpu / ours['cpu_seconds']:.1f} x"
        print(f"{name:10} {wall * 1e3:10.1f} ms, CPU {cpu * 1e3:10.1f} ms, {ratios}")
    print(f"memory {results['added_mb']:.0f} MB, " + ", ".join(f"{k} {v:.1e}" for k, v in results["accuracy"].items()))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({**machine(), **results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
