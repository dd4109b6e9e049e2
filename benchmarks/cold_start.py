"""The whole command from a cold start: ``charge3net predict POSCAR --shape 60 60 60 -o CHGCAR``.

Protocol: ChargE3Net L = 4, mul = 500 with seeded random weights; for each crystal a new Python process, imports and
writing included, ``--rounds`` times; medians of the clock, of the processor time (all threads), and the largest memory.
Processor time is what a quiet machine would take on one core. The parts are those of ``--profile``, by the clock.
With ``--large`` also, once, a BaVS3 supercell of 10 000 atoms, displaced by 0.02 Å (normal distribution) and in random
order, on a grid of 0.2 Å. Time and memory against the number of atoms: ``charge3net study scaling``.

    python -m benchmarks.cold_start [--rounds 3] [--threads 2] [--large] [--out results/cold_start.json] [--smoke]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import ROOT, circumstances, write_result
from benchmarks.structures import structures
from charge3net.checkpoints import ModelCard, save_model
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.models.charge3net import ChargE3Net

#: Repetitions along each vector of the large supercell, and the displacement of its atoms in Å.
LARGE, DISPLACED = 10, 0.02

CRYSTALS = ("NaCl", "BaVS3", "LiCoO2", "TiO2", "SrTiO3")

_PART = re.compile(r"^  (.+?) +([\d.]+) s +[\d.]+ %$", re.MULTILINE)


def full_size_model(folder: Path) -> Path:
    """A checkpoint folder with the model that the benchmarks predict with."""
    torch.manual_seed(0)
    model = ChargE3Net()
    save_model(folder / "model", model, ModelCard.of(model))
    return folder / "model"


def predict(arguments: list[str]) -> dict[str, Any]:
    """Run the command in a new process: seconds by the clock, of the processor, per part; MB."""
    command = [sys.executable, "-m", "charge3net.cli.main", "predict", *arguments, "--overwrite", "--profile", "-q"]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{said}")
    return {
        "wall": time.perf_counter() - start,
        "processor": usage.ru_utime + usage.ru_stime,
        "memory_mb": usage.ru_maxrss / 1024,
        "parts": {name: float(seconds) for name, seconds in _PART.findall(said)},
    }


def supercell(unit: Geometry, repeats: int) -> Geometry:
    """A crystal repeated along its three vectors, displaced and in random order; the same at every call."""
    rng = np.random.default_rng(0)
    whole = Geometry.of(unit.to_structure() * (repeats, repeats, repeats))
    order = rng.permutation(len(whole))
    positions = whole.positions + rng.normal(scale=DISPLACED, size=whole.positions.shape)
    return Geometry(whole.numbers[order], positions[order], whole.cell, whole.pbc)


def predict_large(model: Path, folder: Path, repeats: int = LARGE, spacing: str = "0.2") -> dict[str, Any]:
    """The command for a large supercell: atoms, points, size of the file, and what :func:`predict` measures."""
    poscar, chgcar = folder / "POSCAR", folder / "CHGCAR"
    structure = supercell(structures()["BaVS3"], repeats).to_structure().sort()
    structure.to(str(poscar), fmt="poscar")
    run = predict([str(poscar), "--model", str(model), "-o", str(chgcar), "--spacing", spacing])
    points = len(Grid.from_spacing(structure.lattice.matrix, float(spacing)))
    return {"atoms": len(structure), "points": points, "megabytes": chgcar.stat().st_size / 1e6, **run}


def main() -> None:
    """Run, print, and write the result if asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--large", action="store_true", help="also 10 000 atoms")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--smoke", action="store_true", help="one crystal, once, on a small grid")
    args = parser.parse_args()
    shape = ["--shape", *(["12"] * 3 if args.smoke else ["60"] * 3)]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in (CRYSTALS[:1] if args.smoke else CRYSTALS)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = full_size_model(folder)
        for name in runs:
            structures()[name].to_structure().sort().to(str(folder / f"POSCAR.{name}"), fmt="poscar")
        for _ in range(1 if args.smoke else args.rounds):
            for name in runs:
                files = [str(folder / f"POSCAR.{name}"), "--model", str(model), "-o", str(folder / f"CHGCAR.{name}")]
                runs[name].append(predict([*files, *shape, "--threads", str(args.threads)]))
        large = predict_large(model, folder) if args.large else None
    medians = {
        name: {key: statistics.median(run[key] for run in of_one) for key in ("wall", "processor", "memory_mb")}
        for name, of_one in runs.items()
    }
    for name, median in medians.items():
        print(f"{name:<8}" + "".join(f"{key} {value:8.2f}   " for key, value in median.items()))
    protocol = {"rounds": args.rounds, "threads": args.threads, "shape": shape[1:]}
    facts = {"protocol": protocol, "machine": circumstances(["torch", "e3nn", "numpy"])}
    if args.out is not None:
        write_result(args.out, facts | {"medians": medians, "runs": runs, "large": large})


if __name__ == "__main__":
    main()
