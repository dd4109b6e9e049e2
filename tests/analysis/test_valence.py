"""Valences from ∫ρ: of VASP's POTCARs, of GPAW's setups, of all electrons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charge3net import Density
from charge3net.analysis.valence import usual_valences, valence_of
from charge3net.errors import InputError
from charge3net.geometry import Geometry

#: ZVAL of VASP's PBE potentials, as their headers and the manual's table of recommended potentials list them.
POTENTIALS = {
    3: (1, 3), 8: (6,), 11: (1, 7, 9), 12: (2, 8, 10), 14: (4,), 17: (7,), 19: (7, 9), 20: (8, 10), 22: (4, 10, 12),
    25: (7, 13, 15), 26: (8, 14, 16), 29: (11, 17), 30: (12,), 31: (3, 13), 32: (4, 14), 35: (7,), 38: (10,),
    40: (4, 12), 42: (6, 12, 14), 46: (10, 16), 47: (11, 17), 49: (3, 13), 50: (4, 14), 53: (7,), 55: (9,), 56: (10,),
    57: (9, 11), 58: (12,), 60: (11, 14), 70: (8, 9), 72: (4, 10, 12), 74: (6, 12, 14), 78: (10, 16), 79: (11,),
    81: (3, 13), 82: (4, 14), 83: (5, 15), 92: (14,),
}  # fmt: skip


def molecule(*numbers: int) -> Geometry:
    return Geometry(
        np.array(numbers), np.arange(3.0 * len(numbers)).reshape(-1, 3), np.zeros((3, 3)), np.zeros(3, bool)
    )


@pytest.mark.parametrize("number", sorted(POTENTIALS))
def test_valences_of_vasp_are_among_the_usual(number: int) -> None:
    assert set(POTENTIALS[number]) - set(usual_valences(number)) <= ({9} if number == 57 else set())


def test_cores_follow_from_the_integral() -> None:
    water = molecule(8, 1, 1)
    assert valence_of(water, 8.0) == {1: 1, 8: 6}
    assert valence_of(water, 10.01) == {1: 1, 8: 8}  # all electrons
    assert valence_of(water, 8.15) == {1: 1, 8: 6}  # a prediction
    assert valence_of(molecule(3, 27, 8, 8), 24.0) == {3: 3, 8: 6, 27: 9}
    assert valence_of(molecule(22, 8, 8), 22.0) == {8: 6, 22: 10}


def test_what_cannot_be_told_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"valence=\{'Li': 1, 'O': 6, 'Mn': 15\} or \{'Li': 3, 'O': 6, 'Mn': 13\}"):
        valence_of(molecule(3, 25, 8, 8), 28.0)
    assert valence_of(molecule(3, 25, 8, 8), 28.0, {"Li": 3}) == {3: 3, 8: 6, 25: 13}
    with pytest.raises(InputError, match=r"no usual valences of H, O sum up to the 5\.000 electrons"):
        valence_of(molecule(8, 1, 1), 5.0)
    assert valence_of(molecule(8, 1, 1), 7.0, {"O": 6, "H": 1}) == {1: 1, 8: 6}  # a cation
    for wrong, message in (({"Xx": 1}, "'Xx' is not the symbol"), ({"O": 9}, "O has 0 to 8 electrons")):
        with pytest.raises(InputError, match=message):
            valence_of(molecule(8, 1, 1), 8.0, wrong)


def test_densities_of_gpaw(shared: Path) -> None:
    for name, expected in (("hand-LiCoO2", {3: 1, 8: 6, 27: 9}), ("hand-TiO2", {8: 6, 22: 10}), ("hand-Si", {14: 4})):
        density = Density.read(shared / "dft" / "crystals" / f"{name}.npz")
        held = density.valence()
        total = sum(held[int(z)] for z in density.geometry.numbers)
        assert total == pytest.approx(density.electrons(), abs=0.05)
        assert held.keys() == expected.keys()
