from __future__ import annotations

import hashlib
from itertools import islice

import numpy as np
import pytest

from charge3net.data.sampling import StepSampler, epoch_order, fixed_voxels, sample_voxels
from charge3net.errors import InputError


def test_voxels_depend_on_seed_epoch_and_key() -> None:
    base = sample_voxels(1000, 50, seed=1, epoch=2, key="mp-1")
    np.testing.assert_array_equal(sample_voxels(1000, 50, seed=1, epoch=2, key="mp-1"), base)
    np.testing.assert_array_equal(sample_voxels(1000, 80, seed=1, epoch=2, key="mp-1")[:50], base)
    for other in ((2, 2, "mp-1"), (1, 3, "mp-1"), (1, 2, "mp-2")):
        assert (sample_voxels(1000, 50, *other) != base).sum() > 40


def test_voxels_are_those_of_philox() -> None:
    """The rule of the docstring, written out again with numpy's generator of doubles."""
    digest = hashlib.blake2b(b"voxels\x007\x003\x00mp-149", digest_size=16).digest()
    doubles = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little"))).random(20)
    np.testing.assert_array_equal(
        sample_voxels(12345, 20, seed=7, epoch=3, key="mp-149"), (doubles * 12345).astype(int)
    )


def test_voxels_are_uniform_and_repeat() -> None:
    counts = np.bincount(sample_voxels(10, 100_000, 0, 0, "x"), minlength=10)
    assert len(counts) == 10
    chi2 = ((counts - 10_000) ** 2 / 10_000).sum()
    assert chi2 < 27.9  # χ²(9), p = 0.001
    assert len(set(sample_voxels(10, 11, 0, 0, "x").tolist())) < 11
    assert sample_voxels(2**40, 10_000, 0, 0, "x").max() < 2**40
    assert sample_voxels(1, 5, 0, 0, "x").tolist() == [0] * 5


def test_fixed_voxels() -> None:
    np.testing.assert_array_equal(fixed_voxels(30, None, 0, "x"), np.arange(30))
    np.testing.assert_array_equal(fixed_voxels(30, 30, 0, "x"), np.arange(30))
    few = fixed_voxels(1000, 30, 0, "x")
    assert few.shape == (30,)
    np.testing.assert_array_equal(few, fixed_voxels(1000, 30, 0, "x"))
    assert (few != fixed_voxels(1000, 30, 0, "y")).any()
    assert (few != sample_voxels(1000, 30, 0, 0, "x")).any()


def test_epoch_order_is_a_permutation_that_changes() -> None:
    orders = [epoch_order(20, 5, epoch) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(20))
    assert len({tuple(order) for order in orders}) == 3
    np.testing.assert_array_equal(orders[1], epoch_order(20, 5, 1))


def test_every_pass_sees_everything_once() -> None:
    pairs = [pair for batch in islice(StepSampler(10, 4, seed=1), 15) for pair in batch]
    assert [epoch for epoch, _ in pairs] == [i // 10 for i in range(60)]
    for epoch in range(6):
        seen = [position for e, position in pairs if e == epoch]
        assert seen == epoch_order(10, 1, epoch).tolist()


def test_a_batch_may_be_larger_than_the_set() -> None:
    batch = StepSampler(3, 8, seed=0).batch(1)
    assert [epoch for epoch, _ in batch] == [2, 3, 3, 3, 4, 4, 4, 5]


def test_start_step_continues() -> None:
    straight = list(islice(StepSampler(7, 3, seed=2), 20))
    assert list(islice(StepSampler(7, 3, seed=2, start_step=11), 9)) == straight[11:]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_what_one_process_sees(world_size: int) -> None:
    one = list(islice(StepSampler(11, 2 * world_size, seed=4), 12))
    ranks = [
        list(islice(StepSampler(11, 2, seed=4, rank=rank, world_size=world_size), 12)) for rank in range(world_size)
    ]
    for step in range(12):
        assert [pair for rank in ranks for pair in rank[step]] == one[step]


def test_impossible_samplers() -> None:
    with pytest.raises(InputError, match="no structure"):
        StepSampler(0, 1)
    with pytest.raises(InputError, match="batch_size=0"):
        StepSampler(3, 0)
    with pytest.raises(ValueError, match="process 2 of 2"):
        StepSampler(3, 1, rank=2, world_size=2)
