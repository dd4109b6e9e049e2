"""Density matrices: setups, irreps against GPAW runs of a rotated crystal, the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from charge3net.errors import InputError
from charge3net.nn.e3nn import o3
from charge3net.paw.files import DensityMatrices, read_density_matrices, write_density_matrices
from charge3net.paw.matrices import IRREPS, PARTS, from_irreps, held, pack, to_irreps, unpack
from charge3net.paw.setups import COMMON, SHELLS, Setup

HERE = Path(__file__).parent
BORON = Setup("B.PBE.gz", 5, (2, 2, -1, -1, -1), (0, 1, 0, 1, 2), (2.0, 1.0, 0.0, 0.0, 0.0))
NICKEL = Setup("Ni.PBE.gz", 28, (4, 3, 4, 3, -1, -1), (0, 1, 1, 2, 0, 2), (2.0, 6.0, 0.0, 8.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def rotated() -> dict:
    """A triclinic crystal of Ce, O and H, and the same turned with its cell: D of GPAW (see its ``recipe``)."""
    with np.load(HERE / "rotated.npz") as file:
        found = {name: file[name] for name in file}
    table = json.loads(str(found["projectors"]))
    found["setups"] = [Setup.from_json(str(name), table[str(name)]) for name in found["setups"]]
    return found


def test_channels_of_a_setup_have_a_place_in_the_common_shells():
    assert [SHELLS[shell] for shell in NICKEL.shells] == [
        (0, "valence"), (1, "core"), (1, "valence"), (2, "valence"), (0, "free"), (2, "free"),
    ]  # fmt: skip
    assert (NICKEL.size, NICKEL.packed) == (18, 171)
    assert len(set(NICKEL.rows.tolist())) == 18
    assert NICKEL.rows.max() < COMMON
    np.testing.assert_allclose(np.diag(NICKEL.neutral)[[0, 1, 4, 7]], [2.0, 2.0, 0.0, 1.6])
    assert np.trace(NICKEL.neutral) == pytest.approx(16)
    assert Setup.from_json("Ni.PBE.gz", NICKEL.to_json()) == NICKEL


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n": (3, 2, -1), "l": (0, 1)}, "one entry"),
        ({"n": (3, 2, 1), "l": (0, 0, 0)}, "two channels"),
        ({"n": (5,), "l": (4,), "electrons": (0.0,)}, "l = 4"),
        ({"number": 0}, "atomic number"),
    ],
)
def test_setups_that_the_shells_cannot_hold_are_refused(changed, message):
    values = {"number": 5, "n": (3, 2, -1), "l": (0, 1, 0), "electrons": (1.0, 1.0, 0.0)} | changed
    with pytest.raises(InputError, match=message):
        Setup("X", **values)
    with pytest.raises(InputError, match="needs number"):
        Setup.from_json("X", {"number": 5})


def test_irreps_are_those_of_products_of_shells():
    """As many numbers as a symmetric matrix of the common basis has; parity (−1)^(l+l')."""
    assert IRREPS.dim == COMMON * (COMMON + 1) // 2
    for irrep, pairs in PARTS.items():
        for first, second in pairs:
            l1, l2 = SHELLS[first][0], SHELLS[second][0]
            assert abs(l1 - l2) <= irrep.l <= l1 + l2
            assert irrep.p == (-1) ** (l1 + l2)


@pytest.mark.parametrize("setup", [BORON, NICKEL])
def test_matrices_come_back_and_keep_their_length(setup):
    matrix = np.random.default_rng(0).normal(size=(setup.size, setup.size))
    matrix += matrix.T
    tensor = to_irreps(matrix, setup)
    np.testing.assert_allclose(from_irreps(tensor, setup), matrix, atol=1e-12)
    assert np.sum(tensor**2) == pytest.approx(np.sum(matrix**2))
    copies = np.repeat(held(setup), [irrep.dim for irrep, pairs in PARTS.items() for _ in pairs])
    assert copies.sum() == setup.packed
    assert np.abs(tensor[~copies]).max() == 0.0


def test_neutral_atoms_are_spherical():
    tensor = to_irreps(NICKEL.neutral, NICKEL)
    scalars = tensor[: len(PARTS[o3.Irrep("0e")])]
    assert np.sum(scalars**2) == pytest.approx(np.sum(NICKEL.neutral**2))
    assert np.abs(tensor[len(scalars) :]).max() < 1e-12


def test_tensors_rotate_with_the_crystal_as_gpaw_computes_it(rotated):
    """All l ≤ 3: a wrong order or sign of harmonics, or a factor of 2, would be of the size of D's own parts."""
    turn = torch.from_numpy(rotated["rotation"])
    wigner = IRREPS.D_from_matrix(turn).numpy()
    before, after = (unpack(values, rotated["setups"]) for values in rotated["matrices"])
    for setup, one, two in zip(rotated["setups"], before, after, strict=True):
        first, second = to_irreps(one, setup), to_irreps(two, setup)
        place = 0
        for mul, irrep in IRREPS:
            part = slice(place, place + mul * irrep.dim)
            size = np.abs(first[part]).max()
            place = part.stop
            if size > 1e-4:
                assert np.abs(second[part] - wigner[part, part] @ first[part]).max() < 0.02 * size, (setup.name, irrep)
        largest = np.abs(first[len(PARTS[o3.Irrep("0e")]) :]).max()
        assert np.abs(second - first).max() > 0.1 * largest  # it did turn


def test_packing_keeps_off_diagonal_numbers_as_they_are():
    matrix = np.arange(25.0).reshape(5, 5) + np.arange(25.0).reshape(5, 5).T
    hydrogen = Setup("H.PBE.gz", 1, (1, -1, -1), (0, 0, 1), (1.0, 0.0, 0.0))
    values = pack([matrix, 2 * matrix])
    assert values[1] == matrix[0, 1]
    assert len(values) == 30
    back = unpack(values, [hydrogen, hydrogen])
    np.testing.assert_array_equal(back[1], 2 * matrix)
    with pytest.raises(InputError, match="30 numbers where the setups of the atoms have 15"):
        unpack(values, [hydrogen])


def test_files_come_back(tmp_path):
    file = tmp_path / "d.npz"
    neutral = pack([BORON.neutral, NICKEL.neutral]).astype(np.float32)
    written = DensityMatrices(
        {5: BORON, 28: NICKEL},
        {"a": np.array([5, 28]), "b": np.array([28])},
        {"a": neutral, "b": 2 * neutral[BORON.packed :]},
        {"xc": "PBE"},
    )
    write_density_matrices(file, written)
    found = read_density_matrices(file)
    assert list(found) == ["a", "b"]
    assert found.setups == written.setups
    assert found.meta == {"xc": "PBE"}
    np.testing.assert_allclose(found["a"][1], NICKEL.neutral, atol=1e-7)
    np.testing.assert_allclose(found["b"][0], 2 * NICKEL.neutral, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": 2}, "this version reads"),
        ({"atoms": np.array([0, 1])}, "do not belong together"),
        ({"values": np.zeros(3, np.float32)}, "3 numbers where its setups have"),
        ({"numbers": np.array([28, 6])}, "no setup of the element 6"),
        ({"setups": "{"}, "holds no density matrices"),
    ],
)
def test_damaged_files_are_refused(tmp_path, changed, message):
    file = tmp_path / "d.npz"
    values = pack([NICKEL.neutral, NICKEL.neutral]).astype(np.float32)
    write_density_matrices(file, DensityMatrices({28: NICKEL}, {"a": np.array([28, 28])}, {"a": values}))
    with np.load(file) as arrays:
        np.savez(file, **({name: arrays[name] for name in arrays} | changed))
    with pytest.raises(InputError, match=message):
        read_density_matrices(file)
