"""Does pw.x start from a density written by the package as it should? Checked against pw.x itself.

For every cell of :mod:`benchmarks.restart_cells`: pw.x runs to conv_thr 1e-13; the package reads the density from its
save folder onto the FFT grid and writes a charge-density file of its own from it, with list and order of the plane
waves from the input alone; pw.x runs again from that file to conv_thr 1e-8. It must say that the density was read, and
be done after one step, with the same energy. PAW occupations (paw.txt), which are no part of the density, are those of
the first run; further runs count the steps to 1e-8 of pw.x's own start, and with occupations of neutral atoms beside
the exact density (mixing_ndim = 2, since the longer memory of the mixing stalls with them).

    python -m benchmarks.restart_qe [--cells NAME …] [--out FILE]
    make restart-qe

Needs pw.x (Debian: quantum-espresso, quantum-espresso-data) and CP2K's list of GTH potentials (Debian: cp2k-data).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import circumstances, write_result
from benchmarks.restart_cells import Cell, cells
from charge3net.io.qe.charge_density import read_charge_density
from charge3net.io.qe.paw import format_paw, read_paw
from charge3net.io.qe.pw_input import read_pw_input
from charge3net.io.qe.save_folder import read_save_folder
from charge3net.io.qe.start import read_potentials, write_start
from data_prep.quantum_espresso.gth import POTENTIALS, choose, file_name, format_abinit, read_gth

#: Where Debian's quantum-espresso-data puts pseudopotentials.
PSEUDO = Path("/usr/share/espresso/pseudo")
RESULT = Path(__file__).parent / "results" / "restart_qe.json"
FROM_FILE = "The initial density is read from file"


def run_pw(folder: Path, text: str) -> str:
    """The output of pw.x for this input, on one core."""
    (folder / "x.in").write_text(text, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["pw.x", "-in", "x.in"], cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout


def outcome(output: str) -> dict[str, Any]:
    """Steps, energy in Ry, and whether the density came from the file."""
    steps = re.search(r"convergence has been achieved in\s+(\d+) iterations", output)
    energy = re.findall(r"^!\s+total energy\s+=\s+(\S+) Ry", output, re.MULTILINE)
    return {
        "steps": int(steps[1]) if steps else None,
        "energy": float(energy[-1]) if energy else None,
        "from_file": FROM_FILE in output,
    }


def check(cell: Cell, folder: Path, pseudo: Path) -> dict[str, Any]:
    """Run, write, run again; what was found."""
    first = outcome(run_pw(folder, cell.text(str(pseudo))))
    if first["steps"] is None:
        return {"problem": "the first run did not converge"}
    save, kept = folder / "out" / "x.save", folder / "first.save"
    shutil.move(save, kept)
    pw_input = read_pw_input(folder / "x.in")
    waves, own = pw_input.plane_waves(), read_charge_density(kept / "charge-density.dat")
    same_order = waves.miller.shape == own.miller.shape and bool((waves.miller == own.miller).all())
    density = read_save_folder(kept)
    start = write_start(save, pw_input, read_potentials(pw_input), density)
    written = read_charge_density(save / "charge-density.dat")
    difference = float(np.abs(written.values - own.values).max()) if same_order else None
    steps = {}
    if "paw.txt" in start.files:
        loose = run_pw(folder, cell.text(str(pseudo), control=", outdir='other'", electrons="conv_thr=1d-8"))
        steps["default_start"] = outcome(loose)["steps"]
        short = "conv_thr=1d-8, startingpot='file', mixing_ndim=2"
        steps["neutral_occupations"] = outcome(run_pw(folder, cell.text(str(pseudo), electrons=short)))["steps"]
        shutil.rmtree(save)
        write_start(save, pw_input, read_potentials(pw_input), density)
        (save / "paw.txt").write_text(format_paw(read_paw(kept / "paw.txt")[None, None]), encoding="ascii")
    second = outcome(run_from_file(cell, folder, pseudo))
    return {
        "waves": len(own.miller),
        "same_order": same_order,
        "same_grid": density.grid.shape == waves.shape,
        "largest_difference": difference,
        "scaled_by": float(start.scaled_by),
        "first_steps": first["steps"],
        "steps": second["steps"],
        "from_file": second["from_file"],
        "energy_difference": None if second["energy"] is None else second["energy"] - first["energy"],
        **steps,
    }


def run_from_file(cell: Cell, folder: Path, pseudo: Path) -> str:
    """The output of a run that starts from the charge-density file."""
    return run_pw(folder, cell.text(str(pseudo), electrons="conv_thr=1d-8, startingpot='file'"))


def prepare_potentials(folder: Path, elements: Sequence[str] = ("H", "C", "O", "Mg", "Si")) -> None:
    """A folder with all pseudopotentials: Debian's as links, those of these elements from CP2K's list made."""
    folder.mkdir()
    for file in PSEUDO.iterdir():
        (folder / file.name).symlink_to(file)
    potentials = read_gth(POTENTIALS)
    for element in elements:
        potential = choose(potentials, element)
        (folder / file_name(potential)).write_text(format_abinit(potential), encoding="ascii")


def passed(found: dict[str, Any]) -> bool:
    """Whether this is a perfect restart."""
    return (
        found.get("steps") == 1
        and found["from_file"]
        and found["same_order"]
        and found["same_grid"]
        and abs(found["energy_difference"]) < 1e-6
    )


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 if every cell restarts in one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--out", type=Path, help=f"default: benchmarks/results/{RESULT.name}, unless --cells is given")
    options = parser.parse_args(arguments)
    missing = [what for what, there in (("pw.x", shutil.which("pw.x")), (PSEUDO, PSEUDO.is_dir()),
                                        (POTENTIALS, POTENTIALS.is_file())) if not there]  # fmt: skip
    if missing:
        print(f"restart_qe: {', '.join(map(str, missing))} not found; see the head of this script", file=sys.stderr)
        return 2
    chosen = [cell for cell in cells() if not options.cells or cell.name in options.cells]
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        pseudo = Path(scratch) / "pseudo"
        prepare_potentials(pseudo)
        for cell in chosen:
            folder = Path(scratch) / cell.name
            folder.mkdir()
            found[cell.name] = {"kind": cell.kind, **check(cell, folder, pseudo)}
            print(f"{cell.name:<20}{'ok' if passed(found[cell.name]) else 'FAILED':<8}{found[cell.name]}", flush=True)
            shutil.rmtree(folder)
    good = Counter(one["kind"] for one in found.values() if passed(one))
    print(f"{sum(good.values())} of {len(found)} cells restarted in one step: {dict(good)}")
    out = options.out or (None if options.cells else RESULT)
    if out is not None:
        write_result(out, {"machine": circumstances(["numpy", "scipy"]), "cells": found})
    return int(sum(good.values()) < len(found))


if __name__ == "__main__":
    raise SystemExit(main())
