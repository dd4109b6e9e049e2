"""Fitted atoms, on densities that are superpositions of known atoms."""

from __future__ import annotations

import numpy as np
import pytest

from charge3net.atoms.fit import Sample, fit_atoms
from charge3net.atoms.splines import table_nodes, values_at
from charge3net.geometry import Geometry
from charge3net.graph.neighbors import find_neighbors

REACH = 4.0
WIDTHS = {1: 0.35, 8: 0.5, 14: 0.6}
VALENCES = {1: 1.0, 8: 6.0, 14: 4.0}


def atom(z: int, r: np.ndarray) -> np.ndarray:
    return VALENCES[z] * np.exp(-(r**2) / (2 * WIDTHS[z] ** 2)) / (2 * np.pi * WIDTHS[z] ** 2) ** 1.5


def crystal(seed: int, elements: tuple[int, ...]) -> Sample:
    rng = np.random.default_rng(seed)
    cell = np.eye(3) * 4.0 + rng.normal(size=(3, 3)) * 0.3
    numbers = rng.choice(elements, 4)
    geometry = Geometry(numbers, rng.random((4, 3)) @ cell, cell, np.ones(3, bool))
    points = rng.random((200, 3)) @ cell
    found = find_neighbors(points, geometry, REACH)
    r = np.linalg.norm(points[found.receivers] - geometry.positions[found.senders] - found.shifts, axis=1)
    density = np.zeros(200)
    for z in elements:
        mine = numbers[found.senders] == z
        density += np.bincount(found.receivers[mine], atom(z, r[mine]), 200)
    mean = sum(VALENCES[z] for z in numbers) / geometry.volume
    return Sample(geometry, points, density, mean, str(sorted(numbers.tolist())))


def electrons(table: np.ndarray) -> float:
    r = np.linspace(0, REACH, 4001)
    return float(np.trapezoid(4 * np.pi * r**2 * values_at(table[:, None], r)[:, 0], r))


def test_known_atoms_are_found():
    samples = [crystal(seed, (1, 8)) for seed in range(12)]
    nothing = np.zeros(len(table_nodes(REACH)))
    found = fit_atoms(samples, {1: nothing, 8: nothing}, VALENCES, REACH)
    r = np.linspace(0, REACH, 81)
    for z in (1, 8):
        error = np.abs(values_at(found[z][:, None], r)[:, 0] - atom(z, r)) * r**2
        assert error.max() < 0.1 * (atom(z, r) * r**2).max()  # few points are so near to a nucleus
        assert error[r > 0.5].max() < 0.03 * (atom(z, r) * r**2).max()
        assert electrons(found[z]) == pytest.approx(VALENCES[z], abs=1e-4)


def test_an_element_without_data_keeps_its_isolated_atom():
    samples = [crystal(seed, (1, 8)) for seed in range(3)]
    nodes = table_nodes(REACH)
    start = {z: 0.9 * atom(z, nodes) + 0.1 * VALENCES[z] * np.exp(-(nodes**2)) / np.pi**1.5 for z in (1, 8, 14)}
    found = fit_atoms(samples, start, VALENCES, REACH)
    r = np.linspace(0, 3, 31)
    np.testing.assert_allclose(
        values_at(found[14][:, None], r)[:, 0], np.interp(r, nodes, start[14]), atol=2e-3 * start[14][0]
    )
    assert all(electrons(found[z]) == pytest.approx(VALENCES[z], abs=1e-4) for z in (1, 8, 14))


def test_rare_elements_stay_nearer_to_their_start():
    nodes = table_nodes(REACH)
    start = {z: VALENCES[z] * np.exp(-(nodes**2) / 2) / (2 * np.pi) ** 1.5 for z in (1, 8)}  # far too wide

    def distance(samples: list[Sample]) -> float:
        found = fit_atoms(samples, start, VALENCES, REACH)[8]
        return float(np.abs(values_at(found[:, None], nodes)[:, 0] - atom(8, nodes)).sum())

    one = crystal(0, (8,))
    few = [one] * 6  # the same composition six times
    many = [Sample(one.geometry, one.points, one.density, one.mean, f"formula {i}") for i in range(6)]
    assert distance(few) > 1.02 * distance(many)


def test_single_wrong_points_do_not_matter():
    samples = [crystal(seed, (8,)) for seed in range(6)]
    nothing = np.zeros(len(table_nodes(REACH)))
    right = fit_atoms(samples, {8: nothing}, VALENCES, REACH)[8]
    spoilt = []
    for sample in samples:
        density = sample.density.copy()
        density[::50] += 30.0
        spoilt.append(Sample(sample.geometry, sample.points, density, sample.mean, sample.formula))
    robust = fit_atoms(spoilt, {8: nothing}, VALENCES, REACH)[8]
    r = np.linspace(0, REACH, 81)
    moved = np.abs(values_at(robust[:, None], r)[:, 0] - values_at(right[:, None], r)[:, 0])
    assert (moved * r**2).max() < 0.05 * (atom(8, r) * r**2).max()
