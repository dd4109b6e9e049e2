"""Removal of an atom: who is gone, what changed, and how wrong a prediction of it is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from charge3net.analysis.charge_transfer import difference_error, find_removal, near_vacancy, transfer_error
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

CELL = np.array([[4.0, 0.0, 0.0], [1.0, 3.6, 0.0], [0.3, -0.4, 4.4]])
POSITIONS = np.array([[0.1, 0.1, 0.1], [2.2, 1.7, 2.1], [3.0, 0.4, 3.9], [1.0, 2.9, 1.2]])


def _cell(numbers: list[int], positions: np.ndarray) -> Geometry:
    return Geometry(np.array(numbers), positions, CELL, np.ones(3, dtype=bool))


def test_the_missing_atom_is_found_whatever_the_order_and_the_image() -> None:
    before = _cell([8, 3, 27, 8], POSITIONS)
    order = [3, 0, 2]
    moved = POSITIONS[order] + np.array([CELL[0], np.zeros(3), -CELL[2] + CELL[1]])
    removal = find_removal(before, _cell([8, 8, 27], moved))
    assert removal.removed == 1
    assert removal.kept.tolist() == order
    assert removal.numbers.tolist() == [8, 8, 27]
    shifts = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3))) @ CELL
    expected = [min(np.linalg.norm(POSITIONS[i] - POSITIONS[1] - s) for s in shifts) for i in order]
    np.testing.assert_allclose(removal.distances, expected)
    changes = removal.changes(np.array([6.0, 0.1, 8.0, 7.0]), np.array([6.8, 5.9, 7.5]))
    np.testing.assert_allclose(changes, [-0.2, -0.1, -0.5])


def test_voxels_near_the_vacancy() -> None:
    before = _cell([8, 3, 27, 8], POSITIONS)
    removal = find_removal(before, _cell([8, 27, 8], POSITIONS[[0, 2, 3]]))
    grid = Grid(CELL, (8, 9, 10))
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ CELL
    distances = np.linalg.norm(grid.points()[:, None] - POSITIONS[1] - shifts, axis=2).min(axis=1)
    near = near_vacancy(removal, grid, before, 1.5)
    np.testing.assert_array_equal(near.reshape(-1), distances <= 1.5)
    assert 0 < near.sum() < near.size


@pytest.mark.parametrize(
    ("numbers", "rows", "shift"),
    [([8, 27], [0, 2], 0), ([8, 27, 8], [0, 2, 3], 0.05), ([8, 27, 7], [0, 2, 3], 0), ([8, 3, 27, 8], [0, 1, 2, 3], 0)],
)  # fmt: skip
def test_other_pairs_are_refused(numbers: list[int], rows: list[int], shift: float) -> None:
    positions = POSITIONS[rows].copy()
    positions[0, 0] += shift
    with pytest.raises(InputError, match="without one atom"):
        find_removal(_cell([8, 3, 27, 8], POSITIONS), _cell(numbers, positions))


def test_errors_by_hand() -> None:
    target = np.array([-0.5, -0.3, 0.2])
    assert transfer_error(np.zeros(3), target) == pytest.approx(100.0)
    assert transfer_error(np.array([-0.4, -0.3, 0.0]), target) == pytest.approx(30.0)
    assert np.isnan(transfer_error(target, np.zeros(3)))


def test_error_of_the_difference_density() -> None:
    rng = np.random.default_rng(2)
    grid, geometry = Grid(CELL, (4, 5, 6)), _cell([8], POSITIONS[:1])
    true, wrong = ([Density(geometry, grid, rng.random((1, 4, 5, 6))) for _ in range(2)] for _ in range(2))
    where = rng.random(grid.shape) < 0.4
    change, predicted = (pair[0].total - pair[1].total for pair in (true, wrong))
    for chosen, mask in ((np.ones(grid.shape, dtype=bool), None), (where, where)):
        expected = 100 * np.abs(predicted - change)[chosen].sum() / np.abs(change)[chosen].sum()
        assert difference_error((wrong[0], wrong[1]), (true[0], true[1]), mask) == pytest.approx(expected)
    other = Density(geometry, Grid(CELL, (4, 5, 7)), np.zeros((1, 4, 5, 7)))
    with pytest.raises(InputError, match="grids differ"):
        difference_error((other, other), (true[0], true[1]))
