"""Bader volumes against closed forms, symmetry, a loop over voxels, and BaderKit."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from charge3net.analysis.bader import _facets, bader_charges, bader_volumes
from charge3net.analysis.cores import core_density
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io import read_density
from tests.helpers.gaussians import gaussian_density

SKEWED = np.array([[1.0, 0.0, 0.0], [2.3, 1.0, 0.0], [0.2, 3.1, 1.2]])


def _geometry(numbers: list[int], fractions: list[list[float]], cell: np.ndarray) -> Geometry:
    return Geometry(np.array(numbers), np.array(fractions) @ cell, cell, np.ones(3, dtype=bool))


@pytest.mark.parametrize(
    ("steps", "neighbours"),
    [(np.eye(3), 6), (np.diag([1.0, 2.0, 3.0]), 6), (np.ones((3, 3)) - np.eye(3), 12), (SKEWED, 14)],
)
def test_facets_close_around_the_volume_of_a_voxel(steps: np.ndarray, neighbours: int) -> None:
    facets = _facets(tuple(map(tuple, steps.tolist())))
    assert len(facets) == neighbours
    vectors = np.array([shift for shift, _ in facets]) @ steps
    squared = (vectors**2).sum(axis=1)
    conductances = np.array([conductance for _, conductance in facets])
    assert (conductances * squared).sum() / 6.0 == pytest.approx(abs(np.linalg.det(steps)))  # pyramids: A ℓ / 6
    # and the discrete Laplacian they make is the exact one for a paraboloid: Σ (A/ℓ) ℓ_i ℓ_j = 2 V δ_ij
    tensor = np.einsum("f,fi,fj->ij", conductances, vectors, vectors)
    np.testing.assert_allclose(tensor, 2 * abs(np.linalg.det(steps)) * np.eye(3), atol=1e-9)


def test_two_separate_gaussians() -> None:
    cell = np.diag([9.0, 5.0, 5.0])
    geometry = _geometry([8, 3], [[0.23, 0.5, 0.51], [0.74, 0.5, 0.49]], cell)
    density = gaussian_density(geometry, Grid(cell, (45, 25, 25)), 0.45, charges=[5.0, 3.0], images=1)
    volumes = bader_volumes(density)
    np.testing.assert_allclose(volumes.integrate(density.total), [5.0, 3.0], atol=2e-4)
    np.testing.assert_allclose(bader_charges(density).sum(), density.electrons(), rtol=1e-12)
    owners = volumes.owners()
    left = slice(3, 19)  # around the first atom, away from the surface between them
    assert (owners[left] == 0).all()
    assert (owners[26:42] == 1).all()
    assert volumes.without_maximum().size == 0
    assert volumes.not_at_a_nucleus(density.total) == pytest.approx(0.0, abs=1e-6)


def test_rock_salt_gives_equal_ions_equal_charges() -> None:
    cell = np.diag([5.6, 5.6, 5.6])
    corners = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
    fractions = corners + (np.array(corners) + np.array([0.5, 0.0, 0.0])).tolist()
    geometry = _geometry([11] * 4 + [17] * 4, fractions, cell)
    density = gaussian_density(geometry, Grid(cell, (24, 24, 24)), 0.7, charges=[7.0] * 4 + [8.0] * 4, images=1)
    charges = bader_charges(density)
    np.testing.assert_allclose(charges[:4], charges[0], rtol=1e-9)
    np.testing.assert_allclose(charges[4:], charges[4], rtol=1e-9)
    assert charges.sum() == pytest.approx(density.electrons(), rel=1e-12)
    assert charges[4] > 8.0 > 7.0 > charges[0]  # the taller Gaussian reaches beyond the middle


def _by_loops(values: np.ndarray, spacing: list[float]) -> dict[tuple[int, ...], dict[tuple[int, ...], float]]:
    """Voxel → maximum → probability, from the published recursion, voxel by voxel in falling order."""
    shape = values.shape
    weights: dict[tuple[int, ...], dict[tuple[int, ...], float]] = {}
    for voxel in sorted(np.ndindex(*shape), key=lambda v: -values[v]):
        flux: dict[tuple[int, ...], float] = {}
        for axis, sign in itertools.product(range(3), (-1, 1)):
            other = list(voxel)
            other[axis] = (other[axis] + sign) % shape[axis]
            area = np.prod([h for i, h in enumerate(spacing) if i != axis])
            rise = values[tuple(other)] - values[voxel]
            if rise > 0:
                flux[tuple(other)] = flux.get(tuple(other), 0.0) + rise * area / spacing[axis]
        if not flux:
            weights[voxel] = {voxel: 1.0}
            continue
        weights[voxel] = {}
        for other_voxel, amount in flux.items():
            for maximum, weight in weights[other_voxel].items():
                share = weight * amount / sum(flux.values())
                weights[voxel][maximum] = weights[voxel].get(maximum, 0.0) + share
    return weights


def test_against_a_loop_over_voxels() -> None:
    rng = np.random.default_rng(0)
    spacing = [0.3, 0.5, 0.4]
    grid = Grid(np.diag(np.array([5, 6, 7]) * spacing), (5, 6, 7))
    geometry = _geometry([1, 6, 8], rng.random((3, 3)).tolist(), grid.cell)
    density = Density(geometry, grid, rng.random((1, 5, 6, 7)))
    field = rng.normal(size=grid.shape)
    volumes = bader_volumes(density)
    expected = {tuple(np.unravel_index(m, grid.shape)): 0.0 for m in volumes.maxima}
    by_atom = np.zeros((*grid.shape, 3))
    atom_of = {tuple(np.unravel_index(m, grid.shape)): a for m, a in zip(volumes.maxima, volumes.atoms, strict=True)}
    for voxel, weights in _by_loops(density.total, spacing).items():
        for maximum, weight in weights.items():
            expected[maximum] += weight * field[voxel] * grid.voxel_volume
            by_atom[voxel][atom_of[maximum]] += weight
    np.testing.assert_allclose(volumes.at_maxima(field), list(expected.values()), rtol=1e-10, atol=1e-12)
    clear = np.sort(by_atom, axis=-1)[..., -1] - np.sort(by_atom, axis=-1)[..., -2] > 1e-9
    assert (volumes.owners() == by_atom.argmax(axis=-1))[clear].all()
    assert clear.sum() > 100


def test_the_core_gives_an_atom_without_a_maximum_its_volume() -> None:
    cell = np.diag([6.0, 6.0, 6.0])
    geometry = _geometry([9, 3], [[0.3, 0.5, 0.5], [0.62, 0.5, 0.5]], cell)
    density = gaussian_density(geometry, Grid(cell, (40, 40, 40)), 0.7, charges=[7.9, 0.1], images=1)
    bare = bader_volumes(density)
    assert bare.without_maximum().tolist() == [1]
    assert bare.integrate(density.total)[1] < 1e-3
    core = core_density(geometry, density.grid, {9: 7, 3: 1})
    dressed = bader_volumes(density, core)
    assert dressed.without_maximum().size == 0
    charges = dressed.integrate(density.total)
    assert 0.05 < charges[1] < 1.5
    assert charges.sum() == pytest.approx(density.electrons(), rel=1e-12)


def test_a_maximum_in_empty_space_is_not_at_a_nucleus() -> None:
    cell = np.diag([6.0, 6.0, 6.0])
    both = _geometry([9, 1], [[0.25, 0.5, 0.5], [0.75, 0.5, 0.5]], cell)
    density = gaussian_density(both, Grid(cell, (30, 30, 30)), 0.5, charges=[6.0, 1.0], images=1)
    single = Density(_geometry([9], [[0.25, 0.5, 0.5]], cell), density.grid, density.values)
    volumes = bader_volumes(single)
    assert volumes.not_at_a_nucleus(single.total) == pytest.approx(1.0, abs=0.02)
    assert volumes.integrate(single.total)[0] == pytest.approx(7.0, abs=1e-3)


#: Electrons per atom by BaderKit 0.10.2, method "weight", no vacuum, maxima given to the nearest atom.
BADERKIT = {
    "aflow-CdPt3-AB3_oC8_65_a_bf": [11.4666, 16.1068, 16.2132, 16.2132],
    "aflow-NaCl-AB_cF8_225_a_b": [7.7520, 6.2480],
}


@pytest.mark.parametrize("name", BADERKIT)
def test_against_baderkit_on_dft_densities(name: str, shared: Path) -> None:
    density = read_density(shared / "dft" / "crystals" / f"{name}.npz")
    np.testing.assert_allclose(bader_charges(density), BADERKIT[name], atol=1e-3)
