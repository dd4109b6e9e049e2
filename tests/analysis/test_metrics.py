"""Metrics against numbers worked out by hand, brute force and statistics from scipy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from charge3net.analysis.metrics import Average, ErrorSums, sums_by_element
from charge3net.analysis.nearest import nearest_atoms
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid


def test_sums_by_hand() -> None:
    sums = ErrorSums.of(np.array([1.0, 2.0, -1.0]), np.array([1.5, 2.0, 1.0]))
    assert sums == ErrorSums(3, 2.5, 4.5, 4.25, -2.5, 2.0)
    assert sums.nmae == pytest.approx(100 * 2.5 / 4.5)
    assert sums.rmse == pytest.approx(np.sqrt(4.25 / 3))
    assert sums.electron_error(0.2) == pytest.approx(-0.5)


def test_chunks_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    target, prediction = rng.random((2, 1000)).astype(np.float32)
    whole = ErrorSums.of(prediction, target)
    sums = ErrorSums.of(prediction[:300], target[:300]) + ErrorSums.of(prediction[300:], target[300:])
    assert sums.voxels == whole.voxels
    assert sums.nmae == pytest.approx(whole.nmae, rel=1e-12)
    assert sums.largest == whole.largest


def test_float32_sums_do_not_drift() -> None:
    n = 20_000_000
    sums = ErrorSums.of(np.full(n, 0.1, dtype=np.float32), np.zeros(n, dtype=np.float32))
    assert sums.absolute == pytest.approx(n * float(np.float32(0.1)), rel=1e-9)


def test_vanishing_reference_and_no_voxel_give_nan() -> None:
    assert np.isnan(ErrorSums.of(np.ones(3), np.zeros(3)).nmae)
    assert np.isnan(ErrorSums().nmae)
    assert np.isnan(ErrorSums().rmse)


def test_a_nan_prediction_is_not_lost() -> None:
    sums = ErrorSums.of(np.array([1.0]), np.array([1.0])) + ErrorSums.of(np.array([np.nan]), np.array([1.0]))
    assert np.isnan(sums.nmae)
    assert np.isnan(sums.largest)


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match="one shape"):
        ErrorSums.of(np.ones(3), np.ones((3, 1)))


def test_average_is_mean_and_standard_error() -> None:
    values = [1.0, 2.5, 4.0, 0.5]
    average = Average.of([*values, float("nan")])
    assert average.count == 4
    assert average.mean == pytest.approx(np.mean(values))
    assert average.standard_error == pytest.approx(stats.sem(values))
    assert np.isnan(Average.of([1.0]).standard_error)
    assert np.isnan(Average.of([]).mean)
    assert str(Average(1.2345, 0.0678, 9)) == "1.234 ± 0.068"
    assert str(Average(12.5, 3.1, 9)) == "12.5 ± 3.1"


def test_elements_follow_the_nearest_image_brute_force() -> None:
    rng = np.random.default_rng(1)
    cell = np.array([[3.0, 0.0, 0.0], [2.9, 1.5, 0.0], [-1.2, 0.7, 2.2]])  # strongly skewed
    geometry = Geometry(np.array([1, 8, 1]), rng.random((3, 3)) @ cell * 3 - 4.0, cell, np.ones(3, dtype=bool))
    grid = Grid(cell, (5, 6, 4))
    points = grid.points()
    shifts = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
    every = np.linalg.norm(points[:, None, None] - geometry.positions[None, :, None] - shifts[None, None], axis=-1)
    nearest = nearest_atoms(points, geometry)
    np.testing.assert_allclose(nearest.distances, every.min(axis=(1, 2)), atol=1e-9)
    numbers = geometry.numbers[nearest.atoms]
    target, prediction = rng.random((2, len(points)))
    by_element = sums_by_element(prediction, target, numbers)
    expected = geometry.numbers[every.min(axis=2).argmin(axis=1)]
    for z in (1, 8):
        reference = ErrorSums.of(prediction[expected == z], target[expected == z])
        assert by_element[z].voxels == reference.voxels
        assert by_element[z].nmae == pytest.approx(reference.nmae)
        assert by_element[z].largest == reference.largest
        assert by_element[z].signed == pytest.approx(reference.signed)


def test_superposition_error_of_real_densities(shared: Path) -> None:
    """The generator of the densities stored its own number for the superposition of atoms."""
    paths = sorted((shared / "dft" / "crystals").glob("*.npz"))[:20]
    for path in paths:
        with np.load(path) as data:
            sums = ErrorSums.of(data["density_sad"], data["density"])
            stored = json.loads(str(data["meta"]))["nmae_sad"]
            assert sums.nmae == pytest.approx(100 * stored, rel=1e-4), path.name
            electrons = float(data["n_electrons"])
            assert sums.reference > 0
            volume = abs(np.linalg.det(data["cell"])) / data["density"].size
            assert data["density_sad"].sum(dtype=np.float64) * volume == pytest.approx(electrons, rel=1e-3)
