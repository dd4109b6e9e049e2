"""Nearest atoms against brute force over many images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from charge3net.analysis.nearest import nearest_atoms
from charge3net.geometry import Geometry

CELLS = {
    "cubic": np.eye(3) * 4.0,
    "sheared": np.array([[2.0, 0, 0], [1.9, 0.9, 0], [1.1, 0.4, 1.3]]),
    "needle": np.array([[1.0, 0, 0], [0.45, 0.8, 0], [0.3, 0.2, 7.0]]),
    "left-handed": np.array([[0, 3.0, 0], [2.5, 0.2, 0], [0.4, 0.1, 3.5]]),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("pbc", list(itertools.product([False, True], repeat=3)))
def test_against_brute_force(name: str, pbc: tuple[bool, bool, bool]) -> None:
    rng = np.random.default_rng(3)
    cell = CELLS[name]
    geometry = Geometry(np.array([1, 6]), rng.uniform(-2, 2, (2, 3)) @ cell, cell, np.array(pbc))
    points = rng.uniform(-1.5, 1.5, (40, 3)) @ cell
    ranges = [range(-12, 13) if p else range(1) for p in pbc]
    shifts = np.array(list(itertools.product(*ranges)), dtype=float) @ cell
    images = (geometry.positions[:, None] + shifts[None]).reshape(-1, 3)
    expected = np.linalg.norm(points[:, None] - images[None], axis=-1).min(axis=1)
    nearest = nearest_atoms(points, geometry)
    np.testing.assert_allclose(nearest.distances, expected, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(nearest.vectors, axis=1), expected, atol=1e-9)
    # point − vector is an image of the atom it names
    shift = (points - nearest.vectors - geometry.positions[nearest.atoms]) @ np.linalg.inv(cell)
    np.testing.assert_allclose(shift, np.round(shift), atol=1e-9)
    assert not shift[:, ~np.array(pbc)].round().any()


def test_a_molecule_without_a_cell() -> None:
    geometry = Geometry(
        np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, 2.0]]), np.zeros((3, 3)), np.zeros(3, dtype=bool)
    )
    nearest = nearest_atoms(np.array([[0, 0, 0.9], [0, 0, 1.1], [0, 0, 30.0]]), geometry)
    assert nearest.atoms.tolist() == [0, 1, 1]
    np.testing.assert_allclose(nearest.distances, [0.9, 0.9, 28.0])
