"""Irreducible grid points, against operations found by trying all of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from ase import Atoms
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.predict.symmetrise import NoSymmetryError, symmetrise
from charge3net.predict.symmetry import GridSymmetry, _orbits, irreducible_voxels
from tests.helpers import crystals


def brute_force(atoms: Atoms, shape: tuple[int, int, int], origin=(0, 0, 0), proper: bool = False) -> list[frozenset]:
    """Sets of equivalent voxels: every integer matrix with entries −1, 0, 1 and every translation is tried."""
    cell, fractional, numbers = atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers
    matrices = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    cartesian = np.linalg.inv(cell)  # R (on fractional columns) is orthogonal where RᵀGR = G, G the metric
    metric = cell @ cell.T
    same_metric = np.abs(np.swapaxes(matrices, 1, 2) @ metric @ matrices - metric).max(axis=(1, 2)) < 1e-6
    matrices = matrices[same_metric]
    if proper:
        matrices = matrices[np.linalg.det(matrices) > 0]
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    places = voxels / shape + np.array(origin) @ cartesian
    edges = [np.zeros((2, 0), dtype=int)]
    for matrix in matrices:
        turned = fractional @ matrix.T
        for target in fractional[numbers == numbers[0]]:
            translation = target - turned[0]
            moved = turned + translation
            distance = moved[:, None] - fractional[None]
            distance = np.linalg.norm((distance - np.rint(distance)) @ cell, axis=-1)
            if not all((distance[i][numbers == numbers[i]] < 1e-4).any() for i in range(len(numbers))):
                continue
            images = (places @ matrix.T + translation - np.array(origin) @ cartesian) * shape
            if np.abs(images - np.rint(images)).max() > 1e-4:
                continue
            flat = np.ravel_multi_index((np.rint(images).astype(int) % shape).T, shape)
            edges.append(np.stack([np.arange(len(flat)), flat]))
    rows, columns = np.concatenate(edges, axis=1)
    _, label = connected_components(coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(voxels),) * 2))
    return as_sets(label)


def as_sets(label: np.ndarray) -> list[frozenset]:
    order = np.argsort(label, kind="stable")
    cuts = np.flatnonzero(np.diff(label[order])) + 1
    return sorted((frozenset(part.tolist()) for part in np.split(order, cuts)), key=min)


def find(atoms: Atoms, shape, **options) -> GridSymmetry:
    geometry = Geometry.of(atoms)
    return irreducible_voxels(symmetrise(geometry, Grid(geometry.cell, shape), **options))


@pytest.mark.parametrize(
    ("make", "saving"),
    [
        (crystals.sodium_chloride, 144),
        (crystals.silicon, 43),
        (crystals.strontium_titanate, 40),
        (crystals.lithium_cobalt_oxide, 34),
        (crystals.barium_vanadium_sulfide, 22),
        (crystals.rutile, 15),
    ],
)
def test_points_saved_on_the_grids_the_project_was_asked_for(make, saving):
    assert round(find(make(), (60, 60, 60)).saving) == saving


@pytest.mark.parametrize(
    ("atoms", "shape"),
    [
        (crystals.sodium_chloride(), (12, 12, 12)),
        (crystals.sodium_chloride(), (8, 8, 6)),  # only what keeps the third axis apart
        (crystals.sodium_chloride(), (7, 7, 7)),  # no centring translation
        (crystals.silicon(), (8, 8, 8)),
        (crystals.lithium_cobalt_oxide(), (6, 6, 12)),
        (crystals.lithium_cobalt_oxide(), (6, 6, 10)),  # rhombohedral translations by thirds do not fit
        (crystals.barium_vanadium_sulfide(), (6, 6, 8)),
        (crystals.rutile(), (8, 8, 6)),
        (crystals.quartz(), (6, 6, 6)),
        (crystals.strontium_titanate().repeat((2, 1, 1)), (12, 6, 6)),
        (crystals.strontium_titanate().repeat((3, 3, 1)), (9, 9, 4)),
    ],
    ids=lambda value: value.get_chemical_formula() if isinstance(value, Atoms) else "x".join(map(str, value)),
)
def test_orbits_are_those_of_all_operations_there_are(atoms, shape):
    expected = brute_force(atoms, shape)
    found = find(atoms, shape)
    assert as_sets(found.orbit) == expected
    assert found.representatives.tolist() == [min(orbit) for orbit in expected]
    np.testing.assert_array_equal(found.orbit[found.representatives], np.arange(len(expected)))


def test_proper_leaves_out_mirrors_and_inversion():
    atoms, shape = crystals.rutile(), (8, 8, 6)
    expected = brute_force(atoms, shape, proper=True)
    assert as_sets(find(atoms, shape, proper=True).orbit) == expected
    assert len(expected) > len(brute_force(atoms, shape))


def test_origin_of_the_grid_counts():
    atoms, shape, origin = crystals.rutile(), (6, 6, 4), np.array([4.594 / 12, 4.594 / 12, 0.0])
    geometry = Geometry.of(atoms)
    found = irreducible_voxels(symmetrise(geometry, Grid(geometry.cell, shape, origin)))
    assert as_sets(found.orbit) == brute_force(atoms, shape, origin)
    assert as_sets(found.orbit) != brute_force(atoms, shape)


def test_atoms_need_not_lie_in_the_cell_nor_the_cell_be_right_handed():
    atoms = crystals.rutile()
    moved = atoms.copy()
    moved.positions += np.array([[2, -1, 3]]) @ atoms.cell.array * (np.arange(len(atoms)) % 2)[:, None]
    np.testing.assert_array_equal(find(moved, (8, 8, 6)).orbit, find(atoms, (8, 8, 6)).orbit)
    mirrored = Atoms(atoms.numbers, atoms.positions * [1, 1, -1], cell=atoms.cell.array * [1, 1, -1], pbc=True)
    np.testing.assert_array_equal(find(mirrored, (8, 8, 6)).orbit, find(atoms, (8, 8, 6)).orbit)


@pytest.mark.parametrize("order", ["C", "F"])
def test_spread_copies_to_every_equivalent_voxel(order):
    found = find(crystals.rutile(), (6, 6, 4))
    out = np.full((6, 6, 4), np.nan, dtype=np.float32, order=order)
    found.spread(np.arange(len(found.representatives), dtype=np.float32), out)
    for number, orbit in enumerate(brute_force(crystals.rutile(), (6, 6, 4))):
        assert set(out.ravel()[list(orbit)].tolist()) == {float(number)}


def test_symmetric_to_a_millionth_of_an_ångström_is_symmetric_and_to_a_thousandth_is_not():
    atoms = crystals.silicon()
    atoms.positions[1] += 1e-6
    assert find(atoms, (8, 8, 8)).operations == 48
    atoms = crystals.sodium_chloride()
    atoms.rattle(1e-3, seed=1)
    with pytest.raises(NoSymmetryError, match="no symmetry to 1e-05"):
        find(atoms, (6, 6, 6))


@pytest.mark.parametrize(
    ("atoms", "grid", "reason"),
    [
        (Atoms("H2", [[0, 0, 0], [0, 0, 0.74]], cell=[5, 5, 5]), Grid(5 * np.eye(3), (4, 4, 4)), "not periodic in all"),
        (crystals.silicon(), Grid(5.43 * np.eye(3), (4, 4, 4)), "does not span the cell"),
        (crystals.quartz(), Grid(crystals.quartz().cell.array, (5, 7, 11)), "none of the 6 operations"),
        (Atoms("H2", np.zeros((2, 3)), cell=[3, 3, 3], pbc=True), Grid(3 * np.eye(3), (4, 4, 4)), "spglib finds no"),
        (crystals.silicon(), Grid(crystals.silicon().cell.array, (400, 400, 400)), "above 50000000 voxels"),
    ],
)
def test_refused_with_a_reason(atoms, grid, reason):
    with pytest.raises(NoSymmetryError, match=reason):
        symmetrise(Geometry.of(atoms), grid)


def test_operations_that_are_no_group_are_refused():
    identity = np.eye(3, dtype=np.int64)
    with pytest.raises(NoSymmetryError, match="do not form a group"):
        _orbits(np.stack([identity, identity]), np.array([[0, 0, 0], [1, 0, 0]]), (4, 2, 2))
