"""Threads of a training: what is asked for, else the cores that are free."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits
from torch.utils.data import DataLoader

from charge3net.train.datamodule import DensityDataModule
from charge3net.train.threads import choose_threads


@pytest.mark.parametrize(
    ("asked", "processes", "cores", "busy", "environment", "expected"),
    [
        (3, 1, 16, 16.0, {"OMP_NUM_THREADS": "2"}, 3),
        (None, 1, 16, 0.0, {"OMP_NUM_THREADS": "7"}, 7),
        (None, 1, 16, 0.0, {"OMP_NUM_THREADS": "many"}, 4),
        (None, 1, 2, 0.2, {}, 2),
        (None, 1, 2, 1.1, {}, 1),
        (None, 1, 2, 2.0, {}, 1),
        (None, 2, 8, 0.0, {}, 4),
        (None, 4, 8, 3.6, {}, 1),
        (None, 3, 8, 0.0, {}, 2),
    ],
)
def test_threads(
    asked: int | None, processes: int, cores: int, busy: float, environment: dict[str, str], expected: int
) -> None:
    assert choose_threads(asked, processes, cores, busy, environment)[0] == expected


def threads_here(_: Any) -> list[int]:
    np.ones((4, 4)) @ np.ones((4, 4))  # loads the library
    return [library["num_threads"] for library in threadpool_info()]


def test_data_workers_take_one_thread_each() -> None:
    settings = DensityDataModule._loading(SimpleNamespace(workers=1, pin_memory=False))
    assert settings["num_workers"] == 1
    with threadpool_limits(2):  # what a worker would inherit
        loader = DataLoader([0], **{**settings, "collate_fn": threads_here})
        (found,) = list(loader)
    assert found
    assert set(found) == {1}
