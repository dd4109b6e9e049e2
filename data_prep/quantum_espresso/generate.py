"""Densities of pw.x with GTH-PBE pseudopotentials: structures by recipe, one SCF each, one npz each.

    python -m data_prep.quantum_espresso.generate -o DIR [--kind KIND] [--count N] [--until HH:MM] [--seed S]

Structures: data_prep/quantum_espresso/structures.py. What is in DIR already is kept, and several runs may share DIR,
one core each. ``--until`` starts no new calculation after that time of the day. Failures: DIR/failures.json.
Needs pw.x (Debian: quantum-espresso) and CP2K's list of potentials (Debian: cp2k-data).

Every SCF starts from superposed isolated atoms (data_prep/isolated_atoms/gth_pbe.npz) with pw.x's threshold for an
atomic start, ``diago_thr_init = 1d-2``. Fields of an npz as in data_prep/README.md; ``density`` and ``density_sad``
hold the plane waves below ``DENSITY_CUTOFF`` times the cutoff of the wavefunctions; ``meta`` has energy, steps to
1e-6 and 1e-8 Ry, and what pw.x was asked for.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.atoms.isolated import read_isolated_atoms
from charge3net.errors import InputError
from charge3net.io.files import atomic_output, write_whole
from charge3net.io.qe.atoms import superposed_table
from charge3net.io.qe.charge_density import WaveDensity, read_charge_density, write_charge_density
from charge3net.io.qe.gvectors import PlaneWaves, grid_values, plane_waves
from charge3net.io.qe.pw_input import read_pw_input
from charge3net.io.qe.pw_output import PwOutput
from charge3net.io.qe.pw_run import run_pw
from charge3net.io.qe.pw_write import format_pw_input
from charge3net.units import E_PER_BOHR3
from data_prep.quantum_espresso.gth import POTENTIALS, choose, file_name, format_abinit, read_gth
from data_prep.quantum_espresso.isolated_atoms import TABLE
from data_prep.quantum_espresso.structures import KINDS, Structure, structures

#: Å⁻¹ between the k-points of a mesh shifted by half a step, with 2π.
SPACING = 0.42
SMEARING = "occupations = 'smearing', smearing = 'mv', degauss = 0.01"
CONVERGED = 1e-8  # Ry
#: The cutoff of a stored density, in units of that of the wavefunctions (pw.x: 4).
DENSITY_CUTOFF = 2.5
LIMIT = 400  # s of processor time of one run
SETTINGS = {
    "code": "Quantum ESPRESSO 6.7, GTH-PBE of CP2K",
    "density": "norm-conserving valence",
    "xc": "PBE",
    "mode": "plane waves",
    "spin": "none",
}
RYDBERG = 13.605693122994  # eV


def calculate(structure: Structure, pseudo: Path, folder: Path) -> dict[str, Any]:
    """Run pw.x in an empty folder; the arrays of the npz.

    Raises:
        InputError: if the SCF does not converge.
    """
    symbols = sorted(set(structure.symbols))
    potentials = {symbol: potential_file(pseudo, symbol) for symbol in symbols}
    geometry = structure.geometry()
    mesh = None if structure.molecule else structure.mesh(SPACING)
    occupations = SMEARING if structure.kind == "defects" else ""
    text = format_pw_input(
        geometry, potentials, ecutwfc=structure.cutoff, mesh=mesh, pseudo_dir=str(pseudo.resolve()),
        control="disk_io = 'low'", system=occupations, shift=1,
        electrons=f"conv_thr = {CONVERGED:g}, startingpot = 'file', diago_thr_init = 1d-2",
    )  # fmt: skip
    write_whole(folder / "x.in", text)
    pw_input = read_pw_input(folder / "x.in")
    waves = pw_input.plane_waves()
    atoms = superposed_table(waves, read_isolated_atoms(TABLE), geometry)
    save = folder / "out" / "x.save"
    save.mkdir(parents=True)
    write_charge_density(save / "charge-density.dat", WaveDensity.of(waves, atoms[None]))
    output = run_pw(folder, LIMIT)
    if not output.converged or not output.from_file:
        raise InputError(f"not converged after {len(output.accuracy)} steps")
    found = read_charge_density(save / "charge-density.dat")
    coarse = plane_waves(waves.cell, DENSITY_CUTOFF * structure.cutoff, waves.gamma_only)
    density = on_grid(found.values, waves, coarse)
    superposed = on_grid(atoms[None], waves, coarse)
    kpoints = "gamma" if mesh is None else [*mesh, 1, 1, 1]
    meta = {
        **SETTINGS, "occupations": occupations, "kind": structure.kind, "copy": structure.copy,
        "ecutwfc_Ry": structure.cutoff, "k_mesh": kpoints, "potentials": potentials,
        "nmae_sad": float(np.abs(superposed - density).sum() / np.abs(density).sum()), **_facts(output),
    }  # fmt: skip
    electrons = float(found.values[0, 0].real) * abs(np.linalg.det(waves.cell))
    return {
        "numbers": geometry.numbers, "positions": geometry.positions, "cell": geometry.cell, "pbc": geometry.pbc,
        "density": density.astype(np.float32), "density_sad": superposed.astype(np.float32),
        "n_electrons": electrons, "meta": json.dumps(meta),
    }  # fmt: skip


def _facts(output: PwOutput) -> dict[str, Any]:
    """What is kept of a run."""
    return {
        "energy_eV": float(output.energies[-1]) * RYDBERG,
        **{f"steps_{threshold:.0e}": output.steps(threshold) for threshold in (1e-6, CONVERGED)},
        "transforms": output.transforms,
        "seconds": output.total_seconds,
    }


def on_grid(values: np.ndarray, waves: PlaneWaves, coarse: PlaneWaves) -> np.ndarray:
    """[nx, ny, nz] e/Å³ on the FFT grid of fewer plane waves."""
    inside = (2 * np.abs(waves.miller) < np.array(coarse.shape)).all(axis=1)
    inside &= np.linalg.norm(waves.miller @ waves.reciprocal, axis=1) <= (
        np.linalg.norm(coarse.miller @ coarse.reciprocal, axis=1).max() + 1e-9
    )
    return np.asarray(grid_values(values[:, inside], waves.miller[inside], coarse.shape)[0] * E_PER_BOHR3)


def potential_file(pseudo: Path, symbol: str) -> str:
    """The name of the potential's file in a folder; made if it is not there."""
    potential = choose(read_gth(POTENTIALS), symbol)
    name = file_name(potential)
    if not (pseudo / name).exists():
        pseudo.mkdir(parents=True, exist_ok=True)
        write_whole(pseudo / name, format_abinit(potential))
    return name


def generate(wanted: Sequence[Structure], out: Path, until: float | None) -> dict[str, str]:
    """Compute what is not in ``out`` yet; returns the failures, name → reason."""
    out.mkdir(parents=True, exist_ok=True)
    failures: dict[str, str] = {}
    for structure in wanted:
        target = out / f"{structure.name}.npz"
        if until is not None and time.time() > until:
            break
        with open(out / f".{structure.name}.lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if not target.exists():
                reason = _solve(structure, out / "pseudo", target)
                print(structure.name, reason or "done", flush=True)
                if reason:
                    failures[structure.name] = reason
                    _record(out, structure.name, reason)
            Path(lock.name).unlink(missing_ok=True)
    return failures


def _solve(structure: Structure, pseudo: Path, target: Path) -> str | None:
    """What went wrong, or None when the file is there."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            arrays = calculate(structure, pseudo, Path(scratch))
        except InputError as error:
            return str(error)
    with atomic_output(target) as stream:
        np.savez_compressed(stream, **arrays)
    return None


def _record(out: Path, name: str, reason: str) -> None:
    with open(out / ".failures.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = out / "failures.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        write_whole(path, json.dumps(known | {name: reason}, indent=1) + "\n")


def _time_of_day(text: str) -> float:
    """Seconds since 1970 of the next time it is HH:MM."""
    match = re.fullmatch(r"(\d\d?):(\d\d)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected HH:MM, found {text!r}")
    now = time.localtime()
    seconds = (int(match[1]) - now.tm_hour) * 3600 + (int(match[2]) - now.tm_min) * 60 - now.tm_sec
    return time.time() + seconds % 86400


def main(arguments: list[str] | None = None) -> int:
    """Command line; 1 when something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--kind", choices=KINDS, help="only these")
    parser.add_argument("--count", type=int, help="only the first N structures")
    parser.add_argument("--until", type=_time_of_day, metavar="HH:MM")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    wanted = [one for one in structures(options.seed) if options.kind in (None, one.kind)][: options.count]
    failures = generate(wanted, options.out, options.until)
    if failures:
        print(f"{len(failures)} failed; see {options.out / 'failures.json'}", file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
