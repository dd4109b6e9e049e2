"""From a store to the graphs of one structure, with the requested probes only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch.utils.data import Dataset

from charge3net.data.sampling import fixed_voxels, sample_chunk, sample_voxels
from charge3net.data.store import Store, StoreEntry
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.types import AtomGraph, DensityBatch

#: Memory of the cached atom graphs, per dataset and process.
CACHE_BYTES = 256 * 2**20


class StructureDataset(Dataset[DensityBatch]):
    """Reads entries of a store as graphs; atom graphs are cached, the least recently used are dropped first.

    The base of the two data sets below, which differ in where the probes are. An item is one structure as a
    :class:`~charge3net.graph.types.DensityBatch`; ``charge3net.graph.collate.collate`` joins them.

    Args:
        store: where the densities are.
        keys: the materials.
        cutoff: radius in Å of the model.
        n_probes: probes per structure.
        seed: of the probes.
        channels: 1 for the total density, 2 for total and magnetisation.
        ignore_pbc: build the graphs without periodic images (models trained that way).
        cache_bytes: bound on the memory of the cached graphs, per process.

    Raises:
        InputError: for a material that is not in the store, or has fewer channels than asked for.
    """

    def __init__(
        self,
        store: Store,
        keys: Sequence[str],
        cutoff: float,
        n_probes: int | None,
        seed: int = 0,
        channels: int = 1,
        ignore_pbc: bool = False,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if n_probes is not None and n_probes < 1:
            raise InputError(f"a structure needs at least one probe, found {n_probes}")
        check_keys(store, keys, channels)
        self.store, self.keys, self.n_probes, self.seed = store, list(keys), n_probes, seed
        self.cutoff, self.channels, self.ignore_pbc = cutoff, channels, ignore_pbc
        self.cache_bytes = cache_bytes
        self._cache: OrderedDict[str, tuple[StoreEntry, Geometry, AtomGraph, int]] = OrderedDict()
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self.keys)

    def structure(self, key: str) -> tuple[StoreEntry, Geometry, AtomGraph]:
        """The entry, the geometry with the model's periodicity, and its atom graph."""
        found = self._cache.get(key)
        if found is not None:
            self._cache.move_to_end(key)
            return found[:3]
        entry = self.store[key]
        geometry = entry.geometry
        if self.ignore_pbc:
            geometry = Geometry(geometry.numbers, geometry.positions, geometry.cell, np.zeros(3, dtype=bool))
        atoms = build_atom_graph(geometry, self.cutoff)
        size = sum(getattr(atoms, f.name).nbytes for f in fields(atoms))
        self._cache[key] = entry, geometry, atoms, size
        self._cached_bytes += size
        while self._cached_bytes > self.cache_bytes and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1][3]
        return entry, geometry, atoms

    def read(self, key: str, positions: Int[ndarray, "probes"]) -> DensityBatch:
        """One structure with probes at the voxels that are stored at these positions; the target is float32 e/Å³.

        Positions are flat indices (C order), or others in a shuffled store.
        """
        entry, geometry, atoms = self.structure(key)
        probes = build_probe_graph(geometry, entry.grid.points(entry.voxels(positions)), self.cutoff)
        target = torch.from_numpy(entry.probed(positions, self.channels).T.copy())
        mean = torch.tensor([entry.mean_density], dtype=target.dtype)
        return DensityBatch(atoms=atoms, probes=probes, target=target, keys=(key,), mean_density=mean)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": OrderedDict(), "_cached_bytes": 0}


class ProbeDataset(StructureDataset):
    """Training samples: item ``(epoch, position)`` is ``keys[position]`` with that epoch's random probes.

    The probes depend on (seed, epoch, key) only, see :func:`charge3net.data.sampling.sample_voxels` (of a shuffled
    store ``sample_chunk``); the pairs come from :class:`charge3net.data.sampling.StepSampler`.
    """

    def __getitem__(self, item: tuple[int, int]) -> DensityBatch:
        epoch, position = item
        key = self.keys[position]
        n_voxels = len(self.structure(key)[0].grid)
        n_probes = n_voxels if self.n_probes is None else self.n_probes
        draw = sample_chunk if self.store.shuffled else sample_voxels
        return self.read(key, draw(n_voxels, n_probes, self.seed, epoch, key))


class FixedProbeDataset(StructureDataset):
    """Validation samples: item i is ``keys[i]`` with probes that never change.

    ``n_probes`` None, or not fewer than there are voxels, means every voxel once.
    """

    def __getitem__(self, item: int) -> DensityBatch:
        key = self.keys[item]
        n_voxels = len(self.structure(key)[0].grid)
        return self.read(key, fixed_voxels(n_voxels, self.n_probes, self.seed, key, self.store.shuffled))


def check_keys(store: Store, keys: Sequence[str], channels: int) -> None:
    """Raise InputError unless the store has all these materials, with at least so many channels."""
    missing = [key for key in keys if key not in store]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(keys)} materials are not in {store.path} (first: {missing[0]!r}); "
            "make the split from this store with `charge3net data split`"
        )
    if channels not in (1, 2):
        raise InputError(f"a density has 1 or 2 channels, found channels={channels}")
    if channels == 1:
        return
    for key in keys:
        if store.channels(key) < channels:
            raise InputError(
                f"{key!r} in {store.path} has no magnetisation but the model has 2 channels; "
                "leave the material out or train with channels=1"
            )
