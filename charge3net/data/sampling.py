"""Which voxels and structures a training step uses: counter-based, so independent of earlier steps.

Every choice is a pure function of (seed, epoch, key) or (seed, epoch): not of the number of workers, the number of
processes, or what was drawn before. A run that starts again at step n draws what the uninterrupted one drew. The
generator is Philox4x64 (Salmon et al., SC'11) keyed by a BLAKE2b hash; only its raw bits are used, which NumPy
guarantees to stay the same between versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from charge3net.errors import InputError


def sample_voxels(n_voxels: int, n_probes: int, seed: int, epoch: int, key: str) -> Int[ndarray, "probes"]:
    """[n_probes] flat voxel indices, uniform over 0 … n_voxels − 1 with replacement.

    They depend on (seed, epoch, key) and the two numbers only; a longer draw begins with the shorter one.
    """
    raw = _philox("voxels", seed, epoch, key).random_raw(n_probes)
    return ((raw >> np.uint64(11)) * (2.0**-53 * n_voxels)).astype(np.int64)


def sample_chunk(n_voxels: int, n_probes: int, seed: int, epoch: int, key: str) -> Int[ndarray, "probes"]:
    """[n_probes] consecutive positions from a random one on, the first after the last: a read of a shuffled density.

    They depend on (seed, epoch, key) and the two numbers only. No voxel comes twice unless there are fewer than probes.
    """
    return (sample_voxels(n_voxels, 1, seed, epoch, key) + np.arange(n_probes)) % n_voxels


def fixed_voxels(
    n_voxels: int, n_probes: int | None, seed: int, key: str, chunk: bool = False
) -> Int[ndarray, "probes"]:
    """Flat voxel indices for validation: the same in every epoch.

    All voxels in order if ``n_probes`` is None or not fewer than the voxels, else ``n_probes`` draws with replacement
    (or, of a shuffled density, a chunk) that depend on (seed, key) only.
    """
    if n_probes is None or n_probes >= n_voxels:
        return np.arange(n_voxels, dtype=np.int64)
    return (sample_chunk if chunk else sample_voxels)(n_voxels, n_probes, seed, -1, key)


def epoch_order(n_items: int, seed: int, epoch: int) -> Int[ndarray, "items"]:
    """[n_items] the order of one pass: a permutation that depends on (seed, epoch) only."""
    return np.argsort(_philox("order", seed, epoch, "").random_raw(n_items), kind="stable").astype(np.int64)


def _philox(purpose: str, seed: int, epoch: int, key: str) -> np.random.Philox:
    digest = hashlib.blake2b(f"{purpose}\0{seed}\0{epoch}\0{key}".encode(), digest_size=16).digest()
    return np.random.Philox(key=int.from_bytes(digest, "little"))


class StepSampler:
    """Endless stream of training batches, addressed by step: a ``batch_sampler`` for a DataLoader.

    The passes over the data, each in its own random order, are laid end to end and cut into steps of
    ``batch_size × world_size`` structures, so every step is full and a step may span two passes. Process ``rank`` takes
    its ``batch_size`` structures of each; together the processes see what one process with the whole batch would see.
    A batch is a list of ``(epoch, position)`` pairs: the epoch travels with the index, also into workers that live on.

    Resuming needs no state but the number of steps already done: ``start_step``.

    Args:
        n_items: number of training structures.
        batch_size: structures per step and process.
        seed: of the order.
        start_step: first step to yield.
        rank: this process.
        world_size: number of processes.

    Raises:
        InputError: without structures, or for a batch that is not positive.
    """

    def __init__(
        self, n_items: int, batch_size: int, seed: int = 0, start_step: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if n_items < 1:
            raise InputError("there is no structure to train on; check the split")
        if batch_size < 1:
            raise InputError(f"a batch needs at least one structure, found batch_size={batch_size}")
        if start_step < 0 or not 0 <= rank < world_size:
            raise ValueError(f"step {start_step} of process {rank} of {world_size} does not exist")
        self.n_items, self.batch_size, self.seed = n_items, batch_size, seed
        self.start_step, self.rank, self.world_size = start_step, rank, world_size
        self._orders: dict[int, ndarray] = {}

    def batch(self, step: int) -> list[tuple[int, int]]:
        """The (epoch, position) pairs of this process at a step."""
        first = (step * self.world_size + self.rank) * self.batch_size
        pairs = [divmod(place, self.n_items) for place in range(first, first + self.batch_size)]
        epochs = {epoch for epoch, _ in pairs}
        if not epochs <= self._orders.keys():
            self._orders = {epoch: epoch_order(self.n_items, self.seed, epoch) for epoch in epochs}
        return [(epoch, int(self._orders[epoch][place])) for epoch, place in pairs]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        step = self.start_step
        while True:
            yield self.batch(step)
            step += 1
