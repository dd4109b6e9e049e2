"""Structures that are easy to get wrong, and probe points near their atoms."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.geometry import Geometry

Points = Float[ndarray, "probes 3"]


def hard_structures() -> dict[str, Geometry]:
    """Structures that are easy to get wrong, by what is difficult about them."""
    every, none = np.ones(3, bool), np.zeros(3, bool)
    rhombohedral = np.array([[2.1, 1.2, 4.6], [-2.1, 1.2, 4.6], [0.0, -2.4, 4.6]])
    skewed = np.array([[3.2, 0.0, 0.0], [2.9, 1.9, 0.0], [-2.4, 1.1, 3.0]])
    hydroxyl = np.array([[0.0, 0.0, 0.0], [0.9, 0.3, 0.1], [-1.1, 0.8, -0.3]])
    return {
        "rhombohedral": Geometry(
            np.array([3, 27, 8]), np.array([[0.1, 0, 0], [0, 0, 7.0], [0.2, 0, 3.4]]), rhombohedral, every
        ),
        "skewed": Geometry(np.array([11, 17]), np.array([[0.1, 0.2, 0.0], [1.9, 1.3, 1.4]]), skewed, every),
        "smaller than the cutoff": Geometry(np.array([29]), np.array([[0.3, 0.1, 0.2]]), np.eye(3) * 2.3, every),
        "left-handed": Geometry(
            np.array([14, 6]), np.array([[0.0, 0, 0], [1.0, 1.2, 0.8]]), np.eye(3)[[1, 0, 2]] * 3.1, every
        ),
        "atoms outside the cell": Geometry(np.array([8, 1, 1]), hydroxyl + 23.0, np.eye(3) * 6.0, every),
        "slab": Geometry(
            np.array([13, 8]), np.array([[0.2, 0.1, 9.0], [1.4, 1.6, 10.7]]), np.diag([2.9, 3.1, 20.0]),
            np.array([True, True, False]),
        ),
        "wire": Geometry(
            np.array([6, 9]), np.array([[0.0, 0.0, 0.3], [0.4, 1.2, 1.1]]), np.diag([0.0, 0.0, 2.6]),
            np.array([False, False, True]),
        ),
        "molecule without a cell": Geometry(np.array([8, 1, 1]), hydroxyl, np.zeros((3, 3)), none),
        "one atom": Geometry(np.array([92]), np.array([[0.5, 0.5, 0.5]]), np.zeros((3, 3)), none),
        "unknown species": Geometry(np.array([0, 8]), np.array([[0.0, 0, 0], [1.3, 0, 0]]), np.eye(3) * 5.0, every),
    }  # fmt: skip


def points_near(geometry: Geometry, n: int, seed: int = 0) -> Points:
    """[n, 3] random points in Å, most within 3 Å of an atom, the first on an atom."""
    rng = np.random.default_rng(seed)
    atoms = geometry.positions[rng.integers(len(geometry), size=n)]
    points = atoms + rng.normal(scale=1.3, size=(n, 3))
    points[0] = geometry.positions[0]
    return points
