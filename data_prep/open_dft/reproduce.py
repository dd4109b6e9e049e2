"""Compute densities once more from the structures and settings in npz files, and compare.

    python data_prep/open_dft/reproduce.py FILE.npz… -o DIR [--json JSON] [--jobs N]

The files have the fields of an entry (data_prep/README.md), whoever computed them. Where ``meta`` names no
``kpts_density`` the Γ point is taken, where it names no ``smearing`` 0.01 eV. New densities go to DIR; what is there is
not computed again. The exit status is 1 when a density differs by more than ``--tolerance`` (0.1 % ε_mae), or failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from generate import CRYSTAL, enter_environment, solve_missing
from numpy import ndarray

if TYPE_CHECKING:
    from ase import Atoms


def structure_of(path: Path) -> Atoms:
    """Structure, settings and spin of a file."""
    from ase import Atoms

    with np.load(path) as file:
        meta = json.loads(str(file["meta"]))
        atoms = Atoms(file["numbers"], positions=file["positions"], cell=file["cell"], pbc=file["pbc"])
        polarised = file["density"].ndim == 4
    smearing = float(meta["smearing"].split()[1]) if "smearing" in meta else 0.01
    settings = {"kpts_density": meta.get("kpts_density", 0.0), "smearing": smearing}
    atoms.info |= {"tag": path.stem, "source": f"as in {path.name}", "settings": settings}
    if polarised:
        from crystals import moments

        atoms.info["moments"] = moments(atoms.get_chemical_symbols())
    return atoms


def compare(given: Path, made: Path) -> dict[str, Any]:
    """How far the new density is from the given one: ε_mae in %, of the superposition of atoms too where there are two.

    Of a spin-polarised one the total density is compared, and the magnetisation as a share of the electrons.

    Raises:
        ValueError: when the grids differ.
    """
    with np.load(given) as old, np.load(made) as new:
        metas = [json.loads(str(file["meta"])) for file in (old, new)]
        densities = [np.asarray(file["density"], dtype=np.float64) for file in (old, new)]
        atoms = [np.asarray(file["density_sad"], dtype=np.float64) for file in (old, new) if "density_sad" in file]
    if densities[0].shape != densities[1].shape:
        raise ValueError(f"{given.stem}: the grids differ, {densities[0].shape} and {densities[1].shape}")
    totals = [values if values.ndim == 3 else values[0] for values in densities]
    magnetisation = {}
    if densities[0].ndim == 4:
        change = np.abs(densities[0][1] - densities[1][1]).sum()
        magnetisation = {"magnetisation": float(100.0 * change / np.abs(totals[0]).sum())}
    return {
        "name": given.stem,
        "folder": given.parent.name,
        "grid": list(totals[0].shape),
        "epsilon_mae": _error(*totals),
        **magnetisation,
        "epsilon_mae_superposition": _error(*atoms) if len(atoms) == 2 else None,
        "energy_difference_eV": metas[1]["energy_eV"] - metas[0]["energy_eV"],
    }


def _error(first: ndarray, second: ndarray) -> float:
    """Σ|Δ| / Σ|first| in %."""
    return float(100.0 * np.abs(first - second).sum() / np.abs(first).sum())


def _save(path: Path, rows: Sequence[dict[str, Any]], code: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    temporary.write_text(f'{{"code": {json.dumps(code)}, "unit": "%", "entries": [\n  {lines}\n]}}\n')
    os.replace(temporary, path)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.npz")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder for the new densities")
    parser.add_argument("--json", type=Path, help="file for the comparison")
    parser.add_argument("--jobs", type=int, default=1, help="calculations at the same time, one core each (default 1)")
    parser.add_argument("--tolerance", type=float, default=0.1, help="largest ε_mae in %% (default 0.1)")
    options = parser.parse_args(arguments)
    missing = [str(path) for path in options.files if not path.is_file()]
    if missing:
        parser.error(f"{missing[0]} does not exist")
    enter_environment(parser)
    failures = solve_missing([structure_of(path) for path in options.files], CRYSTAL, options.out, options.jobs)
    made = {path: options.out / path.name for path in options.files if path.stem not in failures}
    try:
        rows = [compare(given, new) for given, new in made.items()]
    except ValueError as error:
        parser.error(str(error))
    print("| entry | ε_mae | ε_mae of the superposition | energy difference, eV |\n|---|---|---|---|")
    for row in rows:
        atoms = row["epsilon_mae_superposition"]
        second = "" if atoms is None else f"{atoms:.1e} %"
        print(f"| {row['name']} | {row['epsilon_mae']:.1e} % | {second} | {row['energy_difference_eV']:+.1e} |")
    if options.json and rows:
        with np.load(next(iter(made.values()))) as file:
            _save(options.json, rows, json.loads(str(file["meta"]))["code"])
    for name, reason in failures.items():
        print(f"{name} failed: {reason}", file=sys.stderr)
    return int(bool(failures) or any(row["epsilon_mae"] > options.tolerance for row in rows))


if __name__ == "__main__":
    sys.exit(main())
