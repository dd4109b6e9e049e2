from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from charge3net.data.dataset import FixedProbeDataset, ProbeDataset, StructureDataset
from charge3net.data.sampling import sample_voxels
from charge3net.data.store import Store, StoreWriter
from charge3net.errors import InputError
from tests.helpers.random_densities import make_density, written

MakeStore = Callable[..., Path]


def test_a_sample_is_the_density_at_its_points(make_store: MakeStore) -> None:
    data = ProbeDataset(Store(make_store(3, channels=2)), ["m02", "m01"], 4.0, n_probes=40, seed=9, channels=2)
    sample = data[5, 1]
    density, index = make_density(1, channels=2), sample_voxels(5 * 0 + 6 * 6 * 7, 40, 9, 5, "m01")
    i, j, k = index // 42, index // 7 % 6, index % 7
    assert sample.keys == ("m01",)
    assert sample.target.dtype == torch.float32
    np.testing.assert_array_equal(sample.target.numpy(), written(density)[:, i, j, k].T)
    cell = density.grid.cell
    points = i[:, None] / 6 * cell[0] + j[:, None] / 6 * cell[1] + k[:, None] / 7 * cell[2]
    np.testing.assert_allclose(sample.probes.points.numpy(), points, atol=1e-12)
    np.testing.assert_array_equal(sample.atoms.numbers.numpy(), [12, 8])
    lengths = sample.probes.edge_vectors(sample.atoms.positions, torch.float64).norm(dim=1)
    assert len(lengths) > 0
    assert float(lengths.max()) < 4.0


def test_probes_change_with_the_epoch_and_repeat(make_store: MakeStore) -> None:
    data = ProbeDataset(Store(make_store(1)), ["m00"], 3.0, n_probes=20)
    assert not torch.equal(data[0, 0].probes.points, data[1, 0].probes.points)
    again = ProbeDataset(Store(data.store.path), ["m00"], 3.0, n_probes=20)
    torch.testing.assert_close(again[1, 0].target, data[1, 0].target, rtol=0, atol=0)


def test_validation_probes_are_fixed_or_all(make_store: MakeStore) -> None:
    store = Store(make_store(2))
    data = FixedProbeDataset(store, store.keys(), 3.0, n_probes=None)
    np.testing.assert_array_equal(data[0].target.numpy()[:, 0], written(make_density(0)).ravel())
    few = FixedProbeDataset(store, store.keys(), 3.0, n_probes=10)
    torch.testing.assert_close(few[1].target, few[1].target, rtol=0, atol=0)
    assert few[1].probes.n_probes == 10


def test_one_channel_of_a_spin_polarised_store(make_store: MakeStore) -> None:
    data = FixedProbeDataset(Store(make_store(1, channels=2)), ["m00"], 3.0, n_probes=None)
    np.testing.assert_array_equal(data[0].target.numpy()[:, 0], written(make_density(0, channels=2))[0].ravel())


def test_without_periodic_images(make_store: MakeStore) -> None:
    store = Store(make_store(1))
    data = ProbeDataset(store, ["m00"], 4.0, n_probes=30, ignore_pbc=True)[0, 0]
    assert float(data.probes.shifts.abs().sum()) == 0.0
    distance = torch.cdist(data.probes.points, data.atoms.positions)
    assert data.probes.receivers.shape[0] == int((distance < 4.0).sum())
    periodic = ProbeDataset(store, ["m00"], 4.0, n_probes=30)[0, 0]
    assert periodic.probes.receivers.shape[0] > data.probes.receivers.shape[0]


def test_missing_magnetisation_names_the_material(make_store: MakeStore) -> None:
    store_path = make_store(1, channels=2)
    with StoreWriter(store_path) as writer:
        writer.add("plain", make_density(1))
    with pytest.raises(InputError, match=r"'plain'.* no magnetisation"):
        ProbeDataset(Store(store_path), ["m00", "plain"], 3.0, n_probes=5, channels=2)
    with pytest.raises(InputError, match="channels=3"):
        ProbeDataset(Store(store_path), ["m00"], 3.0, n_probes=5, channels=3)


def test_bad_arguments(make_store: MakeStore) -> None:
    store = Store(make_store(1))
    with pytest.raises(InputError, match="'nobody'"):
        ProbeDataset(store, ["m00", "nobody"], 3.0, n_probes=5)
    with pytest.raises(InputError, match="at least one probe"):
        FixedProbeDataset(store, ["m00"], 3.0, n_probes=0)


def test_the_cache_is_bounded_and_changes_nothing(make_store: MakeStore) -> None:
    store = Store(make_store(4))
    free = StructureDataset(store, store.keys(), 4.0, n_probes=1)
    one_graph = sum(tensor.nbytes for tensor in vars(free.structure("m00")[2]).values())
    tight = StructureDataset(store, store.keys(), 4.0, n_probes=1, cache_bytes=2 * one_graph)
    for _ in range(2):
        for key in store:
            torch.testing.assert_close(tight.structure(key)[2].shifts, free.structure(key)[2].shifts, rtol=0, atol=0)
    assert 1 <= len(tight._cache) <= 2
    assert tight._cached_bytes <= 2 * one_graph
    assert free.structure("m02")[2] is free.structure("m02")[2]
    assert len(pickle.loads(pickle.dumps(free))._cache) == 0
