"""Reading a density on a grid: the package beside the published implementation (benchmarks/literal.py), one thread.

Protocol, per structure: the published implementation reads ``--points`` random voxels of a 60³ grid in batches of the
size that it is fastest with, its atoms encoded before; the package reads the whole grid, encoding included. Both have
the same seeded random weights, with the mixing angles made ten times as large: else they hardly matter. They alternate,
``--rounds`` times; medians of the processor time of the process. The error is that against the published implementation
in float64 with the same weights, relative to the largest density. Then the package's time by the clock with one and two
threads, and the memory it adds beyond its output. ``--clock-only`` measures the times by the clock alone, which need a
machine without other work, and writes them beside the other results of the file.

    python -m benchmarks.read_grid [--rounds 5] [--points 200] [--cases L4 L3 …] [--clock-only] [--out FILE] [--smoke]
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy import ndarray

from benchmarks.literal import LiteralChargE3Net
from benchmarks.literal_deepdft import LiteralPaiNN, LiteralSchNet
from benchmarks.record import circumstances, held_mb, peak_mb, write_result
from benchmarks.structures import structures
from charge3net.checkpoints import load_published
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.grid import Grid
from charge3net.models.base import DensityModel
from charge3net.predict.encoded import EncodedStructure
from charge3net.progress import Clock

Literal = LiteralChargE3Net | LiteralPaiNN | LiteralSchNet

Model = TypeVar("Model", bound=torch.nn.Module)

CUTOFF = 4.0
EDGES_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Protocol:
    """What is measured; part of the result."""

    rounds: int = 5
    points: int = 200
    grid: tuple[int, int, int] = (60, 60, 60)
    batches: tuple[int, ...] = (25, 50, 100, 200)
    seed: int = 0


#: Name → (published implementation, structures it reads).
CASES: dict[str, tuple[Callable[[], Literal], tuple[str, ...] | None]] = {
    "L4": (lambda: LiteralChargE3Net(4, 500), None),
    "L3": (lambda: LiteralChargE3Net(3, 500), ("BaVS3",)),
    "L2": (lambda: LiteralChargE3Net(2, 500), ("BaVS3",)),
    "L1": (lambda: LiteralChargE3Net(1, 500), ("BaVS3",)),
    "L0": (lambda: LiteralChargE3Net(0, 500), ("BaVS3",)),
    "PaiNN": (LiteralPaiNN, None),
    "SchNet": (LiteralSchNet, None),
}


def published(case: str, seed: int) -> Literal:
    """The published implementation with seeded weights."""
    torch.manual_seed(seed)
    return amplified(CASES[case][0]())


def amplified(model: Model) -> Model:
    """ChargE3Net with its mixing angles ten times as large: with those it starts from they hardly matter."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("lin3.weight") or "angle_mix" in name:
                weight.mul_(10.0)
    return model


def imported(literal: Literal) -> DensityModel:
    """The package's model with the same weights, through the importer of released files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        torch.save(literal.state_dict(), path)
        return load_published(path).eval()


class Contest:
    """One model and one structure, read by both."""

    def __init__(self, literal: Literal, model: DensityModel, geometry: Geometry, protocol: Protocol) -> None:
        self.literal, self.model, self.geometry, self.protocol = literal, model, geometry, protocol
        self.grid = Grid(geometry.cell, protocol.grid)
        self.atoms = build_atom_graph(geometry, CUTOFF)
        chosen = np.random.default_rng(protocol.seed).choice(len(self.grid), protocol.points, replace=False)
        self.index = np.sort(chosen)
        self.layers = literal.encode(self.atoms)
        self.backend = ""
        self.values = np.empty((1, *protocol.grid), dtype=np.float32)

    def read_literal(self, batch: int) -> ndarray:
        """The chosen voxels, neighbour search included."""
        parts = []
        for start in range(0, len(self.index), batch):
            points = self.grid.points(self.index[start : start + batch])
            probes = build_probe_graph(self.geometry, points, CUTOFF)
            parts.append(self.literal.read(self.layers, self.atoms, probes))
        return torch.cat(parts).numpy()[:, 0]

    def read(self) -> None:
        """The whole grid, into ``values``."""
        encoded = EncodedStructure(self.model, self.geometry, self.atoms, EDGES_AT_ONCE, Clock())
        encoded.density_on(self.values, self.grid, None, lambda done, total: None)
        self.backend = encoded.backend.description

    def error(self) -> dict[str, float]:
        """Of both, against the published implementation in float64."""
        literal = copy.deepcopy(self.literal).double()
        probes = build_probe_graph(self.geometry, self.grid.points(self.index), CUTOFF)
        exact = literal.read(literal.encode(self.atoms), self.atoms, probes).numpy()[:, 0]
        scale = np.abs(exact).max()
        ours, theirs = self.values.ravel()[self.index], self.read_literal(self.protocol.batches[0])
        return {
            "error": float(np.abs(ours - exact).max() / scale),
            "published_error": float(np.abs(theirs - exact).max() / scale),
        }

    def run(self) -> dict[str, Any]:
        """Times in seconds, rates in points per second."""
        batches = [b for b in self.protocol.batches if b <= self.protocol.points]
        best = min(batches, key=lambda batch: _processor_time(lambda: self.read_literal(batch)))
        self.read()
        times: dict[str, list[float]] = {"published": [], "package": []}
        for _ in range(self.protocol.rounds):
            times["published"].append(_processor_time(lambda: self.read_literal(best)))
            times["package"].append(_processor_time(self.read))
        rates = {
            "published": self.protocol.points / statistics.median(times["published"]),
            "package": len(self.grid) / statistics.median(times["package"]),
        }
        return {
            "backend": self.backend,
            "points_per_second": rates,
            "ratio": rates["package"] / rates["published"],
            "published_batch": best,
            "seconds": times,
            **self.error(),
            "added_mb": self.added_memory(),
            "wall_seconds": self.wall_times(),
        }

    def added_memory(self) -> float:
        """Largest memory during a read minus that before, MB; the output is there already."""
        before = held_mb()
        return peak_mb(self.read) - before

    def wall_times(self) -> dict[str, float]:
        """Best of the rounds with one and with two threads, by the clock."""
        self.read()
        found = {"1": float("inf"), "2": float("inf")}
        for _ in range(self.protocol.rounds):
            for threads in found:
                torch.set_num_threads(int(threads))
                start = time.perf_counter()
                self.read()
                found[threads] = min(found[threads], time.perf_counter() - start)
        torch.set_num_threads(1)
        return found


def _processor_time(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=Protocol.rounds)
    parser.add_argument("--points", type=int, default=Protocol.points)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--clock-only", action="store_true", help="one and two threads by the clock, nothing else")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "read_grid.json")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes; writes nothing")
    args = parser.parse_args()
    protocol = Protocol(args.rounds, args.points)
    if args.smoke:
        protocol, args.cases = Protocol(1, 10, (8, 8, 8), (5, 10)), ["L1", "PaiNN"]
    torch.set_num_threads(1)
    results: dict[str, dict[str, Any]] = {}
    with torch.no_grad():
        for case in args.cases:
            literal = published(case, protocol.seed)
            model = imported(literal)
            for name, geometry in structures().items():
                if name not in (CASES[case][1] or structures()):
                    continue
                contest = Contest(literal, model, geometry, protocol)
                one = {"wall_seconds": contest.wall_times()} if args.clock_only else contest.run()
                results.setdefault(case, {})[name] = one
                print(f"{case:6} {name:8} {_in_words(one)}", flush=True)
    if args.smoke:
        return
    result = {"protocol": asdict(protocol), "machine": circumstances(("torch", "e3nn", "numpy")), "cases": results}
    if args.clock_only:
        result = {**json.loads(args.out.read_text(encoding="utf-8")), "clock": result}
    write_result(args.out, result)


def _in_words(one: dict[str, Any]) -> str:
    wall = one["wall_seconds"]
    clock = f"{wall['1']:.3f} s → {wall['2']:.3f} s"
    if "ratio" not in one:
        return f"{clock}  {wall['1'] / wall['2']:.2f}×"
    rates = one["points_per_second"]
    return (
        f"{rates['published']:8.0f} → {rates['package']:9.0f} points/s  {one['ratio']:7.1f}×  "
        f"error {one['error']:.1e} (published {one['published_error']:.1e})  +{one['added_mb']:.0f} MB  "
        f"{clock}  {one['backend']}"
    )


if __name__ == "__main__":
    main()
