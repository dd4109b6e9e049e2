"""Stores in pseudo-random order: the same densities, random probes in one piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charge3net.data.dataset import FixedProbeDataset, ProbeDataset
from charge3net.data.sampling import sample_chunk
from charge3net.data.shuffle import shuffle, shuffled_voxels, unshuffle
from charge3net.data.store import Store, StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

SHAPE = (7, 9, 11)


@pytest.fixture
def densities() -> dict[str, Density]:
    rng = np.random.default_rng(0)
    cell = np.diag([3.0, 4.0, 5.0])
    geometry = Geometry(np.array([14, 8]), rng.uniform(0, 3, (2, 3)), cell, np.ones(3, dtype=bool))
    return {name: Density(geometry, Grid(cell, SHAPE), rng.random((2, *SHAPE)).astype(np.float32)) for name in "ab"}


@pytest.fixture
def stores(tmp_path: Path, densities: dict[str, Density]) -> tuple[Store, Store]:
    for name, shuffled in (("plain", None), ("shuffled", True)):
        with StoreWriter(tmp_path / name, shuffled=shuffled) as writer:
            for key, density in densities.items():
                assert writer.add(key, density, baseline=density.values[0] / 2)
    return Store(tmp_path / "plain"), Store(tmp_path / "shuffled")


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 693, 4097, 100_000])
def test_every_voxel_has_one_place(n: int) -> None:
    voxels = shuffled_voxels(np.arange(n), n)
    np.testing.assert_array_equal(np.sort(voxels), np.arange(n))
    np.testing.assert_array_equal(shuffled_voxels(np.arange(n)[::7], n), voxels[::7])


def test_the_order_never_changes() -> None:
    """Stores live longer than versions; numbers from a loop over Python integers written from docs/data.md."""

    def mix(x: int) -> int:
        x ^= x >> 16
        x = x * 0x85EBCA6B % 2**32
        x ^= x >> 13
        x = x * 0xC2B2AE35 % 2**32
        return x ^ x >> 16

    def voxel(position: int, n: int) -> int:
        h = 1
        while 4**h < n:
            h += 1
        while True:
            left, right = divmod(position, 2**h)
            for turn in (1, 2, 3, 4):
                left, right = right, left ^ mix((right + turn * 0x9E3779B9) % 2**32) % 2**h
            position = left * 2**h + right
            if position < n:
                return position

    for n in (1, 4, 5, 693, 4096, 4097, 1_259_712):
        positions = np.unique(np.linspace(0, n - 1, 50).astype(int))
        assert shuffled_voxels(positions, n).tolist() == [voxel(p, n) for p in positions.tolist()]
    assert shuffled_voxels(np.arange(6), 1000).tolist() == [723, 174, 185, 652, 481, 189]


def test_pieces_are_spread_like_random_samples() -> None:
    """χ² of 200 consecutive voxels over 64 boxes of the grid, 500 times: mean 63, its deviation 0.5."""
    shape, n, pieces = (60, 50, 48), 144_000, 500
    ijk = np.stack(np.unravel_index(shuffled_voxels(np.arange(200 * pieces), n), shape), axis=1)
    box = (ijk * 4 // np.array(shape)) @ [16, 4, 1]
    every = np.stack(np.unravel_index(np.arange(n), shape), axis=1)
    expected = 200 * np.bincount((every * 4 // np.array(shape)) @ [16, 4, 1], minlength=64) / n
    counts = np.array([np.bincount(one, minlength=64) for one in box.reshape(pieces, 200)])
    chi = ((counts - expected) ** 2 / expected).sum(axis=1)
    assert chi.mean() == pytest.approx(63.0, abs=2.5)


def test_shuffle_and_back() -> None:
    values = np.random.default_rng(1).random((2, *SHAPE))
    stored = shuffle(values)
    assert not np.array_equal(stored, values.reshape(2, -1))
    np.testing.assert_array_equal(unshuffle(stored), values.reshape(2, -1))


def test_a_shuffled_store_holds_the_same(stores: tuple[Store, Store], densities: dict[str, Density]) -> None:
    plain, shuffled = stores
    assert (plain.shuffled, shuffled.shuffled) == (False, True)
    assert plain.hash() == shuffled.hash()
    assert shuffled.check() == {}
    for key, density in densities.items():
        entry = shuffled[key]
        np.testing.assert_array_equal(entry.values, density.values)
        np.testing.assert_array_equal(entry.baseline, density.values[0] / 2)
        assert not np.array_equal(entry.stored, density.values.reshape(2, -1))
        np.testing.assert_array_equal(entry.density().total, plain[key].density().total)


def test_probes_have_the_density_at_their_points(stores: tuple[Store, Store], densities: dict[str, Density]) -> None:
    """The voxel is found again from the point."""
    _, store = stores
    training = ProbeDataset(store, ["a", "b"], 3.0, 40, channels=2)
    for item in ((0, 1), (5, 0)):
        batch = training[item]
        density = densities[batch.keys[0]]
        ijk = np.rint(batch.probes.points.numpy() @ np.linalg.inv(density.grid.cell) * SHAPE).astype(int)
        np.testing.assert_array_equal(batch.target.numpy(), density.values[:, *ijk.T].T)
        assert len(np.unique(ijk, axis=0)) == 40
    every = FixedProbeDataset(store, ["a"], 3.0, None)[0]
    assert len(np.unique(every.probes.points.numpy().round(6), axis=0)) == np.prod(SHAPE)
    np.testing.assert_array_equal(np.sort(every.target.numpy()[:, 0]), np.sort(densities["a"].total.reshape(-1)))


def test_a_read_is_one_piece() -> None:
    positions = sample_chunk(1000, 200, 3, 4, "x")
    assert ((np.diff(positions) == 1) | (np.diff(positions) == -999)).all()
    starts = [sample_chunk(1000, 1, 0, epoch, "x")[0] for epoch in range(400)]
    assert len(set(starts)) > 250
    assert np.mean(starts) == pytest.approx(499.5, abs=5 * 1000 / np.sqrt(12 * 400))
    assert len(sample_chunk(30, 200, 0, 0, "x")) == 200


def test_the_order_of_a_store_is_kept(stores: tuple[Store, Store], densities: dict[str, Density]) -> None:
    plain, shuffled = stores
    with StoreWriter(shuffled.path) as writer:
        writer.add("c", densities["a"])
    np.testing.assert_array_equal(Store(shuffled.path)["c"].values, densities["a"].values)
    with pytest.raises(InputError, match="not a shuffled store"):
        StoreWriter(plain.path, shuffled=True)
