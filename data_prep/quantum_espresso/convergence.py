"""How far densities and energies change with more k-points and more plane waves: some of the generator's structures.

    python -m data_prep.quantum_espresso.convergence [--json JSON]

For each structure: its mesh against one of 1.5 times as many divisions, and its cutoff against 1.8 times of it (at 2 ×
2 × 2 k-points). ε_mae is Σ|Δρ|/Σρ on the FFT grid of the finer run. Needs pw.x and CP2K's list, as generate.py.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.io.qe.charge_density import WaveDensity, read_charge_density
from charge3net.io.qe.gvectors import good_fft_number, grid_values
from charge3net.io.qe.pw_run import run_pw
from charge3net.io.qe.pw_write import format_pw_input
from data_prep.quantum_espresso.generate import LIMIT, RYDBERG, SPACING, potential_file
from data_prep.quantum_espresso.structures import Structure, structures

NAMES = ("sp-Si-1", "sp-GaAs-1", "sp-SnTe-rs-1")
RESULT = Path(__file__).with_name("convergence.json")
MORE_POINTS, MORE_WAVES = 1.5, 1.8


def run(structure: Structure, cutoff: float, mesh: tuple[int, int, int], pseudo: Path) -> tuple[WaveDensity, float]:
    """Density and energy (eV) of a structure with these settings."""
    potentials = {symbol: potential_file(pseudo, symbol) for symbol in set(structure.symbols)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        text = format_pw_input(
            structure.geometry(), potentials, ecutwfc=cutoff, mesh=mesh, shift=1, pseudo_dir=str(pseudo.resolve()),
            control="disk_io = 'low'", electrons="conv_thr = 1d-8",
        )  # fmt: skip
        write_whole(folder / "x.in", text)
        output = run_pw(folder, LIMIT)
        return read_charge_density(folder / "out/x.save/charge-density.dat"), float(output.energies[-1]) * RYDBERG


def difference(found: WaveDensity, right: WaveDensity) -> float:
    """ε_mae in %."""
    a, b, c = (good_fft_number(2 * int(n) + 1) for n in np.abs(right.miller).max(axis=0))
    values, exact = (grid_values(one.values, one.miller, (a, b, c)) for one in (found, right))
    return float(100 * np.abs(values - exact).sum() / np.abs(exact).sum())


def row(structure: Structure, pseudo: Path) -> dict[str, Any]:
    """What a line of the table says."""
    mesh, cutoff, atoms = structure.mesh(SPACING), structure.cutoff, len(structure.symbols)
    a, b, c = (math.ceil(MORE_POINTS * n) for n in mesh)
    usual, finer = (run(structure, cutoff, one, pseudo) for one in (mesh, (a, b, c)))
    few, many = (run(structure, one, (2, 2, 2), pseudo) for one in (cutoff, MORE_WAVES * cutoff))
    return {
        "name": structure.name, "mesh": mesh, "finer_mesh": (a, b, c), "cutoff_Ry": cutoff,
        "mesh_nmae": difference(usual[0], finer[0]), "mesh_meV_per_atom": 1000 * (usual[1] - finer[1]) / atoms,
        "cutoff_nmae": difference(few[0], many[0]), "cutoff_meV_per_atom": 1000 * (few[1] - many[1]) / atoms,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    made = {one.name: one for one in structures()}
    print("| structure | mesh | ε_mae | meV per atom | cutoff (Ry) | ε_mae | meV per atom |\n|" + "---|" * 7)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for name in NAMES:
                one = row(made[name], Path(scratch))
                rows.append(one)
                meshes = " → ".join("×".join(map(str, one[key])) for key in ("mesh", "finer_mesh"))
                print(
                    f"| {name} | {meshes} | {one['mesh_nmae']:.2f} % | {one['mesh_meV_per_atom']:+.1f} | "
                    f"{one['cutoff_Ry']:g} → {MORE_WAVES * one['cutoff_Ry']:g} | {one['cutoff_nmae']:.2f} % | "
                    f"{one['cutoff_meV_per_atom']:+.0f} |",
                    flush=True,
                )
        except InputError as error:
            print(f"convergence: error: {error}", file=sys.stderr)
            return 2
    text = ",\n  ".join(json.dumps(one) for one in rows)
    write_whole(options.json, f'{{"unit": "%", "structures": [\n  {text}\n]}}\n')
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
