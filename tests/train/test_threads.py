"""Threads of a training: what is asked for, else the cores that are free."""

from __future__ import annotations

import pytest

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
