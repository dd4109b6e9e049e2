"""Densities of random numbers: every value is known without the code under test."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid

FORMULAS = [[3, 9], [12, 8], [14, 14], [11, 17], [3, 8, 3]]


def make_density(number: int, channels: int = 1) -> Density:
    """Random positive values in a skewed cell; two or three atoms, one of them outside the cell."""
    rng = np.random.default_rng(number)
    cell = np.array([[3.1, 0.0, 0.0], [0.4, 3.4, 0.0], [-0.3, 0.2, 3.7]]) * (1 + 0.02 * number)
    numbers = np.array(FORMULAS[number % len(FORMULAS)])
    positions = rng.random((len(numbers), 3)) @ cell + cell[0] * np.arange(len(numbers))[:, None]
    shape = (5 + number % 3, 6, 7)
    values = (rng.random((channels, *shape)) + 0.01) / 2  # 8 to 13 electrons
    return Density(Geometry(numbers, positions, cell, np.ones(3, dtype=bool)), Grid(cell, shape), values)


def written(density: Density) -> ndarray:
    """What a store must give back: float32."""
    return np.asarray(density.values).astype(np.float32)
