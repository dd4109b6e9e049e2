"""How far densities change on a finer mesh of k-points: some crystals on the generator's mesh and on a finer one.

    python data_prep/open_dft/k_points.py -o DIR [--json JSON] [--jobs N]

Metals and crystals with a small gap or none of benchmark_set, without spin, as they are; and of new_formulas_set, in an
order by hash, EACH crystals of every kind and mesh: with and without spin, metals alone and others. The densities go to
DIR; what is there is not computed again. Runs in the environment of install_gpaw.sh and starts itself there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from generate import CRYSTAL, HERE, enter_environment, solve_missing
from reproduce import compare

if TYPE_CHECKING:
    from ase import Atoms

FINER = 1.5
EACH = 3
METALS = ("aflow-Cu-A_cF4_225_a-0", "aflow-Mg-A_hP2_194_c-0", "aflow-W-A_cI2_229_a-0", "swap-Pb-A_hP1_191_a-0")
OTHERS = ("swap-Ge-A_cF8_227_a-0", "swap-InSb-AB_oI4_44_a_b-0", "swap-Sb-A_hR2_166_c-0", "swap-SiW-AB_hP2_187_d_a-0")


def sample() -> list[tuple[Atoms, Atoms]]:
    """The crystals, each with the generator's mesh and with FINER times its k-points along every axis."""
    from again import bundled
    from crystals import KPTS_DENSITY, KPTS_DENSITY_METAL

    found = {atoms.info["tag"]: atoms for atoms in bundled(HERE.parent, 10**6)}
    chosen = [(found[key], KPTS_DENSITY_METAL if key in METALS else KPTS_DENSITY) for key in (*METALS, *OTHERS)]
    pairs = [*chosen, *_new_formulas()]
    return [(_with_mesh(atoms, usual), _with_mesh(atoms, FINER * usual)) for atoms, usual in pairs]


def _new_formulas() -> list[tuple[Atoms, float]]:
    """Crystals of new_formulas_set with their meshes."""
    from again import by_hash

    groups: dict[tuple[str, float], list[tuple[Atoms, float]]] = {}
    for record, atoms in by_hash(HERE.parent / "new_formulas_set"):
        if record["kind"] in ("crystals", "magnetic"):
            mesh = record["meta"]["kpts_density"]
            groups.setdefault((record["kind"], mesh), []).append((atoms, mesh))
    return [pair for key in sorted(groups) for pair in groups[key][:EACH]]


def _with_mesh(atoms: Atoms, density: float) -> Atoms:
    copy = atoms.copy()
    copy.info |= {"tag": f"{atoms.info['tag']}-k{density:g}", "settings": {"kpts_density": density}}
    return copy


def row(usual: Path, finer: Path) -> dict[str, Any]:
    """What a line of the table says of two entries of one crystal; errors are those of the usual mesh."""
    found = compare(finer, usual)
    metas = []
    for path in (usual, finer):
        with np.load(path) as file:
            metas.append(json.loads(str(file["meta"])))
    return {
        "name": usual.stem.rpartition("-k")[0],
        "kpts_density": [meta["kpts_density"] for meta in metas],
        "nk_ibz": [meta["nk_ibz"] for meta in metas],
        "epsilon_mae": found["epsilon_mae"],
        "superposition_of_atoms": 100.0 * metas[1]["nmae_sad"],
        **({"magnetisation": found["magnetisation"]} if "magnetisation" in found else {}),
        "energy_difference_meV_per_atom": 1000.0 * found["energy_difference_eV"] / _atoms(usual),
    }


def _atoms(path: Path) -> int:
    with np.load(path) as file:
        return len(file["numbers"])


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder for the densities")
    parser.add_argument("--json", type=Path, help="file for the comparison")
    parser.add_argument("--jobs", type=int, default=1, help="calculations at the same time, one core each (default 1)")
    options = parser.parse_args(arguments)
    enter_environment(parser)
    pairs = sample()
    failures = solve_missing([atoms for pair in pairs for atoms in pair], CRYSTAL, options.out, options.jobs)
    files = [tuple(options.out / f"{atoms.info['tag']}.npz" for atoms in pair) for pair in pairs]
    rows = [row(*pair) for pair in files if all(path.exists() for path in pair)]
    print(
        "| crystal | k-points per Å⁻¹ | irreducible | ε_mae | superposition of atoms | magnetisation | meV per atom |"
    )
    print("|---|---|---|---|---|---|---|")
    for line in rows:
        meshes, points = (" → ".join(f"{value:g}" for value in line[key]) for key in ("kpts_density", "nk_ibz"))
        spin = f"{line['magnetisation']:.3f} %" if "magnetisation" in line else ""
        errors = f"{line['epsilon_mae']:.3f} % | {line['superposition_of_atoms']:.1f} % | {spin}"
        print(f"| {line['name']} | {meshes} | {points} | {errors} | {line['energy_difference_meV_per_atom']:+.1f} |")
    if options.json and rows:
        text = ",\n  ".join(json.dumps(line) for line in rows)
        temporary = options.json.with_name(f".{options.json.name}.{os.getpid()}")
        temporary.write_text(f'{{"unit": "%", "finer": {FINER}, "crystals": [\n  {text}\n]}}\n', encoding="utf-8")
        os.replace(temporary, options.json)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
