"""The neighbour search against brute force over images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.collate import collate
from charge3net.graph.neighbors import find_neighbors
from charge3net.graph.types import DensityBatch

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
