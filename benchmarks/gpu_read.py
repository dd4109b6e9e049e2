"""Points per second of reading grids with ChargE3Net on a GPU: the Triton kernels beside torch on the same GPU.

For each model (mul = 500, random weights) and structure both read a whole grid from encoded atoms into memory of the
host, by turns; medians by the clock. Errors are those of random voxels against torch in float64 on the CPU, relative to
the largest density. The first use is timed by itself: it compiles the kernels (unless Triton's cache on disk has them),
packs the weights and compares both ways.

    python -m benchmarks.gpu_read [--cases L4 L3 …] [--rounds 7] [--side 192] [--out FILE]

Without a GPU that torch can use it says so and ends with exit status 2.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from benchmarks.read_grid import amplified
from benchmarks.record import circumstances, write_result
from benchmarks.structures import structures
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.grid import Grid
from charge3net.kernels import torch_only
from charge3net.models.charge3net import ChargE3Net
from charge3net.predict.backends.gpu import open_backend, status
from charge3net.predict.encoded import EncodedStructure
from charge3net.predict.predictor import EDGES_ON_GPU
from charge3net.progress import Clock

CASES = {f"L{lmax}": lmax for lmax in (4, 3, 2, 1, 0)}


@dataclass(frozen=True)
class Protocol:
    """What is measured; part of the result."""

    rounds: int = 7
    side: int = 192
    torch_side: int = 48
    points: int = 500
    mul: int = 500
    seed: int = 0


class Contest:
    """One model and one structure, read both ways.

    Raises:
        RuntimeError: if the kernels refuse.
    """

    def __init__(self, model: ChargE3Net, geometry: Geometry, protocol: Protocol) -> None:
        self.model, self.geometry, self.protocol = model, geometry, protocol
        self.atoms = build_atom_graph(geometry, model.cutoff)
        self.grid = Grid(geometry.cell, (protocol.side,) * 3)
        self.small = Grid(geometry.cell, (protocol.torch_side,) * 3)
        with torch_only():
            self.torch = EncodedStructure(model, geometry, self.atoms, EDGES_ON_GPU, Clock())
        begin = time.perf_counter()
        found = open_backend(model, self.torch.state, self.torch.geometry)
        if isinstance(found, str):
            raise RuntimeError(found)
        self.triton = found
        self.first_use = time.perf_counter() - begin

    def read_triton(self) -> ndarray:
        """The whole grid."""
        out = np.empty((self.model.channels, len(self.grid)), dtype=np.float32)
        self.triton.grid(self.grid, out)
        return out

    def read_torch(self) -> ndarray:
        """A coarser grid: the torch path takes long."""
        out = np.empty((self.model.channels, *self.small.shape), dtype=np.float32)
        with torch_only():
            self.torch.density_on(out, self.small, None, lambda done, total: None)
        return out

    def errors(self) -> dict[str, float]:
        """Of both, at random voxels of the coarser grid, against float64."""
        n = min(self.protocol.points, len(self.small))
        index = np.sort(np.random.default_rng(self.protocol.seed).choice(len(self.small), n, replace=False))
        exact = copy.deepcopy(self.model).cpu().double()
        probes = build_probe_graph(self.geometry, self.small.points(index), self.model.cutoff)
        with torch.no_grad(), torch_only():
            density = exact.density_at(exact.encode_atoms(self.atoms), probes).numpy().T
        ours = np.empty((self.model.channels, n), dtype=np.float32)
        self.triton.grid(self.small, ours, index)
        theirs = self.read_torch().reshape(self.model.channels, -1)[:, index]
        scale = np.abs(density).max()
        found = {"triton": ours, "torch": theirs}
        return {name: float(np.abs(values - density).max() / scale) for name, values in found.items()}

    def run(self) -> dict[str, Any]:
        """Rates in points per second, memory of the device in MB."""
        errors = self.errors()
        edges = len(build_probe_graph(self.geometry, self.small.points(), self.model.cutoff).senders)
        self.read_triton()
        times: dict[str, list[float]] = {"triton": [], "torch": []}
        for _ in range(self.protocol.rounds):
            times["triton"].append(_seconds(self.read_triton))
            times["torch"].append(_seconds(self.read_torch))
        sizes = {"triton": len(self.grid), "torch": len(self.small)}
        rates = {name: sizes[name] / statistics.median(found) for name, found in times.items()}
        return {
            "points_per_second": rates,
            "ratio": rates["triton"] / rates["torch"],
            "edges_per_point": edges / len(self.small),
            "errors": errors,
            "first_use_seconds": self.first_use,
            "seconds": times,
            "added_mb": self._added_memory(),
        }

    def _added_memory(self) -> float:
        """Largest memory of the device during a read by the kernels minus that before."""
        if self.model.device.type != "cuda":
            return float("nan")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        self.read_triton()
        return float(torch.cuda.max_memory_allocated() - before) / 2**20


def _seconds(work: Callable[[], Any]) -> float:
    """By the clock; the numbers are in memory of the host when it ends, so nothing is left running."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> int:
    """0, or 2 where there is no GPU or the kernels cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=Protocol.rounds)
    parser.add_argument("--side", type=int, default=Protocol.side, help="voxels along each axis of the grid")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu_read.json")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("benchmarks.gpu_read: error: torch finds no GPU here; run it where there is one", file=sys.stderr)
        return 2
    if reason := status()["reason"]:
        print(f"benchmarks.gpu_read: error: the GPU kernels cannot be used: {reason}", file=sys.stderr)
        return 2
    protocol = Protocol(rounds=args.rounds, side=args.side)
    results: dict[str, dict[str, Any]] = {}
    for case in args.cases:
        torch.manual_seed(protocol.seed)
        model = amplified(ChargE3Net(CASES[case], protocol.mul)).to("cuda").eval()
        for name, geometry in structures().items():
            try:
                one = results.setdefault(case, {})[name] = Contest(model, geometry, protocol).run()
            except RuntimeError as problem:
                print(f"benchmarks.gpu_read: error: {case} {name}: {problem}", file=sys.stderr)
                return 2
            rates, errors = one["points_per_second"], one["errors"]
            print(
                f"{case} {name:8} torch {rates['torch']:10.0f}  triton {rates['triton']:11.0f} points/s  "
                f"{one['ratio']:6.1f}×  errors {errors['torch']:.1e} {errors['triton']:.1e}  +{one['added_mb']:.0f} MB",
                flush=True,
            )
    facts = circumstances(("torch", "triton", "e3nn", "numpy")) | {"gpu": torch.cuda.get_device_name()}
    write_result(args.out, {"protocol": asdict(protocol), "machine": facts, "cases": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
