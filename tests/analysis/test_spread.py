"""ε_mad against numbers worked out by hand, and its invariances."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from charge3net.analysis.spread import functional_spread, pair_errors
from charge3net.errors import InputError


def test_two_voxels_by_hand() -> None:
    # voxel 1: 1 2 4 9, median 3, mean deviation (2 + 1 + 1 + 6) / 4; voxel 2: all 3; Σρ_1 = 4
    densities = np.array([[1.0, 3.0], [2.0, 3.0], [4.0, 3.0], [9.0, 3.0]]).reshape(4, 2, 1, 1)
    assert functional_spread(densities) == pytest.approx(100.0 * 2.5 / 4.0)


def test_two_functionals_are_half_their_difference_apart() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0.1, 1.0, (2, 4, 5, 6))
    between = pair_errors(np.stack([first, second]), ["PBE", "LDA"])
    assert between == {("PBE", "LDA"): pytest.approx(100.0 * np.abs(first - second).sum() / first.sum())}
    assert functional_spread(np.stack([first, second])) == pytest.approx(between["PBE", "LDA"] / 2.0)


def test_against_a_loop_over_voxels_in_float32() -> None:
    densities = np.random.default_rng(1).uniform(0.0, 2.0, (5, 3, 4, 2)).astype(np.float32)
    columns = densities.reshape(5, -1).T.tolist()
    deviations = [statistics.fmean(abs(v - statistics.median(column)) for v in column) for column in columns]
    expected = 100.0 * sum(deviations) / sum(column[0] for column in columns)
    assert functional_spread(densities) == pytest.approx(expected, rel=1e-12)
    assert functional_spread(densities[[0, 4, 2, 1, 3]]) == pytest.approx(expected, rel=1e-12)


def test_pairs_are_named_in_order() -> None:
    densities = np.stack([np.full((1, 1, 2), value) for value in (1.0, 1.1, 0.7)])
    errors = pair_errors(densities, ["a", "b", "c"])
    assert errors == pytest.approx({("a", "b"): 10.0, ("a", "c"): 30.0, ("b", "c"): 100.0 * 0.4 / 1.1})


@pytest.mark.parametrize("densities", [np.ones((1, 2, 2, 2)), np.zeros((3, 2, 2, 2)), np.full((2, 1, 1, 1), np.nan)])
def test_what_has_no_spread_is_refused(densities: np.ndarray) -> None:
    with pytest.raises(InputError):
        functional_spread(densities)


def test_names_must_fit() -> None:
    with pytest.raises(InputError, match="found 2"):
        pair_errors(np.ones((3, 1, 1, 1)), ["a", "b"])
