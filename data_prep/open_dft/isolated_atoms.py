"""The isolated atoms of GPAW's PBE setups: radial valence densities whose sum is the superposition of atoms.

    python data_prep/open_dft/isolated_atoms.py [-o TABLE.npz] [--check FILE.npz…]

Runs in the environment of install_gpaw.sh (``make gpaw``) and starts itself there. No SCF: a setup holds the partial
waves φ̃_j of its neutral atom and their occupations f_j. With the density of ``scf.valence_density`` the atom has

    ρ(r) = x [ñ(r) + ñ_core(r)] − ñ_core(r) + Q g(r),      ñ = Σ_j f_j |φ̃_j|² / 4π,      Q = Σ_j f_j Δ_jj √4π

Δ_jj is the charge that φ̃_j lacks against φ_j inside the augmentation sphere, g(r) = exp(−r²/r_c²) / (π^{3/2} r_c³) with
r_c = 1 bohr. GPAW ends φ̃_j smoothly at 8 bohr, and with it most tails of alkali metals; the factor x makes up
for what is lost. Alone, x is such that ρ holds the valence electrons. In a superposition GPAW takes one x for all
atoms together, x = Σ(N − Q + N_core) / Σ∫(ñ + ñ_core).

TABLE.npz (default data_prep/isolated_atoms/gpaw_pbe.npz) holds, all radial functions in e/Å³ with zeros beyond 8 bohr,

    numbers       [elements]          atomic numbers, ascending
    radii         [points]            r in Å, evenly spaced from 0
    density       [elements, points]  ρ(r) of the atom alone; ∫ 4πr² ρ dr = ``valence``
    smooth        [elements, points]  ñ(r)
    core          [elements, points]  ñ_core(r)
    compensation  [elements]          Q in e
    valence       [elements]          N, valence electrons of the setup
    setups        [elements]          names of the files of gpaw-data
    meta                              JSON: code, functional, density

``--check`` compares superpositions on the grids of entries of generate.py with their ``density_sad``: GPAW's, with one
x for all, and the sum of ``density``. The exit status is 1 when the first differs by more than TOLERANCE. Entries whose
loops started from moments are passed over: their atoms have other occupations.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from generate import HERE, enter_environment
from numpy import ndarray
from scf import RC_BOHR

TABLE = HERE.parent / "isolated_atoms" / "gpaw_pbe.npz"
STEP = 0.01  # Å, between radii
CUTOFF = 8.0  # bohr, where GPAW's atoms end
TOLERANCE = 0.05  # %, largest Σ|Δρ| / Σρ against density_sad


def isolated_atom(setup: Any, radii: ndarray) -> dict[str, Any]:
    """The row of TABLE.npz for a GPAW setup at ``radii`` (bohr), in atomic units."""
    (occupations,) = setup.calculate_initial_occupation_numbers(0.0, False, 0.0, 1)
    inside = np.minimum(radii, CUTOFF)
    smooth, first = np.zeros_like(radii), 0
    for wave in setup.basis.tosplines():
        degree = wave.get_angular_momentum_number()
        shell = occupations[first : first + 2 * degree + 1].sum()  # the electrons of a shell, spread over all m
        first += 2 * degree + 1
        smooth += shell * (wave.map(inside) * radii**degree) ** 2 / (4.0 * np.pi)
    core = setup.nct.map(np.minimum(radii, setup.nct.get_cutoff())) / np.sqrt(4.0 * np.pi)
    charge = float(np.einsum("ij,ij->", _matrix(setup, occupations), setup.Delta_iiL[:, :, 0]) * np.sqrt(4.0 * np.pi))
    return {"smooth": smooth, "core": core, "compensation": charge, "valence": float(setup.Nv)}


def _matrix(setup: Any, occupations: ndarray) -> ndarray:
    """[i, i] the density matrix D of the neutral atom."""
    from gpaw.utilities import unpack_density

    (matrix,) = unpack_density(setup.initialize_density_matrix(occupations[None]))
    return np.asarray(matrix)


def table() -> dict[str, Any]:
    """The arrays of TABLE.npz: every element that gpaw-data has a PBE setup for."""
    from ase.data import chemical_symbols
    from ase.units import Bohr
    from gpaw import __version__
    from gpaw.setup import create_setup
    from gpaw.setup_data import search_for_file
    from gpaw.xc import XC

    functional = XC("PBE")
    radii = np.arange(0.0, CUTOFF * Bohr + STEP, STEP)
    rows: dict[str, list[Any]] = {}
    for number, symbol in enumerate(chemical_symbols[1:], start=1):
        try:
            file = Path(search_for_file(f"{symbol}.PBE")[0])
        except FileNotFoundError:
            continue
        row = isolated_atom(create_setup(symbol, functional), radii / Bohr)
        row |= {"smooth": row["smooth"] / Bohr**3, "core": row["core"] / Bohr**3, "numbers": number}
        row["density"] = _neutral(row, radii)
        for key, value in (row | {"setups": file.name}).items():
            rows.setdefault(key, []).append(value)
    code = f"gpaw {__version__} + gpaw-data {version('gpaw-data')}"
    meta = {"code": code, "xc": "PBE", "density": f"nt - nct + Q g, rc={RC_BOHR} bohr"}
    arrays = {key: np.array(values) for key, values in rows.items()}
    return {**arrays, "numbers": arrays["numbers"].astype(np.int16), "radii": radii, "meta": json.dumps(meta)}


def _neutral(row: Mapping[str, Any], radii: ndarray) -> ndarray:
    """[points] ρ(r) in e/Å³ of the atom alone."""
    core = _charge(row["core"], radii)
    x = (row["valence"] - row["compensation"] + core) / (_charge(row["smooth"], radii) + core)
    return np.asarray(x * (row["smooth"] + row["core"]) - row["core"] + row["compensation"] * _gaussian(radii))


def _gaussian(radii: ndarray) -> ndarray:
    """[points] g(r) in 1/Å³."""
    from ase.units import Bohr

    width = RC_BOHR * Bohr
    return np.asarray(np.exp(-((radii / width) ** 2)) / (np.pi**1.5 * width**3))


def _charge(density: ndarray, radii: ndarray) -> float:
    """∫ 4πr² ρ dr."""
    from scipy.integrate import simpson

    return float(simpson(4.0 * np.pi * radii**2 * density, x=radii))


def superposition(values: Mapping[int, ndarray], radii: ndarray, path: Path) -> ndarray:
    """[nx, ny, nz] the sum of radial functions, atomic number → values, with all images on the grid of an entry."""
    from scipy.interpolate import CubicSpline

    with np.load(path) as file:
        numbers, positions, cell = file["numbers"], file["positions"], file["cell"]
        shape = file["density_sad"].shape
    axes = [np.arange(n) / n for n in shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    images = np.ceil(radii[-1] * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in images), indexing="ij"), axis=-1).reshape(-1, 3)
    total = np.zeros(len(grid))
    for number, position in zip(numbers, positions @ np.linalg.inv(cell), strict=True):
        radial = CubicSpline(radii, values[int(number)])
        apart = grid - position
        apart -= np.rint(apart)
        for shift in shifts:
            distance = np.linalg.norm((apart + shift) @ cell, axis=1)
            near = distance < radii[-1]
            total[near] += radial(distance[near])
    return total.reshape(shape)


def differences(atoms: Mapping[str, ndarray], path: Path) -> tuple[float, float]:
    """Σ|Δρ| / Σρ in % of GPAW's superposition and of the sum of neutral atoms against an entry's ``density_sad``."""
    with np.load(path) as file:
        given, numbers = file["density_sad"].astype(np.float64), file["numbers"]
        voxel = abs(np.linalg.det(file["cell"])) / given.size
    radii, rows = atoms["radii"], {int(z): i for i, z in enumerate(atoms["numbers"])}
    members = [rows[int(z)] for z in numbers]

    def total(values: ndarray) -> ndarray:
        return superposition({z: values[row] for z, row in rows.items()}, radii, path)

    core = total(atoms["core"])
    both = core + total(atoms["smooth"])
    charge = atoms["compensation"]
    x = ((atoms["valence"] - charge)[members].sum() + core.sum() * voxel) / (both.sum() * voxel)
    ours = x * both - core + total(charge[:, None] * _gaussian(radii))
    errors = [100.0 * np.abs(made - given).sum() / given.sum() for made in (ours, total(atoms["density"]))]
    return float(errors[0]), float(errors[1])


def _check(path: Path, files: Sequence[Path]) -> int:
    """Print how far the superpositions are from those of the entries; 1 when GPAW's is not reproduced."""
    from ase.data import chemical_symbols

    with np.load(path) as file:
        atoms = {key: file[key] for key in file.files}
    seen: set[int] = set()
    found = []
    print("| entry | one factor for all atoms | sum of neutral atoms |\n|---|---|---|")
    for entry in files:
        with np.load(entry) as file:
            if "density_sad" not in file or file["density"].ndim == 4:
                continue
            seen |= set(file["numbers"].tolist())
        found.append(differences(atoms, entry))
        print(f"| {entry.stem} | {found[-1][0]:.4f} % | {found[-1][1]:.4f} % |", flush=True)
    if not found:
        print("no entry has a superposition of atoms without moments", file=sys.stderr)
        return 1
    worst, mean = np.max(found, axis=0), np.mean(found, axis=0)
    for name, row in (("mean", mean), ("largest", worst)):
        print(f"| {name} of {len(found)} | {row[0]:.4f} % | {row[1]:.4f} % |")
    print(f"{len(seen)} elements: {' '.join(chemical_symbols[z] for z in sorted(seen))}")
    return int(worst[0] > TOLERANCE)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=TABLE, metavar="TABLE.npz")
    parser.add_argument("--check", type=Path, nargs="+", metavar="FILE.npz", help="compare the table with entries")
    options = parser.parse_args(arguments)
    enter_environment(parser)
    if options.check:
        return _check(options.out, options.check)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = options.out.with_name(f".{options.out.name}.{os.getpid()}")
    with open(temporary, "wb") as stream:
        np.savez_compressed(stream, **table())
    os.replace(temporary, options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
