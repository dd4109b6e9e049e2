"""List and order of pw.x's plane waves, held to what pw.x wrote (tests/io/golden_qe)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charge3net.errors import InputError
from charge3net.io.qe import gvectors
from charge3net.io.qe.pw_input import read_pw_input

GOLDEN = Path(__file__).parent / "golden_qe"
ORDERS: list[dict[str, Any]] = json.loads((GOLDEN / "orders.json").read_text("utf-8"))


def waves_of(golden: dict[str, Any], folder: Path) -> gvectors.PlaneWaves:
    (folder / "x.in").write_text(golden["input"], "utf-8")
    return read_pw_input(folder / "x.in").plane_waves()


def digest(waves: gvectors.PlaneWaves) -> str:
    return hashlib.sha256(waves.miller.astype("<i4").tobytes()).hexdigest()


@pytest.mark.parametrize("golden", ORDERS, ids=[golden["name"] for golden in ORDERS])
def test_order_and_grid_are_those_of_pw_x(golden: dict[str, Any], tmp_path: Path) -> None:
    waves = waves_of(golden, tmp_path)
    assert (len(waves.miller), list(waves.shape)) == (golden["waves"], golden["grid"])
    np.testing.assert_allclose(waves.reciprocal, golden["reciprocal"], rtol=0, atol=1e-12)
    assert digest(waves) == golden["sha256"]


def test_a_stable_sort_is_another_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap of this file format: sorted by length, accepted by pw.x, and wrong."""
    monkeypatch.setattr(gvectors, "order_by_length", lambda squared: np.argsort(squared, kind="stable"))
    wrong = [golden["name"] for golden in ORDERS if digest(waves_of(golden, tmp_path)) != golden["sha256"]]
    assert {"ties3", "ties6"} <= set(wrong)


def test_heap_sort_sorts() -> None:
    keys = np.random.default_rng(0).permutation(997) * 1e-3
    np.testing.assert_array_equal(keys[gvectors.heap_order(keys)], np.sort(keys))
    assert gvectors.heap_order(np.zeros(0)).tolist() == []
    assert gvectors.heap_order(np.array([2.0, 1.0])).tolist() == [1, 0]


@pytest.mark.parametrize("noise", [0.0, 1e-12, 4e-9])
def test_shortcut_is_the_heap_sort(noise: float) -> None:
    rng = np.random.default_rng(1)
    keys = rng.integers(0, 60, size=3000) / 7 + noise * rng.uniform(-1, 1, size=3000)
    np.testing.assert_array_equal(gvectors.order_by_length(keys), gvectors.heap_order(keys))


def test_equal_lengths_keep_their_places() -> None:
    assert gvectors.heap_order(np.array([1.0, 0.0, 1.0, 0.0, 1.0])).tolist() == [1, 3, 0, 2, 4]


@pytest.mark.parametrize("gamma_only", [False, True])
def test_values_and_coefficients_are_inverse(gamma_only: bool) -> None:
    waves = gvectors.plane_waves(np.array([[5.0, 0.3, 0], [0, 6, 0.2], [0.5, 0, 7]]), 20.0, gamma_only)
    rng = np.random.default_rng(2)
    found = rng.normal(size=(2, len(waves.miller))) + 1j * rng.normal(size=(2, len(waves.miller)))
    zero = np.flatnonzero((waves.miller == 0).all(axis=1))
    found[:, zero] = found[:, zero].real
    if not gamma_only:  # a real field has ρ(−G) = ρ(G)*
        place = {tuple(wave): i for i, wave in enumerate(waves.miller.tolist())}
        opposite = [place[-a, -b, -c] for a, b, c in waves.miller.tolist()]
        found = (found + found[:, opposite].conj()) / 2
    for shape in (None, (30, 32, 36)):
        values = waves.values(found, shape)
        np.testing.assert_allclose(waves.coefficients(values), found, atol=1e-13)


def test_coefficients_of_a_known_wave() -> None:
    waves = gvectors.plane_waves(np.diag([4.0, 5.0, 6.0]), 30.0)
    x, y = np.arange(12)[:, None, None] / 12, np.arange(15)[:, None] / 15
    values = 3.0 + 2.0 * np.cos(2 * np.pi * (2 * x - y)) + np.zeros((12, 15, 16))
    found = dict(zip(map(tuple, waves.miller.tolist()), waves.coefficients(values[None])[0], strict=True))
    assert {wave: round(float(c.real), 12) for wave, c in found.items() if abs(c) > 1e-12} == {
        (0, 0, 0): 3.0, (2, -1, 0): 1.0, (-2, 1, 0): 1.0,
    }  # fmt: skip


def test_waves_beyond_the_grid_are_zero() -> None:
    waves = gvectors.plane_waves(np.eye(3) * 6.0, 20.0)
    found = waves.coefficients(np.random.default_rng(0).normal(size=(1, 4, 4, 4)))
    inside = (np.abs(waves.miller) < 2).all(axis=1)
    assert (found[0, ~inside] == 0).all()
    assert (found[0, inside] != 0).all()


def test_too_coarse_a_grid_is_refused() -> None:
    waves = gvectors.plane_waves(np.eye(3) * 6.0, 20.0)
    with pytest.raises(InputError, match="too coarse"):
        waves.values(np.zeros((1, len(waves.miller)), complex), (4, 20, 20))


@pytest.mark.parametrize(("cell", "cutoff"), [(np.zeros((3, 3)), 10.0), (np.eye(3), 0.0), (np.eye(3), np.nan)])
def test_bad_waves_are_refused(cell: np.ndarray, cutoff: float) -> None:
    with pytest.raises(InputError):
        gvectors.plane_waves(cell, cutoff)


def test_fft_numbers_have_the_factors_2_3_5() -> None:
    assert [gvectors.good_fft_number(n) for n in (1, 7, 11, 13, 17, 49, 97, 121)] == [1, 8, 12, 15, 18, 50, 100, 125]
