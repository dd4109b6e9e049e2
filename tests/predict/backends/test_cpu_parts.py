"""Parts of the compiled backend: radial tables, cell list, order of points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charge3net.geometry import Geometry
from charge3net.graph.cell_list import cell_list
from charge3net.grid import Grid
from charge3net.nn.radial_charge3net import GaussianBasis, RadialNet
from charge3net.predict.backends.charge3net_parts import radial_functions
from charge3net.predict.backends.point_order import BLOCK, grid_blocks, grid_subset_blocks, point_blocks
from charge3net.predict.backends.spline import TOLERANCE, fit

SKEWED = np.array([[3.1, 0.0, 0.0], [1.9, 2.7, 0.0], [-1.2, 1.1, 3.4]])


def spline(table: np.ndarray, steps: int, fraction: np.ndarray) -> np.ndarray:
    """Cubic B-spline by the Cox–de Boor recursion of scipy."""
    from scipy.interpolate import BSpline

    knots = np.arange(-3, steps + 4) / steps
    return BSpline(knots, table, 3)(fraction)


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_tables_are_the_networks(sharpness):
    torch.manual_seed(0)
    basis, network = GaussianBasis(20, 4.0), RadialNet(20, 100, 30)
    with torch.no_grad():
        network.first.mul_(sharpness)
        tables = fit([radial_functions(network, basis)], 4.0)
        lengths = torch.rand(4000, dtype=torch.float64) * 4.0
        exact = network.double()(basis.double()(lengths)).numpy()
    found = spline(tables.coefficients[0], tables.steps, lengths.numpy() / 4.0)
    error = (np.abs(found - exact).max(0) / np.abs(exact).max(0)).max()
    assert tables.error <= TOLERANCE
    assert error <= 1.2 * tables.error  # which was looked for at quarters of the steps only


def test_smooth_functions_need_few_steps_and_sharp_ones_have_no_table():
    def gaussian(width):
        return lambda r: torch.exp(-(((r[:, None] - 2.0) / width) ** 2))

    smooth, sharp = fit([gaussian(2.0)], 4.0), fit([gaussian(0.2)], 4.0)
    assert smooth.steps < sharp.steps
    assert fit([gaussian(0.2), gaussian(0.005)], 4.0) is None


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
def test_cell_list_has_every_atom_in_its_bin(pbc):
    rng = np.random.default_rng(0)
    cell = 4.0 * SKEWED
    geometry = Geometry(rng.integers(1, 9, 50), rng.uniform(-20.0, 20.0, (50, 3)), cell, np.array(pbc))
    listed = cell_list(geometry)
    assert sorted(listed.members) == list(range(50))
    for number in range(int(np.prod(listed.bins))):
        place = np.array(np.unravel_index(number, listed.bins))
        for atom in listed.members[listed.bounds[number] : listed.bounds[number + 1]]:
            fractional = geometry.positions[atom] @ listed.inverse - listed.wraps[atom]
            below = fractional - (listed.low + place * listed.width)
            assert (below >= -1e-9).all()
            assert (below <= listed.width + 1e-9).all()


@pytest.mark.parametrize(
    ("cell", "shape"),
    [
        (np.eye(3), (7, 5, 9)),
        (np.diag([2.8, 2.8, 14.0]), (60, 60, 60)),  # the first axis is the finest
        (np.diag([50.0, 1.0, 4.0]), (3, 700, 301)),  # a plane is larger than a block
        (np.diag([1.0, 2.0, 30.0]), (2, 3, 2 * BLOCK)),
    ],
)
def test_grid_blocks_hold_every_voxel_once(cell, shape):
    grid = Grid(cell, shape, np.array([0.1, -0.2, 0.3]))
    count, largest = np.zeros(len(grid), dtype=int), 0
    for index, points in grid_blocks(grid):
        count[index] += 1
        largest = max(largest, len(index))
        some = np.linspace(0, len(index) - 1, 20).astype(int)
        np.testing.assert_array_equal(points[some], grid.points(index[some]))
    assert (count == 1).all()
    assert largest <= 2 * BLOCK


def test_the_finest_axis_runs_fastest():
    _, points = next(grid_blocks(Grid(np.diag([2.8, 2.8, 14.0]), (60, 60, 60))))
    steps = np.linalg.norm(np.diff(points[:50], axis=0), axis=1)
    assert np.median(steps) == pytest.approx(2.8 / 60)


def test_subsets_and_points_are_permuted():
    rng = np.random.default_rng(1)
    grid = Grid(np.diag([2.8, 2.8, 14.0]), (40, 50, 60))
    index = rng.permutation(len(grid))[:9000]
    targets, points = (np.concatenate(parts) for parts in zip(*grid_subset_blocks(grid, index), strict=True))
    assert sorted(targets) == list(range(9000))
    np.testing.assert_array_equal(points, grid.points(index[targets]))
    scattered = rng.normal(size=(3000, 3)) * 5.0
    targets, points = (np.concatenate(parts) for parts in zip(*point_blocks(scattered), strict=True))
    assert sorted(targets) == list(range(3000))
    np.testing.assert_array_equal(points, scattered[targets])
    near = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert near.mean() < 0.5 * np.linalg.norm(np.diff(scattered, axis=0), axis=1).mean()
