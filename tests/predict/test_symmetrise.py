"""Structures whose symmetry holds to a few digits: what is read obeys it exactly, so both ways of reading agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from charge3net import Predictor
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.predict.symmetrise import TOLERANCE, NoSymmetryError, Symmetrised, symmetrise
from tests.helpers import crystals
from tests.helpers.networks import small_model

PROTOTYPES = {
    "Pb": lambda: bulk("Pb", "fcc", a=4.95),
    "CsCl": lambda: bulk("CsCl", "cesiumchloride", a=4.0),  # atoms exactly at the cutoff of others, and of voxels
    "NaCl": crystals.sodium_chloride,
    "Si": crystals.silicon,
    "TiO2": crystals.rutile,
    "SiO2": crystals.quartz,
    "SrTiO3": lambda: crystals.strontium_titanate().repeat((2, 1, 1)),
    "LiCoO2": crystals.lithium_cobalt_oxide,
}


def noisy(atoms: Atoms, kind: str, rng: np.random.Generator) -> Geometry:
    """Positions, and for some kinds cells, as files have them: moved, or written with few digits."""
    positions, cell = atoms.positions.copy(), atoms.cell.array.copy()
    if kind == "shift":
        positions += 9e-6 * np.array([0.6, -0.48, 0.64])
    elif kind.startswith("digits"):
        fractional, digits = np.linalg.solve(cell.T, positions.T).T, int(kind[-1])
        cell = np.round(cell, digits)
        positions = np.round(fractional, digits) @ cell
    elif kind.startswith("strain"):
        strain = float(kind[6:]) * rng.normal(size=(3, 3))
        cell, positions = cell @ (np.eye(3) + strain), positions @ (np.eye(3) + strain)
    else:
        positions += float(kind) * rng.normal(size=positions.shape) / np.sqrt(3)
    return Geometry(atoms.numbers, positions, cell, np.ones(3, dtype=bool))


def farthest_image(found: Symmetrised) -> float:
    """How far, in Å, the operations on the grid take an atom from the nearest atom of its element."""
    geometry, shape = found.geometry, np.array(found.grid.shape)
    inverse = np.linalg.inv(geometry.cell)
    places, origin = geometry.positions @ inverse, found.grid.origin @ inverse
    farthest = 0.0
    for matrix, shift in zip(found.matrices, found.shifts, strict=True):
        image = (((places - origin) * shape) @ matrix.T + shift) / shape + origin  # voxel numbers need not be integers
        distance = image[:, None] - places[None]
        distance = np.linalg.norm((distance - np.rint(distance)) @ geometry.cell, axis=-1)
        distance[geometry.numbers[:, None] != geometry.numbers[None]] = np.inf
        farthest = max(farthest, float(distance.min(axis=1).max()))
        turned = shape[:, None] ** -1.0 * matrix * shape[None]  # R
        metric = geometry.cell @ geometry.cell.T
        farthest = max(farthest, float(np.abs(turned.T @ metric @ turned - metric).max() / np.abs(metric).max()))
    return farthest


@pytest.mark.parametrize("kind", ["shift", "1e-7", "1e-6", "3e-6", "1e-5", "2e-5", "digits6", "digits5", "strain3e-7"])
@pytest.mark.parametrize("name", PROTOTYPES)
def test_operations_hold_exactly_and_atoms_move_by_no_more_than_their_errors(name, kind):
    geometry = noisy(PROTOTYPES[name](), kind, np.random.default_rng(7))
    found_any = False
    for shape, origin in [((12, 12, 12), 0.0), ((9, 9, 9), 0.0), ((8, 8, 6), 0.0), ((12, 12, 12), 1.0 / 24)]:
        corner = np.full(3, origin) @ geometry.cell
        try:
            found = symmetrise(geometry, Grid(geometry.cell, shape, corner))
        except NoSymmetryError:
            continue
        found_any = True
        assert farthest_image(found) < 1e-12
        np.testing.assert_allclose(found.geometry.positions, geometry.positions, rtol=0, atol=5 * TOLERANCE)
        np.testing.assert_allclose(found.geometry.cell, geometry.cell, rtol=0, atol=5 * TOLERANCE)
        assert found.moved <= 5 * TOLERANCE
        assert found.grid.shape == shape
        np.testing.assert_allclose(found.grid.origin, corner, rtol=0, atol=5 * TOLERANCE)
    if kind in ("1e-7", "1e-6", "strain3e-7"):
        assert found_any


def test_exact_structures_stay():
    for make in PROTOTYPES.values():
        geometry = Geometry.of(make())
        found = symmetrise(geometry, Grid(geometry.cell, (12, 12, 12)))
        assert found.moved < 1e-13
        np.testing.assert_allclose(found.geometry.cell, geometry.cell, rtol=0, atol=1e-13)


def test_the_common_shift_of_all_atoms_is_taken_back():
    """One atom has no symmetry of its own to lose: only its place on the grid is off."""
    atoms = bulk("Pb", "fcc", a=4.95)
    shifted = atoms.copy()
    shifted.positions += [3e-6, -4e-6, 1e-6]
    found = symmetrise(Geometry.of(shifted), Grid(atoms.cell.array, (12, 12, 12)))
    np.testing.assert_allclose(found.geometry.positions, atoms.positions, rtol=0, atol=1e-15)
    assert found.moved == pytest.approx(np.sqrt(26) * 1e-6, rel=1e-6)


@pytest.mark.parametrize("name", PROTOTYPES)
def test_both_ways_of_reading_noisy_structures_agree(name):
    """ChargE3Net jumps where an atom crosses the cutoff, and has no direction on an atom: shifts of 1e-6 Å matter."""
    rng = np.random.default_rng(3)
    predictor = Predictor(small_model("charge3net"))
    used = 0
    for kind, n in (
        ("shift", 8),
        ("3e-6", 9),
        ("3e-6", 6),
        ("1e-5", 8),
        ("2e-5", 6),
        ("digits6", 8),
        ("strain3e-7", 8),
    ):
        geometry = noisy(PROTOTYPES[name](), kind, rng)
        few, every = (predictor.predict(geometry, shape=(n, n, n), symmetry=use) for use in (True, False))
        used += not few.provenance["symmetry"].startswith("not used")
        assert np.abs(few.values - every.values).max() <= 5e-6 * np.abs(every.values).max()
        assert few.geometry is geometry
    assert used >= 3


def test_kernels_and_torch_leave_out_atoms_exactly_at_the_cutoff():
    atoms = bulk("CsCl", "cesiumchloride", a=4.0)
    atoms.positions += [0.1, 0.2, 0.3]  # rounding differs from voxel to voxel
    predictor = Predictor(small_model("charge3net"))
    compiled = predictor.predict(atoms, shape=(10, 10, 10), symmetry=False).values
    plain = Predictor(small_model("charge3net").double(), kernels=False)
    full = plain.predict(atoms, shape=(10, 10, 10), symmetry=False).values
    assert np.abs(compiled - full).max() <= 1e-5 * np.abs(full).max()
    moved = atoms.copy()
    moved.positions += 4.0 * np.array([[3, -5, 2], [0, 1, 0]])
    again = plain.predict(moved, shape=(10, 10, 10), symmetry=False).values
    assert np.abs(again - full).max() <= 1e-10 * np.abs(full).max()
    torch.testing.assert_close(torch.tensor(again), torch.tensor(full), rtol=0, atol=1e-9)
