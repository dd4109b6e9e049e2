"""The neighbour search against brute force over images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from charge3net.geometry import Geometry
from charge3net.graph import neighbors
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.collate import collate
from charge3net.graph.neighbors import find_neighbors
from charge3net.graph.types import DensityBatch
from charge3net.kernels import torch_only

CUTOFF = 4.0
CELLS = {
    "cubic": np.eye(3) * 5.0,
    "tiny": np.eye(3) * 1.7,
    "skewed": np.array([[3.0, 0.0, 0.0], [2.7, 1.5, 0.0], [-2.5, 1.2, 2.2]]),
    "left-handed": np.array([[0.0, 3.0, 0.0], [3.0, 0.0, 0.0], [0.1, 0.2, 4.0]]),
    "flat": np.array([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.3, 0.3, 1.1]]),
    "none": np.zeros((3, 3)),
}
PBC = {"none": [(False, False, False)]}
EVERY_PBC = [(True, True, True), (True, True, False), (False, True, False), (False, False, False)]


def brute_force(points: np.ndarray, geometry: Geometry) -> set[tuple]:
    """(point, atom, rounded shift) of all images, by trying every translation that can matter."""
    found = set()
    spread = 12.0
    reach = []
    for axis in range(3):
        if not geometry.pbc[axis]:
            reach.append([0])
            continue
        others = [geometry.cell[i] for i in range(3) if i != axis]
        others = [o for i, o in zip([i for i in range(3) if i != axis], others, strict=True) if geometry.pbc[i]]
        normal = geometry.cell[axis].copy()
        if others:
            q, _ = np.linalg.qr(np.array(others).T)
            normal = normal - q @ (q.T @ normal)
        n = int(np.ceil((CUTOFF + spread) / np.linalg.norm(normal))) + 1
        reach.append(range(-n, n + 1))
    shifts = np.array(list(itertools.product(*reach)), dtype=float) @ geometry.cell
    for p, point in enumerate(points):
        for a, atom in enumerate(geometry.positions):
            distances = np.linalg.norm(point - (atom + shifts), axis=1)
            for shift in shifts[distances < CUTOFF]:
                found.add((p, a, *np.round(shift, 6)))
    return found


@pytest.mark.parametrize("name", CELLS)
def test_search_finds_what_brute_force_finds(name):
    rng = np.random.default_rng(3)
    for pbc in PBC.get(name, EVERY_PBC):
        cell = CELLS[name]
        frame = cell if abs(np.linalg.det(cell)) > 0 else np.eye(3) * 6
        geometry = Geometry(np.array([1, 6, 8]), rng.uniform(-0.6, 1.6, (3, 3)) @ frame * 0.7, cell, np.array(pbc))
        points = rng.uniform(-0.5, 1.5, (6, 3)) @ frame * 0.7
        points[0] = geometry.positions[1]
        found = find_neighbors(points, geometry, CUTOFF)
        ours = {
            (int(p), int(a), *np.round(shift, 6))
            for p, a, shift in zip(found.receivers, found.senders, found.shifts, strict=True)
        }
        assert len(ours) == len(found.receivers)
        assert {tuple(float(x) + 0.0 for x in e) for e in ours} == {
            tuple(float(x) + 0.0 for x in e) for e in brute_force(points, geometry)
        }
        assert (np.diff(found.receivers) >= 0).all()


def test_an_atom_hears_its_images_but_not_itself():
    geometry = Geometry(np.array([29]), np.zeros((1, 3)), np.eye(3) * 3.0, np.ones(3, bool))
    graph = build_atom_graph(geometry, CUTOFF)
    lengths = graph.edge_vectors(torch.float64).norm(dim=1)
    # simple cubic, a = 3 Å: six images at 3 Å, the next twelve at 4.24 Å are out of reach
    np.testing.assert_allclose(lengths, 3.0)
    assert len(lengths) == 6


def test_a_probe_on_an_atom_hears_it():
    geometry = Geometry(np.array([29]), np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool))
    graph = build_probe_graph(geometry, np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]]), CUTOFF)
    assert graph.receivers.tolist() == [0]


def test_collating_keeps_every_edge_vector():
    rng = np.random.default_rng(0)
    batches = []
    for n in (2, 1, 3):
        geometry = Geometry(np.full(n, 6), rng.uniform(0, 4, (n, 3)), np.eye(3) * 4.5, np.ones(3, bool))
        atoms, probes = (
            build_atom_graph(geometry, CUTOFF),
            build_probe_graph(geometry, rng.uniform(0, 4, (n + 1, 3)), CUTOFF),
        )
        batches.append(DensityBatch(atoms, probes, torch.zeros(n + 1, 1), (f"m{n}",)))
    joined = collate(batches)
    assert joined.keys == ("m2", "m1", "m3")
    assert joined.atoms.offsets.tolist() == [0, 2, 3, 6]
    assert joined.probes.offsets.tolist() == [0, 3, 5, 9]
    vectors = torch.cat([b.probes.edge_vectors(b.atoms.positions, torch.float64) for b in batches])
    torch.testing.assert_close(joined.probes.edge_vectors(joined.atoms.positions, torch.float64), vectors)
    torch.testing.assert_close(
        joined.atoms.edge_vectors(torch.float64), torch.cat([b.atoms.edge_vectors(torch.float64) for b in batches])
    )


@pytest.mark.compiled
def test_compiled_search_gives_pymatgens_edges_in_their_order():
    """On random cells, also thin ones, with atoms and points far outside; pymatgen's search is the other path."""
    rng = np.random.default_rng(7)
    edges = 0
    for _ in range(150):
        cell = rng.normal(size=(3, 3)) * rng.uniform(1, 6)
        if abs(np.linalg.det(cell)) < 1.5:
            continue
        n = int(rng.integers(1, 30))
        geometry = Geometry(rng.integers(1, 9, n), rng.uniform(-3, 4, (n, 3)) @ cell, cell, rng.integers(0, 2, 3) > 0)
        points, cutoff = rng.uniform(-5, 5, (20, 3)) @ cell, rng.uniform(0.5, 6)
        points[0] = geometry.positions[0]
        ours = find_neighbors(points, geometry, cutoff)
        with torch_only():
            theirs = find_neighbors(points, geometry, cutoff)
        np.testing.assert_array_equal(ours.receivers, theirs.receivers)
        np.testing.assert_array_equal(ours.senders, theirs.senders)
        np.testing.assert_allclose(ours.shifts, theirs.shifts, rtol=0, atol=1e-10)
        edges += len(ours.receivers)
    assert edges > 50_000


@pytest.mark.compiled
def test_order_is_receiver_sender_image():
    """In 30 atoms of a cell smaller than the cutoff, by sorting."""
    rng = np.random.default_rng(1)
    cell = np.array([[2.5, 0.0, 0.0], [0.7, 3.0, 0.0], [-0.4, 0.3, 2.0]])
    geometry = Geometry(np.full(30, 6), rng.uniform(-5, 5, (30, 3)), cell, np.ones(3, bool))
    found = find_neighbors(rng.uniform(-5, 5, (40, 3)), geometry, CUTOFF)
    images = np.rint(found.shifts @ np.linalg.inv(cell))
    np.testing.assert_allclose(images @ cell, found.shifts, rtol=0, atol=1e-12)
    rows = np.column_stack([found.receivers, found.senders, images])
    np.testing.assert_array_equal(rows, np.unique(rows, axis=0))


@pytest.mark.compiled
def test_threads_do_not_change_the_edges(monkeypatch):
    rng = np.random.default_rng(2)
    geometry = Geometry(np.full(50, 6), rng.uniform(0, 9, (50, 3)), np.eye(3) * 9.0, np.ones(3, bool))
    points = rng.uniform(0, 9, (3000, 3))
    monkeypatch.setattr(neighbors, "threads", lambda: 1)
    alone = find_neighbors(points, geometry, CUTOFF)
    monkeypatch.setattr(neighbors, "threads", lambda: 4)
    together = find_neighbors(points, geometry, CUTOFF)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cell_too_thin_for_the_compiled_search_is_searched_all_the_same():
    """Images to ±4000 along the short vector: a chain of atoms 0.001 Å apart."""
    geometry = Geometry(np.array([6]), np.zeros((1, 3)), np.diag([0.001, 20.0, 20.0]), np.array([True, False, False]))
    found = find_neighbors(np.zeros((1, 3)), geometry, 4.0005)
    assert len(found.receivers) == 2 * 4000 + 1
