"""Finite differences of functions whose derivatives are known."""

from __future__ import annotations

import numpy as np

from charge3net.analysis.differences import REACH, central_differences

POINTS = np.random.default_rng(0).uniform(-1, 1, size=(6, 3))


def test_fourth_order_polynomials_are_exact():
    def quartic(p: np.ndarray) -> np.ndarray:
        x, y, z = p.T
        return x**4 - 2 * x * y**2 * z + y**3 + 3 * z**2 + x * y

    x, y, z = POINTS.T
    gradient, hessian = central_differences(quartic, POINTS, 0.1)
    slope = np.stack([4 * x**3 - 2 * y**2 * z + y, -4 * x * y * z + 3 * y**2 + x, -2 * x * y**2 + 6 * z], axis=1)
    np.testing.assert_allclose(gradient, slope, atol=1e-12)
    np.testing.assert_allclose(hessian[:, 0, 0], 12 * x**2, atol=1e-11)
    np.testing.assert_allclose(hessian[:, 1, 2], -4 * x * y, atol=1e-11)
    np.testing.assert_allclose(hessian, hessian.transpose(0, 2, 1))


def test_the_error_falls_with_the_fourth_power_of_the_step():
    def wave(p: np.ndarray) -> np.ndarray:
        return np.sin(p @ np.array([1.0, 2.0, -1.5]))

    exact = -wave(POINTS)[:, None, None] * np.outer([1.0, 2.0, -1.5], [1.0, 2.0, -1.5])
    errors = [np.abs(central_differences(wave, POINTS, h)[1] - exact).max() for h in (0.1, 0.05)]
    assert 14 < errors[0] / errors[1] < 18


def test_nothing_is_read_beyond_the_reach():
    far: list[float] = []

    def watch(p: np.ndarray) -> np.ndarray:
        far.append(float(np.linalg.norm(p - POINTS, axis=1).max()))
        return p[:, 0]

    central_differences(watch, POINTS, 0.01)
    assert max(far) <= REACH * 0.01 * (1 + 1e-9)
    assert len(far) == 37
