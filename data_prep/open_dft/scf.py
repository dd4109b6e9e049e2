"""One self-consistent PBE density with GPAW, written as npz. Runs in GPAW's own environment (see install_gpaw.sh).

    python scf.py JOB.npz OUT.npz

JOB.npz holds ``numbers [atoms]``, ``positions [atoms, 3]`` Å, ``cell [3, 3]`` Å, ``pbc [3]`` and ``settings``: JSON
with ``encut`` (eV), ``smearing`` (eV), ``kpts_density`` (Å, 0 for the Γ point alone), ``tag`` and ``source``; where
``moments [atoms]`` (μ_B) is there too, the loop starts from them and the calculation is spin-polarised. Where settings
name ``limit_s``, the process ends after so many seconds of CPU time. The density is
the valence density of :func:`valence_density`; the same construction before the first SCF step is the superposition of
atoms. Where settings name ``functionals``, OUT.npz holds the densities of all of them instead (:func:`solve_all`).
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

RC_BOHR = 1.0
MAX_ITERATIONS = 100
DOUBLE_FACTORIAL = (1.0, 3.0, 15.0)  # (2l + 1)!! for l = 0, 1, 2


def reciprocal_vectors(cell: ndarray, shape: tuple[int, int, int]) -> ndarray:
    """[nx, ny, nz/2 + 1, 3] wave vectors of a real FFT on this mesh, in the inverse of the cell's unit."""
    indices = [np.fft.fftfreq(n, 1.0 / n) for n in shape[:2]] + [np.fft.rfftfreq(shape[2], 1.0 / shape[2])]
    grid = np.stack(np.meshgrid(*indices, indexing="ij"), axis=-1)
    return grid @ (2.0 * np.pi * np.linalg.inv(cell).T)


def compensation_density(
    multipoles: list[ndarray], positions: ndarray, cell: ndarray, shape: tuple[int, int, int]
) -> ndarray:
    """[nx, ny, nz] Σ_a Σ_L Q_aL g_L(r − R_a), in e/Bohr³.

    The shape factor of the generalised Gaussian is ``4π (−i)^l / (2l + 1)!! · |G|^l Y_L(G) · exp(−G² r_c² / 4)``, so
    that ``∫ g_L r^l Y_L = 1``. Lengths in Bohr; ``multipoles`` are GPAW's ordered L = l² + l + m with l ≤ 2.
    """
    from gpaw.sphere.spherical_harmonics import Y

    vectors = reciprocal_vectors(cell, shape).reshape(-1, 3)
    damping = np.exp(-(vectors**2).sum(axis=1) * RC_BOHR**2 / 4.0)
    harmonics = []
    for order in range(9):
        degree = math.isqrt(order)
        prefactor = 4.0 * np.pi * (-1j) ** degree / DOUBLE_FACTORIAL[degree]
        harmonics.append(prefactor * Y(order, *vectors.T) * damping)
    total = np.zeros(len(vectors), dtype=complex)
    for moments, position in zip(multipoles, positions, strict=True):
        phase = np.exp(-1j * (vectors @ position))
        total += phase * sum(q * h for q, h in zip(moments[:9], harmonics, strict=False))
    coefficients = total.reshape(*shape[:2], -1)
    return np.fft.irfftn(coefficients, s=shape, axes=(0, 1, 2)) * (math.prod(shape) / abs(np.linalg.det(cell)))


def valence_density(dft: Any) -> ndarray:
    """[channels, nx, ny, nz] in e/Å³: the valence density, and with spin up − down.

    ``ρ = ñ − ñ_core + Σ_a Σ_L Q_aL g_L``;
    ``Q_aL = D_a : Δ_aL`` are the valence multipoles of the PAW density matrices up to l = 2, without the core's own.
    """
    from ase.units import Bohr

    density = dft.density
    spins = density.ndensities
    smooth = density.nt_sR.data[:spins] - density.nct_R.data  # the core's part is the same in each spin
    cell = np.array(density.grid.cell_cv)
    positions = dft.atoms.get_positions() / Bohr
    channels = []
    for signs in np.array([[1.0, 1.0], [1.0, -1.0]])[:spins, :spins]:
        multipoles = [
            np.einsum("s,sij,ijl->l", signs, density.D_asii[a][:spins].real, delta)[:9]
            for a, delta in enumerate(density.delta_aiiL)
        ]
        compensation = compensation_density(multipoles, positions, cell, smooth.shape[1:])
        channels.append(np.einsum("s,sxyz->xyz", signs, smooth) + compensation)
    return np.array(channels) / Bohr**3


def density_matrices(dft: Any) -> ndarray:
    """[spins, numbers] the PAW density matrices D_ij of all atoms, one after the other: rows of the upper triangles."""
    matrices = [dft.density.D_asii[a].real for a in range(len(dft.setups))]
    return np.concatenate([m[:, *np.triu_indices(m.shape[-1])] for m in matrices], axis=1)


def solve(atoms: Any, settings: dict[str, Any], moments: ndarray | None = None) -> dict[str, Any]:
    """Run the SCF loop, spin-polarised where there are starting moments (μ_B); returns the fields of an entry.

    The functional is PBE unless ``settings`` name another (``xc``); the setups are those of the functional.

    Raises:
        RuntimeError: when the loop does not converge.
    """
    from gpaw import __version__
    from gpaw.new.calculation import DFT

    started = time.process_time()
    functional = settings.get("xc", "PBE")
    kpts = {"density": settings["kpts_density"], "gamma": True} if settings["kpts_density"] else (1, 1, 1)
    dft = DFT(
        atoms,
        mode={"name": "pw", "ecut": settings["encut"]},
        xc=functional,
        kpts=kpts,
        occupations={"name": "fermi-dirac", "width": settings["smearing"]},
        magmoms=moments,
        maxiter=MAX_ITERATIONS,
        txt=None,
        converge=False,  # the first density is the superposition of atoms
    )
    superposition = valence_density(dft)[0]
    iterations = sum(1 for _ in dft.iconverge())
    values = valence_density(dft)
    density = values[0]
    voxel = abs(np.linalg.det(np.array(atoms.cell))) / density.size
    meta = {
        "code": f"gpaw {__version__} + gpaw-data {version('gpaw-data')}",
        "density": f"nt - nct + sum_aL Q_aL g_L, rc={RC_BOHR} bohr",
        "xc": functional,
        "mode": f"PW {settings['encut']:g} eV",
        "kpts_density": settings["kpts_density"],
        "nk_ibz": len(dft.ibzwfs.ibz),
        "smearing": f"FD {settings['smearing']:g} eV",
        "spin": "unpolarised" if moments is None else "collinear",
        "energy_eV": float(dft.calculate_energy()),
        "scf_iterations": iterations,
        "nmae_sad": float(np.abs(superposition - density).sum() / density.sum()),
        "n_from_grid": float(density.sum() * voxel),
        "grid": list(density.shape),
        "rho_min": float(density.min()),
        "rho_max": float(density.max()),
        **({} if moments is None else _moments(values[1], voxel)),
        "cpu_s": round(time.process_time() - started, 2),
        "tag": settings["tag"],
        "source": settings["source"],
    }
    return {
        "numbers": atoms.numbers.astype(np.int16),
        "positions": atoms.positions,
        "cell": np.array(atoms.cell),
        "pbc": atoms.pbc,
        "density": np.ascontiguousarray(density if moments is None else values, dtype=np.float32),
        "density_sad": np.ascontiguousarray(superposition, dtype=np.float32),
        "n_electrons": np.float64(sum(setup.Nv for setup in dft.setups)),
        "density_matrices": density_matrices(dft),
        "setups": np.array([Path(setup.filename).name for setup in dft.setups]),
        "meta": json.dumps(meta, ensure_ascii=False),
    }


def _moments(magnetisation: ndarray, voxel: float) -> dict[str, float]:
    """∫m and ∫|m| over the cell, in μ_B."""
    total, absolute = magnetisation.sum() * voxel, np.abs(magnetisation).sum() * voxel
    return {"magnetisation": float(total), "absolute_magnetisation": float(absolute)}


def solve_all(atoms: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """One SCF loop without spin for each of ``settings["functionals"]``, on one grid; returns the fields of the file.

    ``density`` is [functionals, nx, ny, nz], ``functionals`` their names; energies, iterations and seconds are lists in
    the same order; the rest of ``meta`` is that of the first.

    Raises:
        RuntimeError: when a loop does not converge, or a density does not hold the valence electrons.
    """
    entries = [solve(atoms, {**settings, "xc": name}) for name in settings["functionals"]]
    for entry in entries:
        _check(entry)
    metas = [json.loads(entry["meta"]) for entry in entries]
    shared = {key: metas[0][key] for key in ("code", "density", "mode", "kpts_density", "nk_ibz", "smearing", "grid")}
    listed = {key: [meta[key] for meta in metas] for key in ("energy_eV", "scf_iterations", "cpu_s")}
    structure = {key: entries[0][key] for key in ("numbers", "positions", "cell", "pbc", "n_electrons")}
    meta = {**shared, **listed, "tag": settings["tag"], "source": settings["source"]}
    return {
        **structure,
        "density": np.stack([entry["density"] for entry in entries]),
        "functionals": np.array(settings["functionals"]),
        "meta": json.dumps(meta, ensure_ascii=False),
    }


def _check(entry: dict[str, Any]) -> None:
    meta = json.loads(entry["meta"])
    if abs(meta["n_from_grid"] - entry["n_electrons"]) > 1e-6 * entry["n_electrons"]:
        raise RuntimeError(f"the density with {meta['xc']} does not hold the valence electrons")


def main(job: str, out: str) -> None:
    """Read the job, solve it, write the entry whole or not at all."""
    from ase import Atoms

    with np.load(job) as file:
        settings = json.loads(str(file["settings"]))
        limit = settings.get("limit_s")
        if limit:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        atoms = Atoms(file["numbers"], positions=file["positions"], cell=file["cell"], pbc=file["pbc"])
        moments = file.get("moments")
    if "functionals" in settings:
        entry = solve_all(atoms, settings)
    else:
        entry = solve(atoms, settings, moments)
        _check(entry)
    temporary = f"{out}.tmp{os.getpid()}"
    with open(temporary, "wb") as stream:
        np.savez_compressed(stream, **entry)
    os.replace(temporary, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
