"""The bundled set: what is in git unpacks to real densities, divided by formula, within the size and error promised."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from charge3net.data.splits import Split, read_split
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.io import packed as codec
from data_prep.bundles.bundle import read_index
from data_prep.bundles.unpack import BUNDLES, unpack
from data_prep.demo_set import build

FOLDER = Path(__file__).parents[2] / "data_prep" / "demo_set"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Split]:
    """The bundled set as a store, and its split."""
    folder = tmp_path_factory.mktemp("demo_set")
    unpack(BUNDLES["demo_set"], folder)
    return Store(folder / "store"), read_split(folder / "split.json")


def test_bundle_fits_in_git() -> None:
    assert sum(path.stat().st_size for path in (FOLDER / "bundle").iterdir()) < 12e6


def test_every_density_holds_its_valence_electrons(unpacked: tuple[Store, Split]) -> None:
    store, _ = unpacked
    valence = {1: 1, 6: 4, 7: 5, 8: 6, 9: 7}
    for key in store:
        entry = store[key]
        electrons = sum(valence[z] for z in entry.geometry.numbers.tolist())
        assert entry.electrons_expected == electrons
        assert entry.electrons == pytest.approx(electrons, rel=1e-4)
        assert entry.statistics["minimum"] >= 0.0
        assert entry.grid.spacing.max() < 0.2


def test_no_formula_in_two_parts(unpacked: tuple[Store, Split]) -> None:
    store, split = unpacked
    formulas = [
        {tuple(sorted(Counter(store[key].geometry.numbers.tolist()).items())) for key in split.part(part)}
        for part in ("train", "validation", "test")
    ]
    assert not formulas[0] & formulas[1]
    assert not formulas[0] & formulas[2]
    assert not formulas[1] & formulas[2]
    assert len(formulas[0] | formulas[1] | formulas[2]) >= 50
    split.check(store.keys())
    assert sum(len(split.part(part)) for part in ("train", "validation", "test")) == len(store)


def test_held_out_entries_have_the_superposition_of_atoms(unpacked: tuple[Store, Split]) -> None:
    store, split = unpacked
    for key in split.part("test"):
        entry = store[key]
        assert entry.baseline is not None
        error = np.abs(entry.baseline - entry.values[0]).sum(dtype=np.float64) / entry.values[0].sum(dtype=np.float64)
        # computed from the unrounded densities when the entry was generated
        assert error == pytest.approx(entry.meta["nmae_sad"], abs=2e-4)


def test_atoms_keep_chemical_distances(unpacked: tuple[Store, Split]) -> None:
    store, _ = unpacked
    for key in store:
        geometry = store[key].geometry
        distances = geometry.to_structure().distance_matrix
        nearest = distances[~np.eye(len(geometry), dtype=bool)]
        assert nearest.min() > 0.75
        assert np.ptp(geometry.positions, axis=0) + 2 * 3.0 == pytest.approx(np.diag(geometry.cell))


def test_unpacking_twice_changes_nothing(unpacked: tuple[Store, Split]) -> None:
    store, _ = unpacked
    before = store.hash()
    unpack(BUNDLES["demo_set"], store.path.parent)
    assert Store(store.path).hash() == before


def test_damaged_bundle_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(FOLDER / "bundle", bundle)
    content = bytearray((bundle / "densities.bin").read_bytes())
    content[1000] ^= 1
    (bundle / "densities.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"densities\.bin is not the file that was committed"):
        unpack(bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["molecules/g2-H2O", "crystals/hand-Si", "crystals/hand-LiCoO2"])
def test_rounding_is_below_its_bound(shared: Path, name: str) -> None:
    with np.load(shared / "dft" / f"{name}.npz") as file:
        exact = file["density"]
    blob, step, error = codec.encode(exact)
    decoded = codec.decode(blob, exact.shape, step)
    found = np.abs(decoded.astype(np.float64) - exact).sum() / np.abs(exact.astype(np.float64)).sum()
    assert found == pytest.approx(error, rel=1e-6)
    assert found <= 1e-4
    assert np.abs(decoded - exact).max() <= 0.51 * step
    assert len(blob) < exact.nbytes / 4


def test_negative_and_large_values_survive() -> None:
    exact = np.random.default_rng(0).normal(0.0, 1.0, (5, 4, 3)) * 10.0 ** np.arange(-3.0, 2.0)[:, None, None]
    blob, step, _ = codec.encode(exact)
    assert np.abs(codec.decode(blob, exact.shape, step) - exact).max() <= 0.51 * step


def test_codec_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match="finite"):
        codec.encode(np.full((2, 2, 2), np.nan))
    blob, step, _ = codec.encode(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="holds 8 values"):
        codec.decode(blob, (2, 2, 3), step)
    with pytest.raises(ValueError, match="damaged"):
        codec.decode(blob[:-8], (2, 2, 2), step)


def test_division_holds_out_whole_formulas_whatever_the_rest() -> None:
    formulas = [f"C{c}H{2 * c + n}N{n}O{o}" for c in range(1, 6) for n in range(1, 4) for o in range(1, 4)]
    names = {f"mol-{f}-{isomer:02d}-{copy}": f for f in formulas for isomer in range(3) for copy in range(2)}
    parts = build.divide(names)
    for part, count in (("test", 10), ("validation", 4)):
        held_out = {names[name] for name, where in parts.items() if where == part}
        assert len(held_out) == count
        assert {parts[name] for name in parts if names[name] in held_out} == {part}
        assert all(name.endswith("-0") and int(name.split("-")[2]) < 2 for name in parts if parts[name] == part)
    assert parts == build.divide(dict(reversed(names.items())))


def test_data_card_states_the_committed_file() -> None:
    header, records = read_index(BUNDLES["demo_set"])
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert header["sha256"] in card
    for part in ("train", "validation", "test"):
        chosen = [record for record in records if record["part"] == part]
        assert f"| {part} | {len(chosen)} | {len({record['formula'] for record in chosen})} |" in card
    assert json.dumps(header["settings"])  # settings travel into every entry's meta
