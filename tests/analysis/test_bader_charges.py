"""The front door to Bader charges: hydrogens next to O, N, C get their electrons, and the note says what was added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charge3net import Density
from tests.helpers.gaussians import gaussian_density
from tests.test_density_methods import gaussians

#: Electrons of H in Bader volumes of all-electron densities: PySCF 2.14, PBE/def2-TZVP, a grid of 0.07 Å, the same
#: geometries, volumes by the weight method.
ALL_ELECTRON = {"H2O": 0.449, "NH3": 0.650, "C2H4": 0.955, "CH3CN": 0.917}


@pytest.mark.parametrize("name", ALL_ELECTRON)
def test_hydrogens_of_molecules(name: str, shared: Path) -> None:
    density = Density.read(shared / "dft" / "molecules" / f"g2-{name}.npz")
    found = density.bader()
    hydrogens = found.electrons[np.array(found.symbols) == "H"]
    np.testing.assert_allclose(hydrogens, ALL_ELECTRON[name], atol=0.16)
    assert found.electrons.sum() == pytest.approx(density.electrons(), rel=1e-9)
    np.testing.assert_allclose(found.charges.sum(), 0.0, atol=1e-4)
    assert found.without_maximum == ()
    assert "cores of Slater orbitals" in found.note
    assert "cusp of 1s" in found.note


def test_salt_of_lithium(shared: Path) -> None:
    """Li in LiF is known to lose about 0.9 electrons; one Li of GPAW's setup holds 1 electron and no maximum."""
    density = Density.read(shared / "dft" / "crystals" / "hand-LiF.npz")
    found = density.bader()
    charges = {symbol: charge for symbol, charge in zip(found.symbols, found.charges, strict=True)}
    assert 0.8 < charges["Li"] < 0.95
    assert "Li 2 e" in found.note
    lines = str(found).splitlines()
    assert len(lines) == len(density.geometry) + 2
    assert lines[-1] == found.note


def test_all_electrons_need_nothing() -> None:
    density = gaussians()
    whole = gaussian_density(density.geometry, density.grid, 0.4, charges=[9.0, 3.0], images=1)
    found = whole.bader()
    assert found.note == "nothing was added to the density"
    np.testing.assert_allclose(found.valence, [9, 3])


def test_what_is_lost_is_said() -> None:
    """An ion without electrons of its own: no maximum, and the note says it."""
    density = gaussians()
    alone = gaussian_density(density.geometry, density.grid, 0.4, charges=[9.0, 0.0], images=1)
    found = alone.bader({"F": 9, "Li": 3})
    assert found.without_maximum == (1,)
    assert "no maximum at atom 1" in found.note
    assert "no maximum" in str(found).splitlines()[2]
