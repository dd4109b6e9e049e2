"""Start GPAW (its new interface, mode PW) from a predicted density, in GPAW's environment (``make gpaw``).

    python examples/restart/gpaw_start.py

GPAW's state is the pseudo-density ñ and the atomic density matrices D. The models trained on the sets of
``data_prep/open_dft`` predict the valence density ρ = ñ − ñ_core + Σ Q_aL g_L (:mod:`data_prep.open_dft.scf`), from
which ñ follows once D is chosen: here that of neutral atoms. This starts at the density that was asked for, but saves
no iterations: each one is a fixed pass of the eigensolver, and the wavefunctions take as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from data_prep.open_dft.scf import valence_density


def start_from(dft: Any, density: ndarray) -> None:
    """Put a density into a calculation without spin, made with converge=False.

    Args:
        dft: the calculation.
        density: [nx, ny, nz] in e/Å³ on GPAW's own grid; it is scaled to the number of electrons.
    """
    from ase.units import Bohr

    atoms = valence_density(dft)[0]
    density = density * (atoms.sum() / density.sum())
    dft.density.nt_sR.data[0] += (density - atoms) * Bohr**3
    dft.potential, dft.energies, _ = dft.pot_calc.calculate(dft.density, dft.ibzwfs)


def main() -> None:
    """Silicon, from atoms and from its own exact density: iterations and energies."""
    from ase.build import bulk
    from gpaw.new.calculation import DFT

    silicon = bulk("Si")
    silicon.rattle(0.05, seed=1)
    exact = None
    for start in ("atoms", "exact density"):
        dft = DFT(
            silicon, mode={"name": "pw", "ecut": 300}, xc="PBE", kpts=(2, 2, 2), txt=None, converge=False,
            occupations={"name": "fermi-dirac", "width": 0.05},
        )  # fmt: skip
        if exact is not None:
            start_from(dft, exact)
            print(f"largest difference {np.abs(valence_density(dft)[0] - exact).max():.1e} e/Å³")
        iterations = sum(1 for _ in dft.iconverge())
        exact = valence_density(dft)[0]
        print(f"{start}: {dft.calculate_energy():.6f} eV in {iterations} iterations")


if __name__ == "__main__":
    main()
