"""Errors of densities and derivatives against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from charge3net.analysis.field_errors import LocalDensity, by_bin, compare, overlap, sign_by_size


def local(values: list[float], gradient: list[list[float]], curvatures: list[list[float]]) -> LocalDensity:
    return LocalDensity(np.array(values), np.array(gradient, dtype=float), np.stack([np.diag(c) for c in curvatures]))


TRUE = local([1.0, 2.0, 1.0], [[1, 0, 0], [0, 3, 4], [0, 0, 0]], [[1, -2, 3], [-1, 0.5, 4], [5, -5, 1]])
FOUND = local([1.5, 2.0, -1.0], [[1, 0, 1], [0, 3, 3], [0, 0, 1]], [[1, -2, 3], [-1, -0.5, 4], [5, -5, 2]])


def test_sums_of_errors():
    errors = compare(TRUE, FOUND)
    assert errors["density"] == pytest.approx(2.5 / 4)
    assert errors["gradient"] == pytest.approx(3 / 6)
    norms = np.sqrt(14) + np.sqrt(1 + 0.25 + 16) + np.sqrt(51)
    assert errors["hessian"] == pytest.approx(2 / norms)
    assert errors["lambda1"] == 0.0
    assert errors["lambda2"] == pytest.approx(2 / (1 + 0.5 + 1)), "eigenvalues in ascending order"
    assert errors["sign"] == pytest.approx(2 / 3)
    assert errors["not_positive"] == pytest.approx(1 / 3)


def test_a_density_has_no_error_against_itself():
    errors = compare(TRUE, TRUE)
    for name in ("density", "gradient", "hessian", "lambda3", "iri", "dori", "not_positive"):
        assert errors[name] == 0.0
    for name in ("sign", "iri_region", "dori_region"):
        assert errors[name] == 1.0


def test_bins():
    part, whole, x = np.array([1.0, 2.0, 3.0, 9.0]), np.array([2.0, 2.0, 6.0, 1.0]), np.array([0.1, 0.2, 1.5, 9.0])
    assert by_bin(part, whole, x, np.array([0.0, 1.0, 2.0, 3.0])) == [0.75, 0.5, None]
    # λ₂ true: 1, 0.5, 1; found: 1, −0.5, 2
    assert sign_by_size(TRUE, FOUND, np.array([0.0, 0.7, 2.0])) == [0.0, 1.0]


def test_overlap_of_regions():
    first, second = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert overlap(first, second) == pytest.approx(1 / 3)
    assert overlap(~first & first, ~first & first) == 1.0
