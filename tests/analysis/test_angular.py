"""ζ and gradients against analytic fields."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from charge3net.analysis.angular import angular_variation, gradient_central, gradient_published, gradient_spectral
from charge3net.analysis.nearest import equally_near_atoms
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

SKEWED = np.array([[4.0, 0.0, 0.0], [1.5, 3.5, 0.0], [-0.7, 0.9, 4.5]])


def _wave(grid: Grid, hkl: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """cos(G·r) on the grid and its analytic gradient."""
    g = 2 * np.pi * np.array(hkl) @ np.linalg.inv(grid.cell).T
    phase = grid.points() @ g
    values = np.cos(phase).reshape(grid.shape)
    gradient = (-np.sin(phase)[None] * g[:, None]).reshape(3, *grid.shape)
    return values, gradient


@pytest.mark.parametrize("hkl", [(1, 0, 0), (2, -3, 1), (0, 4, -4), (4, 4, 4)])
@pytest.mark.parametrize("shape", [(9, 11, 13), (10, 12, 10)])
def test_spectral_gradient_of_a_plane_wave(hkl: tuple[int, int, int], shape: tuple[int, int, int]) -> None:
    values, expected = _wave(Grid(SKEWED, shape), hkl)
    np.testing.assert_allclose(gradient_spectral(values, Grid(SKEWED, shape)), expected, atol=1e-10)


def test_nyquist_wave_has_no_gradient_at_the_voxels() -> None:
    grid = Grid(SKEWED, (8, 8, 8))
    for hkl in [(4, 0, 0), (0, 4, 0), (0, 0, 4)]:
        values, _ = _wave(grid, hkl)
        np.testing.assert_allclose(gradient_spectral(values, grid), 0.0, atol=1e-10)


def test_central_gradient_converges_in_second_order() -> None:
    errors = []
    for n in (16, 32, 64):
        grid = Grid(SKEWED, (n, n, n))
        values, expected = _wave(grid, (1, 1, -1))
        errors.append(np.abs(gradient_central(values, grid) - expected).max())
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.05)


def test_published_gradient_does_not_go_round_the_cell() -> None:
    """A linear ramp has the same slope everywhere, also at the faces where a periodic difference sees the jump."""
    grid = Grid(SKEWED, (5, 6, 7))
    slope = np.array([0.3, -1.1, 0.7])
    ramp = (grid.points() @ slope).reshape(grid.shape)
    found = gradient_published(ramp, grid)
    np.testing.assert_allclose(found, np.broadcast_to(slope[:, None, None, None], found.shape), atol=1e-12)
    assert np.abs(gradient_central(ramp, grid) - slope[:, None, None, None]).max() > 1.0


def test_published_gradient_is_central_inside_and_one_sided_at_the_faces() -> None:
    """By differences voxel by voxel, in a rectangular cell."""
    lengths, shape = (3.0, 4.0, 5.0), (4, 5, 6)
    grid = Grid(np.diag(lengths), shape)
    values = np.random.default_rng(1).standard_normal(shape)
    found = gradient_published(values, grid)
    for axis, (length, n) in enumerate(zip(lengths, shape, strict=True)):
        line = np.moveaxis(values, axis, 0)
        expected = np.moveaxis(found[axis], axis, 0)
        h = length / n
        np.testing.assert_allclose(expected[0], (line[1] - line[0]) / h)
        np.testing.assert_allclose(expected[-1], (line[-1] - line[-2]) / h)
        np.testing.assert_allclose(expected[2], (line[3] - line[1]) / (2 * h))


def test_the_methods_agree_where_the_density_is_smooth_and_vanishes_at_the_faces() -> None:
    grid = Grid(np.eye(3) * 8.0, (64, 64, 64))
    points = grid.points() - 4.0
    field = np.exp(-(points[:, 0] ** 2 + 2.0 * points[:, 1] ** 2 + points[:, 2] ** 2) / 1.5)
    density = _density(field, grid, [[4.0, 4.0, 4.0]])
    spectral = angular_variation(density)
    assert 0.02 < spectral < 0.2
    for method in ("central", "published"):
        assert angular_variation(density, method=method) == pytest.approx(spectral, abs=2e-3)


def _density(field: np.ndarray, grid: Grid, positions: list[list[float]]) -> Density:
    geometry = Geometry(np.ones(len(positions), dtype=int), np.array(positions), grid.cell, np.ones(3, dtype=bool))
    return Density(geometry, grid, field.reshape(1, *grid.shape))


def test_a_spherical_atom_has_zero_zeta() -> None:
    grid = Grid(np.eye(3) * 8.0, (40, 40, 40))
    field = np.exp(-(((grid.points() - 4.0) ** 2).sum(axis=1)) / 0.8)
    density = _density(field, grid, [[4.0, 4.0, 4.0]])
    assert angular_variation(density) == pytest.approx(0.0, abs=1e-6)
    assert angular_variation(density, method="central") == pytest.approx(0.0, abs=5e-3)


def test_zeta_of_a_layered_field_by_quadrature() -> None:
    """ρ(z) within R of an atom, dρ/dz even about it: ζ = 1 − ∫∫|g||cos θ| / ∫∫|g|, by quadrature in polar angles."""
    box, radius = 6.0, 1.5
    grid = Grid(np.eye(3) * box, (60, 60, 60))
    k = 2 * np.pi / box
    density = _density(np.sin(k * grid.points()[:, 2]), grid, [[0.0, 0.0, 0.0]])
    r = (np.arange(400) + 0.5) * radius / 400
    u = (np.arange(400) + 0.5) / 400  # |cos θ|
    slope = np.abs(np.cos(k * r[:, None] * u)) * r[:, None] ** 2
    expected = 1 - (slope * u).sum() / slope.sum()
    assert angular_variation(density, cutoff=radius) == pytest.approx(expected, abs=5e-3)


def test_zeta_does_not_depend_on_scale_origin_or_cell_choice() -> None:
    rng = np.random.default_rng(0)
    grid = Grid(SKEWED, (12, 12, 12))
    coefficients = rng.standard_normal((5, 3)).round(1)
    field = sum(_wave(grid, tuple(rng.integers(-2, 3, 3)))[0] * c[0] for c in coefficients)
    assert isinstance(field, np.ndarray)
    atom = [0.71, 0.33, 1.27]
    zeta = angular_variation(_density(field, grid, [atom]))
    assert 0.2 < zeta < 0.8
    assert angular_variation(_density(7.0 * field + 3.0, grid, [atom])) == pytest.approx(zeta, abs=1e-10)
    moved = np.array(atom) + np.array([2, -1, 3]) @ SKEWED
    assert angular_variation(_density(field, grid, [moved.tolist()])) == pytest.approx(zeta, abs=1e-10)
    shifted = Density(
        Geometry(np.array([1]), np.array([atom]) + SKEWED[0] / 12, SKEWED, np.ones(3, dtype=bool)),
        grid,
        np.roll(field, 1, axis=0)[None],
    )
    assert angular_variation(shifted) == pytest.approx(zeta, abs=1e-10)


def test_constant_density_and_bad_input() -> None:
    grid = Grid(np.eye(3) * 3.0, (6, 6, 6))
    density = _density(np.full(216, 2.0), grid, [[0.1, 0.1, 0.1]])
    assert angular_variation(density) == 0.0
    with pytest.raises(InputError, match="cutoff"):
        angular_variation(density, cutoff=0.01)
    thin = Grid(np.eye(3) * 3.0, (6, 6, 1))
    with pytest.raises(InputError, match="two voxels"):
        angular_variation(_density(np.arange(36.0), thin, [[0.1, 0.1, 0.1]]), method="published")


def test_chunks_give_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(SKEWED, (12, 10, 14))
    density = _density(_wave(grid, (1, 1, 0))[0] + _wave(grid, (0, 1, 2))[0], grid, [[0.3, 0.1, 0.2]])
    whole = angular_variation(density)
    monkeypatch.setattr("charge3net.analysis.angular.CHUNK", 101)
    assert angular_variation(density) == pytest.approx(whole, abs=1e-12)


def test_equally_near_atoms_count_alike() -> None:
    """Voxels half-way between the two atoms of a dimer: the order of the atoms and a shift of 1e-9 Å change nothing."""
    cell = np.diag([8.0, 4.0, 4.0])
    positions = np.array([[2.0, 0.0, 0.0], [6.0, 1.0, 0.0]])
    grid = Grid(cell, (8, 4, 4))
    values = np.random.default_rng(0).random(grid.shape)
    found = []
    for order, shift in (([0, 1], 0.0), ([1, 0], 0.0), ([0, 1], 1e-9), ([0, 1], -1e-9)):
        moved = positions[order] + np.array([[shift, 0, 0], [0, 0, 0]])
        geometry = Geometry(np.array([1, 1]), moved, cell, np.ones(3, dtype=bool))
        found.append(angular_variation(Density(geometry, grid, values)))
    assert found == pytest.approx([found[0]] * 4, abs=1e-8)


def test_the_mean_over_equally_near_atoms_by_hand() -> None:
    """One atom at the corner of a cube: the voxel at its centre has eight nearest images, the gradient is along x."""
    geometry = Geometry(np.array([1]), np.zeros((1, 3)), np.eye(3) * 2, np.ones(3, dtype=bool))
    grid = Grid(np.eye(3) * 2, (2, 2, 2), np.array([1.0, 1.0, 1.0]))
    point, vectors = equally_near_atoms(grid.points(np.array([0])), geometry)
    assert point.tolist() == [0] * 8
    assert sorted(map(tuple, np.round(vectors).tolist())) == sorted(itertools.product([-1.0, 1.0], repeat=3))
