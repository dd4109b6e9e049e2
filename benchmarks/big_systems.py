"""Time and memory against the number of atoms: BaVS3 supercells, atoms displaced by 0.02 Å, no symmetry used.

Protocol: ChargE3Net L = 4, mul = 500, seeded random weights, one thread; per size a new process, which encodes the
atoms and reads a grid with ``--spacing`` (the same number of points per atom for all sizes); processor times; memory is
the largest above that after imports and model. The exponent is the slope of log time over log atoms, from 640 atoms on.
With ``--full`` also the command itself: 10 000 atoms, a grid of 0.2 Å, written as CHGCAR, all threads.

    python -m benchmarks.big_systems [--sizes 10 80 640 2160 10000 21970 49130] [--spacing 0.8] [--full] [--out …]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.cold_start import full_size_model, predict
from benchmarks.record import ROOT, circumstances, write_result
from benchmarks.structures import structures
from charge3net.checkpoints import load_model
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.grid import Grid
from charge3net.predict.encoded import EncodedStructure
from charge3net.predict.progress import Clock
from charge3net.studies.scaling.measure import peak_megabytes, reset_peak_megabytes
from charge3net.studies.scaling.measure import supercell as displaced_supercell

SIZES = (10, 80, 640, 2160, 10_000, 21_970, 49_130)

#: Atoms from which on the time per atom is looked at: below, what is done once per model counts.
LARGE = 640


def supercell(atoms: int) -> Geometry:
    """About so many atoms of BaVS3, in no order that helps."""
    unit = structures()["BaVS3"]
    k = round((atoms / len(unit)) ** (1 / 3))
    return displaced_supercell(unit, (k, k, k))


def measure(model_folder: Path, atoms: int, spacing: float) -> dict[str, Any]:
    """In this process: seconds of processor time and MB."""
    torch.set_num_threads(1)
    geometry, (model, _) = supercell(atoms), load_model(model_folder)
    grid = Grid.from_spacing(geometry.cell, spacing)
    values = np.zeros((1, *grid.shape), dtype=np.float32)
    before = reset_peak_megabytes()
    start = time.process_time()
    graph = build_atom_graph(geometry, model.cutoff)
    searched = time.process_time()
    encoded = EncodedStructure(model, geometry, graph, 1 << 15, Clock())
    encoded = time.process_time()
    encoded.density_on(values, grid, None, lambda done, total: None)
    read = time.process_time()
    return {
        "atoms": len(geometry),
        "points": len(grid),
        "backend": encoded.backend,
        "seconds": {"neighbours": searched - start, "atoms": encoded - searched, "reading": read - encoded},
        "points_per_second": len(grid) / (read - encoded),
        "added_mb": peak_megabytes() - before,
        "state_mb": sum(layer.numel() * layer.element_size() for layer in encoded.state.layers) / 2**20,
    }


def exponent(results: list[dict[str, Any]]) -> float:
    """Slope of log(time) over log(atoms) for the large sizes."""
    large = [one for one in results if one["atoms"] >= LARGE] or results
    if len(large) < 2:
        return float("nan")
    seconds = [sum(one["seconds"].values()) for one in large]
    return float(np.polyfit(np.log([one["atoms"] for one in large]), np.log(seconds), 1)[0])


def _in_new_process(model: Path, atoms: int, spacing: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.big_systems", "--one", str(model), str(atoms), str(spacing)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _whole_command(model: Path, folder: Path) -> dict[str, Any]:
    structure = supercell(10_000).to_structure().sort()
    structure.to(str(folder / "POSCAR"), fmt="poscar")
    run = predict([str(folder / "POSCAR"), "--model", str(model), "-o", str(folder / "CHGCAR"), "--spacing", "0.2"])
    grid = Grid.from_spacing(structure.lattice.matrix, 0.2)
    return {"atoms": len(structure), "points": len(grid), "megabytes": (folder / "CHGCAR").stat().st_size / 1e6, **run}


def main() -> None:
    """Run, print, and write the result if asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--spacing", type=float, default=0.8)
    parser.add_argument("--full", action="store_true", help="also 10 000 atoms from POSCAR to CHGCAR")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--smoke", action="store_true", help="two small sizes")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "ATOMS", "SPACING"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(Path(args.one[0]), int(args.one[1]), float(args.one[2]))))
        return
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        model = full_size_model(Path(scratch))
        for atoms in (10, 80) if args.smoke else args.sizes:
            results.append(_in_new_process(model, atoms, args.spacing))
            print(json.dumps(results[-1]), flush=True)
        whole = _whole_command(model, Path(scratch)) if args.full else None
    print(f"exponent {exponent(results):.3f}")
    protocol = {"sizes": list(args.sizes), "spacing": args.spacing, "threads": 1}
    result = {"protocol": protocol, "machine": circumstances(["torch", "e3nn", "numpy"]), "exponent": exponent(results)}
    if args.out is not None:
        write_result(args.out, {**result, "results": results, "whole_command": whole})


if __name__ == "__main__":
    main()
