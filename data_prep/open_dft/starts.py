"""GPAW from given densities and atomic density matrices: energies without self-consistency, and iterations.

    python starts.py JOB.npz OUT.json

Runs in the environment of install_gpaw.sh. JOB.npz is that of scf.py without ``moments`` and, for every start NAME,
``density_NAME`` [nx, ny, nz] (e/Å³, the valence density of ``scf.valence_density`` on GPAW's own grid) and
``matrices_NAME`` [numbers] (D of all atoms as ``scf.density_matrices`` writes them). OUT.json holds

    energy           eV, converged from GPAW's own start
    starts           NAME → ``energy``: eV, of converged wavefunctions in the fixed potential of the start;
                     ``fixed``: iterations for them; ``iterations``: those of the loop that goes on from there;
                     ``final``: eV, of that loop; the start named ``atoms`` is GPAW's own

The energy of a fixed potential is the Harris functional (Phys. Rev. B 31, 1770 (1985)): its error is of second order in
that of density and D. Counting starts after the wavefunctions have converged, since GPAW does a fixed number of passes
over them in every iteration, which would hide what a better density saves.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from scf import MAX_ITERATIONS, compensation_density

#: Iterations at a fixed potential, and what they converge to (eV² per electron).
PASSES, EIGENSTATES = 60, 4e-8


def calculation(atoms: Any, settings: dict[str, Any]) -> Any:
    """GPAW with the settings of scf.py, at its own start."""
    from gpaw.new.calculation import DFT

    kpts = {"density": settings["kpts_density"], "gamma": True} if settings["kpts_density"] else (1, 1, 1)
    return DFT(
        atoms,
        mode={"name": "pw", "ecut": settings["encut"]},
        xc="PBE",
        kpts=kpts,
        occupations={"name": "fermi-dirac", "width": settings["smearing"]},
        convergence={"eigenstates": EIGENSTATES},
        maxiter=MAX_ITERATIONS,
        txt=None,
        converge=False,
    )


def unpacked(values: ndarray, sizes: list[int]) -> list[ndarray]:
    """[size, size] of every atom from the rows of the upper triangles."""
    matrices, first = [], 0
    for size in sizes:
        count = size * (size + 1) // 2
        matrix = np.zeros((size, size))
        matrix[np.triu_indices(size)] = values[first : first + count]
        matrices.append(matrix + np.triu(matrix, 1).T)
        first += count
    if first != len(values):
        raise ValueError(f"density matrices of {len(values)} numbers where the setups have {first}")
    return matrices


def start_from(dft: Any, valence: ndarray, matrices: list[ndarray]) -> None:
    """Put a valence density (e/Å³) and density matrices into a calculation without spin.

    ``ñ = ρ + ñ_core − Σ Q_aL g_L`` with the multipoles of the given D; GPAW then scales ñ to neutrality.
    """
    from ase.units import Bohr

    density = dft.density
    multipoles = []
    for a, matrix in enumerate(matrices):
        density.D_asii[a][0] = matrix
        multipoles.append(np.einsum("ij,ijl->l", matrix, density.delta_aiiL[a])[:9])
    cell = np.array(density.grid.cell_cv)
    shape = valence.shape
    compensation = compensation_density(multipoles, dft.atoms.get_positions() / Bohr, cell, shape)
    density.nt_sR.data[0] = valence * Bohr**3 + density.nct_R.data - compensation
    density.symmetrize(dft.ibzwfs.ibz.symmetries)
    density.normalize(0.0)
    dft.potential, dft.energies, _ = dft.pot_calc.calculate(density, dft.ibzwfs)


def fixed(dft: Any) -> tuple[float, int]:
    """Energy (eV) of converged wavefunctions in the present potential, and the iterations for them."""
    from ase.units import Ha

    loop = dft.scf_loop
    loop.update_density_and_potential = False
    count = 0
    for context in loop.iterate(dft.ibzwfs, dft.density, dft.potential, dft.energies, dft.pot_calc, maxiter=PASSES):
        energies, count = context.energies, context.niter
    loop.update_density_and_potential = True
    return float(energies.total_extrapolated) * Ha, count


def go_on(dft: Any) -> tuple[float, int]:
    """Energy (eV) of the converged loop, and its iterations."""
    iterations = sum(1 for _ in dft.iconverge())
    return float(dft.calculate_energy()), iterations


def solve(atoms: Any, settings: dict[str, Any], starts: dict[str, tuple[ndarray, ndarray]]) -> dict[str, Any]:
    """What OUT.json holds; see above."""
    dft = calculation(atoms, settings)
    sizes = [setup.ni for setup in dft.setups]
    energy_atoms, prepared = fixed(dft)
    energy, own = go_on(dft)
    own_start = {"energy": energy_atoms, "fixed": prepared, "iterations": own, "final": energy}
    found: dict[str, Any] = {"energy": energy, "starts": {"atoms": own_start}}
    for name, (valence, values) in starts.items():
        dft = calculation(atoms, settings)
        start_from(dft, valence, unpacked(values, sizes))
        start, count = fixed(dft)
        final, iterations = go_on(dft)
        found["starts"][name] = {"energy": start, "fixed": count, "iterations": iterations, "final": final}
    return found


def main(job: str, out: str) -> None:
    """Read the job, solve it, write the result whole or not at all."""
    from ase import Atoms

    with np.load(job) as file:
        settings = json.loads(str(file["settings"]))
        if settings.get("limit_s"):
            resource.setrlimit(resource.RLIMIT_CPU, (settings["limit_s"], settings["limit_s"]))
        atoms = Atoms(file["numbers"], positions=file["positions"], cell=file["cell"], pbc=file["pbc"])
        names = [key.removeprefix("density_") for key in file if key.startswith("density_")]
        pairs = [(file[f"density_{name}"].astype(float), file[f"matrices_{name}"].astype(float)) for name in names]
    starts = dict(zip(names, pairs, strict=True))
    temporary = Path(f"{out}.tmp{os.getpid()}")
    temporary.write_text(json.dumps(solve(atoms, settings, starts)) + "\n")
    temporary.replace(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
