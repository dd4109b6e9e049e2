"""Forward and backward pass of one training step: compiled, plain torch and, on request, as published.

Protocol: ChargE3Net with seeded random weights (mixing angles ten times as large, else they hardly matter), L1 loss
against random targets; BaVS3, NaCl, TiO2 and LiCoO2 with ``--probes`` random points each, atoms moved by 0.02 Å (else
gradients vanish by symmetry): once over, and four times over. One process, ``--threads``; the ways alternate,
``--rounds`` times; medians of the clock and of processor time. Before the race: the most memory a compiled step holds
over that after the imports (weights, batch and gradients included), and, for one batch, loss and every gradient tensor
against float64.

``--published`` adds the literal model (benchmarks/literal.py) with the same weights to the race on the smaller batch: a
step takes 50 s and 6 GB. Its float64 gradients, formed structure by structure, cut to what ours has by the importer of
released weights, are then what ours are compared with; without it, those of our torch path in float64 are.

    python -m benchmarks.training_step [--published] [--rounds 5] [--threads 1] [--out results/training_step.json]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.literal import LiteralChargE3Net
from benchmarks.read_grid import amplified, imported
from benchmarks.record import circumstances, held_mb, peak_mb, write_result
from benchmarks.structures import structures
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.collate import collate
from charge3net.graph.types import DensityBatch
from charge3net.kernels import status, torch_only
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import ChargE3Net

CUTOFF = 4.0
CRYSTALS = ("BaVS3", "NaCl", "TiO2", "LiCoO2")

#: How many times the crystals are in a batch.
REPEATS = (1, 4)


class Gradients(NamedTuple):
    """Of the loss, by our names of the parameters."""

    loss: float
    of: dict[str, Tensor]


def parts(probes: int, repeat: int) -> list[DensityBatch]:
    """Random points in every crystal, random targets."""
    rng, found = np.random.default_rng(0), []
    for name in CRYSTALS * repeat:
        ideal = structures()[name]
        moved = ideal.positions + rng.normal(scale=0.02, size=ideal.positions.shape)
        geometry = Geometry(ideal.numbers, moved, ideal.cell, ideal.pbc)
        points = rng.uniform(size=(probes, 3)) @ geometry.cell
        target = torch.from_numpy(rng.exponential(0.3, size=(probes, 1)).astype(np.float32))
        graphs = build_atom_graph(geometry, CUTOFF), build_probe_graph(geometry, points, CUTOFF)
        found.append(DensityBatch(*graphs, target, (name,)))
    return found


def step(model: nn.Module, answer: Callable[[], Tensor], target: Tensor, weight: float = 1.0) -> float:
    """Adds ``weight`` times the gradients of the loss to those of the parameters; the loss times that."""
    loss = weight * (answer() - target).abs().mean()
    loss.backward()
    return loss.item()


def gradients(model: DensityModel, answer: Callable[[], Tensor], target: Tensor) -> Gradients:
    """Of one step."""
    model.zero_grad()
    loss = step(model, answer, target)
    return Gradients(loss, {name: p.grad for name, p in model.named_parameters() if p.grad is not None})


def exact_gradients(model: DensityModel, data: DensityBatch) -> Gradients:
    """Those of our torch path in float64."""
    exact = copy.deepcopy(model).double()
    return gradients(exact, lambda: exact(data), data.target)


def published_gradients(literal: LiteralChargE3Net, each: list[DensityBatch]) -> Gradients:
    """Those of the literal model in float64, where ours has a parameter.

    The importer of released weights only picks and reshapes numbers, so it does the same to gradients.
    """
    exact = copy.deepcopy(literal).double()
    losses = [step(exact, lambda one=one: exact(one.atoms, one.probes), one.target, 1 / len(each)) for one in each]
    with torch.no_grad():
        for parameter in exact.parameters():
            parameter.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
    return Gradients(sum(losses), {name: p.detach() for name, p in imported(exact).named_parameters()})


def accuracy(model: DensityModel, data: DensityBatch, exact: Gradients) -> dict[str, float | str]:
    """Relative difference of the loss, and of the gradient tensor that is worst, both ways."""
    scale = max(float(gradient.abs().max()) for gradient in exact.of.values())
    found: dict[str, float | str] = {"tensors": len(exact.of)}
    for way, run in (("compiled", lambda: model(data)), ("torch", lambda: _torch(model, data))):
        ours = gradients(model, run, data.target)
        errors = {
            name: float((ours.of[name] - gradient).abs().max() / gradient.abs().max())
            for name, gradient in exact.of.items()
            if gradient.abs().max() > 1e-9 * scale  # below, they vanish
        }
        worst = max(errors, key=errors.__getitem__)
        found |= {
            f"{way} loss": abs(ours.loss / exact.loss - 1.0),
            f"{way} gradient": errors[worst],
            f"{way} at": worst,
        }
    return found


def _torch(model: DensityModel, data: DensityBatch) -> Tensor:
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


def measure(
    model: DensityModel, literal: LiteralChargE3Net | None, each: list[DensityBatch], memory_mb: float, rounds: int
) -> dict[str, Any]:
    """Accuracy and times of one batch."""
    data = collate(each)
    exact = published_gradients(literal, each) if literal is not None else exact_gradients(model, data)
    runners: dict[str, Callable[[], Any]] = {
        "compiled": lambda: gradients(model, lambda: model(data), data.target),
        "torch": lambda: gradients(model, lambda: _torch(model, data), data.target),
    }
    if literal is not None:
        literal.zero_grad()
        runners["published"] = lambda: step(literal, lambda: literal(data.atoms, data.probes), data.target)
    return {
        "memory_mb": memory_mb,
        "atom_edges": len(data.atoms.senders),
        "probe_edges": len(data.probes.senders),
        "against": "published, float64" if literal is not None else "torch, float64",
        "accuracy": accuracy(model, data, exact),
        "times": race(runners, rounds),
    }


def report(name: str, found: dict[str, Any]) -> None:
    """Print the numbers of one batch."""
    ours = found["times"]["compiled"]
    for way, one in found["times"].items():
        wall, cpu = one["seconds"], one["cpu_seconds"]
        ratios = f"{wall / ours['seconds']:.1f} x, CPU {cpu / ours['cpu_seconds']:.1f} x"
        print(f"{name:9} {way:10} {wall * 1e3:10.1f} ms, CPU {cpu * 1e3:10.1f} ms, {ratios}")
    errors = ", ".join(f"{k} {v:.1e}" if isinstance(v, float) else f"{k} {v}" for k, v in found["accuracy"].items())
    print(f"{name:9} +{found['memory_mb']:.0f} MB over the imports; against {found['against']}: {errors}", flush=True)


def main() -> None:
    """Run the race and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmax", type=int, default=4)
    parser.add_argument("--mul", type=int, default=500)
    parser.add_argument("--probes", type=int, default=200, help="points per structure")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions, of which the median is taken")
    parser.add_argument("--published", action="store_true", help="the literal model too: 50 s and 6 GB per round")
    parser.add_argument("--smoke", action="store_true", help="a small network and few points, once: does it run?")
    parser.add_argument("--out", type=Path, help="file for the numbers as JSON")
    options = parser.parse_args()
    if options.smoke:
        options.lmax, options.mul, options.probes, options.rounds = 1, 24, 5, 1
    torch.set_num_threads(options.threads)
    before, literal = held_mb(), None
    model, memory, results = amplified(ChargE3Net(options.lmax, options.mul)), {}, {}
    for repeat in REPEATS:
        memory[repeat] = peak_mb(lambda repeat=repeat: _two_steps(model, options.probes, repeat)) - before
    if options.published:
        torch.manual_seed(0)
        literal = amplified(LiteralChargE3Net(options.lmax, options.mul))
        model = imported(literal)
    for repeat in REPEATS:
        name, each = f"{len(CRYSTALS) * repeat} × {options.probes}", parts(options.probes, repeat)
        theirs = literal if repeat == REPEATS[0] else None
        results[name] = measure(model, theirs, each, memory[repeat], options.rounds)
        report(name, results[name])
    if options.out:
        protocol = {
            name: getattr(options, name) for name in ("lmax", "mul", "probes", "threads", "rounds", "published")
        }
        facts = {"protocol": protocol, "machine": circumstances(("torch", "e3nn")), "kernels": status()}
        write_result(options.out, {**facts, "batches": results})


def _two_steps(model: DensityModel, probes: int, repeat: int) -> None:
    data = collate(parts(probes, repeat))
    for _ in range(2):
        gradients(model, lambda: model(data), data.target)


if __name__ == "__main__":
    main()
