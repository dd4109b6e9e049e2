"""Small stores of made-up densities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from charge3net.data.splits import Split
from charge3net.data.store import StoreWriter
from tests.helpers.random_densities import make_density


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Path]:
    """Makes a store of n densities named m00, m01, …"""

    def make(n: int, channels: int = 1, name: str = "store") -> Path:
        with StoreWriter(tmp_path / name) as writer:
            for i in range(n):
                assert writer.add(f"m{i:02d}", make_density(i, channels))
        return tmp_path / name

    return make


@pytest.fixture
def store_and_split(make_store: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """A store of 10 densities and a split of 7, 2 and 1."""
    names = [f"m{i:02d}" for i in range(10)]
    Split(tuple(names[:7]), tuple(names[7:9]), tuple(names[9:])).save(tmp_path / "split.json")
    return make_store(10), tmp_path / "split.json"
