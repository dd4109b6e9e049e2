"""A small store with known errors, and a predictor whose errors are known in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from charge3net.data.splits import Split
from charge3net.data.store import Store, StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from tests.helpers.gaussians import gaussian_density

CELL = np.array([[4.0, 0.0, 0.0], [1.0, 3.6, 0.0], [0.3, -0.4, 4.4]])


def make_store(folder: Path, materials: int = 6, spin: bool = False) -> tuple[Store, Split]:
    """LiH-like cells, rattled; the baseline is the density times 1.25, so its ε_mae is 25 %."""
    rng = np.random.default_rng(0)
    with StoreWriter(folder) as writer:
        for i in range(materials):
            positions = np.array([[0.1, 0.1, 0.1], [2.2, 1.7, 2.1]]) + rng.normal(0, 0.15, (2, 3))
            geometry = Geometry(np.array([1, 3]), positions, CELL, np.ones(3, dtype=bool))
            grid = Grid(CELL, (14, 12, 16))
            values = gaussian_density(geometry, grid, {1: 0.5, 3: 0.6}).values
            if spin:
                values = np.concatenate([values, 0.5 * values])
            writer.add(f"m{i}", Density(geometry, grid, values), baseline=1.25 * values[0], meta={"code": "analytic"})
    keys = [f"m{i}" for i in range(materials)]
    return Store(folder), Split(tuple(keys[: materials - 4]), (keys[materials - 4],), tuple(keys[materials - 3 :]))


class Scaled:
    """Predicts the stored density times a factor per material: ε_mae is |factor − 1|."""

    def __init__(self, store: Store, factors: dict[str, float], broken: str = "") -> None:
        self.store, self.factors, self.broken = store, factors, broken
        self.asked: list[str] = []

    def predict(self, structure: Any, *, grid: Grid) -> Density:
        key = next(k for k in self.store if np.array_equal(self.store[k].geometry.positions, structure.positions))
        self.asked.append(key)
        if key == self.broken:
            raise InputError("the model predicts a number that is not finite")
        return Density(structure, grid, self.store[key].values * np.float32(self.factors[key]))
