"""A small set of densities that a network can learn: Gaussians on atoms, summed over periodic images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charge3net.data.splits import Split
from charge3net.data.store import StoreWriter
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.train.config import DataConfig, LoopConfig, OptimConfig, RuntimeConfig, ScheduleConfig, TrainConfig
from tests.helpers.gaussians import gaussian_density

N_TRAIN, N_VALIDATION = 5, 3


def write_store(folder: Path) -> tuple[Path, Path]:
    """Write a store and a split of random cells with two or three atoms; returns their paths."""
    rng = np.random.default_rng(7)
    keys = [f"m{i}" for i in range(N_TRAIN + N_VALIDATION)]
    with StoreWriter(folder / "store") as writer:
        for key in keys:
            n = int(rng.integers(2, 4))
            cell = 4.0 * np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3))
            geometry = Geometry(rng.integers(1, 9, n), rng.uniform(0, 4, (n, 3)), cell, np.ones(3, dtype=bool))
            grid = Grid(cell, (8, 8, 8))
            assert writer.add(key, gaussian_density(geometry, grid, 0.5**0.5, images=1))
    Split(tuple(keys[:N_TRAIN]), tuple(keys[N_TRAIN:]), ()).save(folder / "split.json")
    return folder / "store", folder / "split.json"


@pytest.fixture(scope="session")
def densities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Paths of the store and of the split."""
    return write_store(tmp_path_factory.mktemp("densities"))


@pytest.fixture
def config(densities: tuple[Path, Path], tmp_path: Path) -> TrainConfig:
    """A run of 12 steps that takes a second."""
    return TrainConfig(
        name="tiny",
        output=str(tmp_path / "run"),
        model={"architecture": "schnet", "features": 8, "num_interactions": 1, "cutoff": 3.0},
        data=DataConfig(str(densities[0]), str(densities[1]), batch_size=2, probes=20, val_probes=40),
        optim=OptimConfig(lr=0.01, schedule=ScheduleConfig("power", beta=10.0)),
        train=LoopConfig(max_steps=12, val_every=5, log_every=2),
        runtime=RuntimeConfig(accelerator="cpu", threads=1, progress=False),
    )
