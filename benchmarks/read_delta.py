"""Models on fitted atoms beside ChargE3Net of the same size: points per second on a grid and the encoding, one thread.

Fresh weights, GPAW's isolated atoms, a grid of 60³ voxels. The two of a size alternate, ``--rounds`` times; medians of
the processor time of the process. ``ratio`` is the time per point over that of ChargE3Net.

    python -m benchmarks.read_delta [--rounds 5] [--out FILE]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import ROOT, circumstances, write_result
from benchmarks.structures import structures
from charge3net.atoms.fit import fit_atoms
from charge3net.atoms.isolated import read_isolated_atoms
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.grid import Grid
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import ChargE3Net
from charge3net.models.delta import DeltaChargE3Net
from charge3net.predict.backends.cpu import CpuBackend, open_backend

SIZES = (120, 500)
SHAPE = (60, 60, 60)


def models(mul: int) -> dict[str, DensityModel]:
    """ChargE3Net and Δ-ChargE3Net of one size."""
    torch.manual_seed(0)
    table = read_isolated_atoms(ROOT / "data_prep" / "isolated_atoms" / "gpaw_pbe.npz")
    elements = sorted(table.valence)
    delta = DeltaChargE3Net(
        elements, [table.valence[z] for z in elements], [table.potentials[z] for z in elements], mul=mul
    )
    start = {z: table.at_nodes(z, delta.cutoff) for z in elements}
    delta.atoms.fill(fit_atoms([], start, table.valence, delta.cutoff))
    torch.nn.init.normal_(delta.head.layers[-1].weight, std=0.1)
    return {"charge3net": ChargE3Net(mul=mul), "charge3net_delta": delta}


def measure(model: DensityModel, geometry: Geometry, grid: Grid) -> tuple[float, float]:
    """Seconds of encoding and of reading the grid."""
    start = time.process_time()
    with torch.no_grad():
        state = model.encode_atoms(build_atom_graph(geometry, model.cutoff))
    encoded = time.process_time()
    backend = open_backend(model, state, geometry)
    if not isinstance(backend, CpuBackend):
        raise SystemExit(f"not compiled: {backend}")
    out = np.empty((backend.rows, len(grid)), dtype=np.float32)
    begin = time.process_time()
    backend.grid(grid, out)
    return encoded - start, time.process_time() - begin


def run(rounds: int) -> list[dict[str, Any]]:
    """A row for each structure and size."""
    rows = []
    for mul in SIZES:
        both = models(mul)
        for name, geometry in structures().items():
            grid = Grid(geometry.cell, SHAPE)
            for model in both.values():
                measure(model, geometry, grid)  # tables are made once per set of weights
            times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in both}
            for _ in range(rounds):
                for kind, model in both.items():
                    times[kind].append(measure(model, geometry, grid))
            row: dict[str, Any] = {"structure": name, "mul": mul}
            for kind, found in times.items():
                encoding, reading = (statistics.median(part) for part in zip(*found, strict=True))
                row[kind] = {"encoding_ms": round(1e3 * encoding, 2), "points_per_second": round(len(grid) / reading)}
            row["ratio"] = round(
                row["charge3net"]["points_per_second"] / row["charge3net_delta"]["points_per_second"], 3
            )
            print(row, flush=True)
            rows.append(row)
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "read_delta.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    write_result(options.out, {"rows": run(options.rounds), "where": circumstances(["charge3net", "torch", "numpy"])})


if __name__ == "__main__":
    main()
