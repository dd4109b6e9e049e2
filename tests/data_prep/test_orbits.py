"""One value for each orbit of the crystal's symmetry: orbits by hand, round trips, fallback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charge3net.data.store import Store
from charge3net.data.writer import StoreWriter
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.io.packed import TOLERANCE, decode, decode_orbits, encode, encode_orbits
from data_prep.bundles import bundle as bundles
from data_prep.bundles.bundle import INDEX, Source, add_to_store, read_index, write_bundle
from data_prep.bundles.orbits import generating_operations, orbits

HEXAGONAL = np.array([[3.0, 0.0, 0.0], [-1.5, 1.5 * 3**0.5, 0.0], [0.0, 0.0, 5.0]])
CUBIC = 4.0 * np.eye(3)


def _caesium_chloride(shape: tuple[int, int, int], channels: int = 1, lower: float = 0.0) -> dict[str, np.ndarray]:
    """A file of the generator's for CsCl: Gaussians and their images; ``lower`` scales a term without symmetry."""
    positions = np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    points = np.stack(np.meshgrid(*(4.0 * np.arange(n) / n for n in shape), indexing="ij"), axis=-1)
    values = np.full(shape, 0.02)
    for centre, weight, width in zip(positions, (3.0, 7.0), (0.5, 0.8), strict=True):
        for image in np.ndindex(5, 5, 5):
            squared = ((points - centre - 4.0 * (np.array(image) - 2.0)) ** 2).sum(axis=-1)
            values += weight * np.exp(-squared / width**2)
    values *= 1.0 + lower * np.sin(2 * np.pi * points[..., 0] / 4.0)
    spins = np.stack([values, 0.3 * values - 0.2 * values**2 / values.max()])[:channels]
    return {
        "numbers": np.array([55, 17]),
        "positions": positions,
        "cell": CUBIC,
        "pbc": np.ones(3, dtype=bool),
        "density": (spins if channels > 1 else spins[0]).astype(np.float32),
        "density_sad": (0.9 * values).astype(np.float32),
        "n_electrons": np.array(values.mean() * 64.0),
        "meta": np.array(json.dumps({"nmae_sad": 0.1})),
    }


def _made(folder: Path, compact: bool, **values: np.ndarray) -> dict:
    folder.mkdir()
    np.savez(folder / "one-0.npz", **values)
    fields = {"key": "one-0", "part": "test", "formula": "CsCl"}
    source = Source(folder / "one-0.npz", fields, baseline=True, meta=("nmae_sad",), compact=compact)
    return write_bundle(folder / "bundle", {"settings": {}}, [source])[0]


def _unpacked(folder: Path) -> Store:
    with StoreWriter(folder / "store") as writer:
        add_to_store(writer, folder / "bundle", read_index(folder / "bundle")[1], {})
    return Store(folder / "store")


def test_orbits_by_hand() -> None:
    """A mirror of the first axis, and half a turn about it with half a shift along it, on 4 × 2 × 1 voxels."""
    mirror = [-1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]  # (1, y) and (3, y) are images of each other
    np.testing.assert_array_equal(orbits([], (4, 2, 1)), range(8))
    np.testing.assert_array_equal(orbits([mirror], (4, 2, 1)), [0, 1, 2, 3, 4, 5, 2, 3])
    shifted = [1, 0, 0, 0, -1, 0, 0, 0, -1, 2, 1, 0]  # (x, y) to (x + 2, 1 − y)
    np.testing.assert_array_equal(orbits([shifted], (4, 2, 1)), [0, 1, 2, 3, 1, 0, 3, 2])
    np.testing.assert_array_equal(orbits([mirror, shifted], (4, 2, 1)), [0, 1, 2, 2, 1, 0, 2, 2])


def test_an_operation_that_joins_voxels_is_refused() -> None:
    with pytest.raises(ValueError, match="onto itself"):
        orbits([[2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]], (4, 2, 1))


def test_few_operations_generate_the_orbits_of_a_cubic_crystal() -> None:
    """Under the 48 operations of m-3m, orbits are the voxels of equal sorted |x|, |y|, |z|, distances with images."""
    geometry = Geometry(np.array([55, 17]), np.array([[0.0, 0, 0], [2.0, 2.0, 2.0]]), CUBIC, np.ones(3, dtype=bool))
    kept = generating_operations(geometry, (6, 6, 6))
    assert 2 <= len(kept) <= 5
    assert json.loads(json.dumps(kept)) == kept
    distances = np.minimum(np.indices((6, 6, 6)), 6 - np.indices((6, 6, 6))).reshape(3, -1)
    _, expected = np.unique(np.sort(distances, axis=0), axis=1, return_inverse=True)
    orbit = orbits(kept, (6, 6, 6))
    assert orbit.max() + 1 == expected.max() + 1 == 20  # 4 · 5 · 6 / 6 multisets of 0, 1, 2, 3
    assert len(set(zip(orbit.tolist(), expected.ravel().tolist(), strict=True))) == 20


def test_operations_that_do_not_fit_the_grid_are_left_out() -> None:
    """A grid with other numbers of voxels along a and b has no turn by 90°, and 8 operations of mmm are left."""
    geometry = Geometry(np.array([55]), np.zeros((1, 3)), CUBIC, np.ones(3, dtype=bool))
    orbit = orbits(generating_operations(geometry, (4, 5, 7)), (4, 5, 7))
    assert orbit.max() + 1 == 3 * 3 * 4
    rattled = Geometry(np.array([55, 17, 1]), np.random.default_rng(0).uniform(0, 4, (3, 3)), CUBIC, geometry.pbc)
    assert generating_operations(rattled, (4, 5, 7)) == []


def test_symmetric_values_come_back_in_fewer_bytes() -> None:
    geometry = Geometry(np.array([12]), np.zeros((1, 3)), HEXAGONAL, np.ones(3, dtype=bool))
    orbit = orbits(generating_operations(geometry, (12, 12, 16)), (12, 12, 16))
    assert orbit.max() + 1 < len(orbit) / 10
    rng = np.random.default_rng(1)
    values = rng.lognormal(0.0, 2.0, orbit.max() + 1)[orbit].reshape(12, 12, 16)
    blob, step, error = encode_orbits(values, orbit)
    back = decode_orbits(blob, orbit, (12, 12, 16), step)
    assert np.abs(back - values).sum() / values.sum() == pytest.approx(error)
    assert TOLERANCE / 2 < error <= TOLERANCE
    plain = encode(values)
    assert len(blob) < len(plain[0]) / 4
    np.testing.assert_allclose(back, decode(plain[0], (12, 12, 16), plain[1]), atol=max(step, plain[1]))
    assert np.abs(back.ravel() - back.ravel()[np.unique(orbit, return_index=True)[1]][orbit]).max() == 0.0


def test_the_error_counts_what_the_mean_changes() -> None:
    """Noise of 0.4 tolerances alone leaves less room for rounding; noise of 0.6 is refused."""
    orbit = orbits([[-1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]], (8, 6, 5))
    values = np.random.default_rng(2).uniform(1.0, 3.0, orbit.max() + 1)[orbit]
    pairs = np.bincount(orbit)[orbit] == 2
    sign = np.where(np.arange(240) < 120, 1.0, -1.0) * pairs
    noise = 0.4 * TOLERANCE * values.sum() / pairs.sum() * sign
    shape = (8, 6, 5)
    blob, step, error = encode_orbits((values + noise).reshape(shape), orbit)
    back = decode_orbits(blob, orbit, shape, step).ravel()
    assert np.abs(back - values - noise).sum() / (values + noise).sum() == pytest.approx(error, rel=1e-6)
    assert error <= TOLERANCE
    with pytest.raises(ValueError, match="not equal"):
        encode_orbits((values + 1.5 * noise).reshape(shape), orbit)


def test_damaged_bytes_are_refused() -> None:
    orbit = orbits([[-1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]], (8, 6, 5))
    blob, step, _ = encode_orbits(
        np.random.default_rng(2).uniform(1.0, 3.0, orbit.max() + 1)[orbit].reshape(8, 6, 5), orbit
    )
    with pytest.raises(ValueError, match="packed density"):
        decode_orbits(blob, np.arange(240), (8, 6, 5), step)
    with pytest.raises(ValueError, match="packed density"):
        decode_orbits(b"\xff" * 40, orbit, (8, 6, 5), step)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_bundle_of_a_symmetric_crystal(channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Density, magnetisation and superposition of atoms come back; unpacking does not look for symmetry."""
    values = _caesium_chloride((12, 12, 12), channels)
    record = _made(tmp_path / "orbits", True, **values)
    plain = _made(tmp_path / "plain", False, **values)
    names = ("density", "baseline", *(["magnetisation"] * (channels - 1)))
    assert "symmetry" in record
    assert "symmetry" not in plain
    for name in names:
        assert record[name]["orbits"]
        assert "orbits" not in plain[name]
        assert record[name]["bytes"] < plain[name]["bytes"] / 3

    def none(*_: object) -> list:
        raise AssertionError("symmetry was looked for")

    monkeypatch.setattr(bundles, "generating_operations", none)
    monkeypatch.setattr("spglib.get_symmetry", none)
    store = _unpacked(tmp_path / "orbits")
    entry = store["one-0"]
    expected = values["density"] if channels > 1 else values["density"][None]
    total = np.abs(expected[0]).sum()
    errors = [np.abs(found - wanted).sum() / total for found, wanted in zip(entry.values, expected, strict=True)]
    assert errors == pytest.approx([record[name]["error"] for name in bundles.CHANNELS if name in record], rel=1e-3)
    assert max(errors) <= TOLERANCE
    assert np.abs(entry.baseline - values["density_sad"]).sum() <= TOLERANCE * values["density_sad"].sum()


def test_a_density_of_lower_symmetry_is_packed_plainly(tmp_path: Path) -> None:
    """The structure is cubic, the density is not; the superposition of atoms still is."""
    values = _caesium_chloride((12, 12, 12), lower=1e-3)
    values["density_sad"] = _caesium_chloride((12, 12, 12))["density_sad"]
    record = _made(tmp_path / "lower", True, **values)
    assert "orbits" not in record["density"]
    assert record["baseline"]["orbits"]
    entry = _unpacked(tmp_path / "lower")["one-0"]
    assert np.abs(entry.values[0] - values["density"]).sum() <= TOLERANCE * values["density"].sum()
    values["density_sad"] = values["density"]
    assert "symmetry" not in _made(tmp_path / "none", True, **values)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: lines[:-1], "does not list every density"),
        (lambda lines: [*lines, lines[1]], "does not list every density"),
        (lambda lines: lines[1:], "cannot be read"),
        (lambda lines: ["[]", *lines[1:]], "cannot be read"),
        (lambda lines: [*lines, "7"], "cannot be read"),
        (lambda lines: [lines[0], *(_changed(one, part=None) for one in lines[1:])], "does not list every density"),
        (lambda lines: [lines[0], *(_changed(one, symmetry=[]) for one in lines[1:])], "record of one-0 is damaged"),
        (lambda lines: [lines[0], *(_changed(one, symmetry=[[1, 0]]) for one in lines[1:])], "record of one-0"),
        (lambda lines: [lines[0], *(_changed(one, shape=[4, 4]) for one in lines[1:])], "record of one-0 is damaged"),
        (lambda lines: [lines[0], *(_changed(one, meta=None) for one in lines[1:])], "record of one-0 is damaged"),
    ],
)
def test_a_damaged_index_is_refused(change: Callable[[list[str]], list[str]], reason: str, tmp_path: Path) -> None:
    _made(tmp_path / "made", compact=True, **_caesium_chloride((12, 12, 12)))
    index = tmp_path / "made" / "bundle" / INDEX
    index.write_text("\n".join(change(index.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match=reason):
        _unpacked(tmp_path / "made")


def _changed(line: str, **fields: Any) -> str:
    return json.dumps(json.loads(line) | fields)
