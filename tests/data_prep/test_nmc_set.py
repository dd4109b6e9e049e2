"""Cathodes and pairs: what goes into which part, and what is in git."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charge3net.data.splits import Split, read_split
from charge3net.data.store import Store
from data_prep.bundles.bundle import bundle_report, read_index
from data_prep.bundles.unpack import BUNDLES, unpack
from data_prep.nmc_set import build, more
from tests.helpers.generated_files import write_generated

CARD = Path(build.__file__).with_name("README.md")
VALENCE = {3: 1, 8: 6, 25: 15, 27: 9, 28: 16}  # of GPAW's PBE setups; Li 1s² is core, Mn 3s² 3p⁶ is not


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Six random cells, two whole pairs, and half a pair."""
    for index in range(6):
        write_generated(tmp_path, f"nmc-0-{index:04d}", [3, 28, 8, 8], spin="collinear")
    for index in range(2):
        write_generated(tmp_path, f"pair-0-{index:02d}-Co-full", [3, 3, 27, 8], spin="collinear")
        write_generated(tmp_path, f"pair-0-{index:02d}-Co-minus_li", [3, 27, 8], spin="collinear")
    write_generated(tmp_path, "pair-0-02-Mn-full", [3, 3, 25, 8], spin="collinear")
    return tmp_path


def test_pairs_are_tested_and_cells_at_random_are_learned_from(made: Path, tmp_path: Path) -> None:
    records = build.build(made, tmp_path / "bundle")
    split = unpack(tmp_path / "bundle", tmp_path / "out")["all"]
    assert split == read_split(tmp_path / "out" / "split.json")
    assert [len(split.part(part)) for part in ("train", "validation", "test")] == [4, 2, 4]
    assert set(split.test) == {f"pair-0-0{i}-Co-{half}" for i in range(2) for half in ("full", "minus_li")}
    assert all(key.startswith("nmc-") for key in (*split.train, *split.validation))
    store = Store(tmp_path / "out" / "store")
    for record in records:
        entry = store[record["key"]]
        with np.load(made / f"{record['key']}.npz") as file:
            assert np.abs(entry.values - file["density"]).sum() < 2.1e-4 * file["density"][0].sum()
        assert (entry.baseline is None) == (record["part"] == "train")
        assert entry.meta["spin"] == "collinear"
        assert entry.meta["source"] == record["key"]


def test_validation_cells_do_not_depend_on_the_order() -> None:
    names = [f"nmc-0-{index:04d}" for index in range(20)]
    assert build.divide(names) == build.divide(names[::-1])
    assert list(build.divide(names).values()).count("validation") == build.VALIDATION


def test_more_cells_are_trained_on(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = build.build(made, tmp_path / "bundle")
    monkeypatch.setattr(more, "BUNDLE", tmp_path / "bundle")
    for name in ("nmc-0-0002", "nmc-0-0011", "nmc-0-0012"):  # the first is in the bundle
        write_generated(tmp_path / "cells", name, [3, 28, 8, 8], spin="collinear")
    write_generated(tmp_path / "cells", "pair-0-07-Co-full", [3, 27, 8], spin="collinear")
    assert more.main([str(tmp_path / "cells"), "-o", str(tmp_path / "out")]) == 0
    assert "| train | 6 |" in capsys.readouterr().out
    split, store = read_split(tmp_path / "out" / "split.json"), Store(tmp_path / "out" / "store")
    parts = {part: {r["key"] for r in before if r["part"] == part} for part in ("train", "validation", "test")}
    assert set(split.train) == parts["train"] | {"nmc-0-0011", "nmc-0-0012"}
    assert (set(split.validation), set(split.test)) == (parts["validation"], parts["test"])
    with np.load(tmp_path / "cells" / "nmc-0-0012.npz") as file:
        assert np.abs(store["nmc-0-0012"].values - file["density"]).sum() < 2.1e-4 * file["density"][0].sum()


def test_cells_of_other_settings_and_none_are_refused(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build(made, tmp_path / "bundle")
    monkeypatch.setattr(more, "BUNDLE", tmp_path / "bundle")
    with pytest.raises(ValueError, match="holds no cell"):
        more.more(made, tmp_path / "out")
    write_generated(tmp_path / "cells", "nmc-0-0011", [3, 28, 8, 8], spin="unpolarised")
    with pytest.raises(ValueError, match="other settings"):
        more.more(tmp_path / "cells", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mixed_settings_are_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_generated(made, "nmc-0-0009", [3, 28, 8, 8], spin="unpolarised")
    with pytest.raises(SystemExit) as stopped:
        build.main([str(made), "-o", str(tmp_path / "bundle")])
    assert stopped.value.code == 2
    assert "2 different settings" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_a_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    write_generated(tmp_path, "nmc-0-0000", [3, 28, 8, 8])
    with pytest.raises(ValueError, match="0 of pairs"):
        build.build(tmp_path, tmp_path / "bundle")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Split]:
    """The committed set as a store, and its split."""
    folder = tmp_path_factory.mktemp("nmc_set")
    split = unpack(BUNDLES["nmc_set"], folder)["all"]
    return Store(folder / "store"), split


def test_committed_pairs_differ_by_one_lithium(unpacked: tuple[Store, Split]) -> None:
    store, split = unpacked
    full = [key for key in split.test if key.endswith(build.FULL)]
    assert len(full) >= 9
    assert any(set(store[key].geometry.numbers.tolist()) == {3, 8, 27} for key in full)
    for key in full:
        whole, without = store[key], store[key.removesuffix(build.FULL) + build.WITHOUT]
        numbers, positions = whole.geometry.numbers.tolist(), whole.geometry.positions.tolist()
        kept = without.geometry.positions.tolist()
        gone = [i for i, position in enumerate(positions) if position not in kept]
        assert [numbers[i] for i in gone] == [3]
        assert whole.grid.shape == without.grid.shape
        np.testing.assert_array_equal(whole.geometry.cell, without.geometry.cell)
        assert whole.electrons - without.electrons == pytest.approx(1.0, abs=2e-3)


def test_committed_entries_hold_their_valence_electrons(unpacked: tuple[Store, Split]) -> None:
    store, split = unpacked
    assert len(split.train) + len(split.validation) >= 60
    for key in store:
        entry = store[key]
        assert entry.electrons == pytest.approx(sum(VALENCE[z] for z in entry.geometry.numbers.tolist()), rel=1e-4)
        assert entry.grid.spacing.max() < 0.21
        assert (entry.baseline is None) == (key in split.train)


def test_no_composition_of_metals_is_trained_and_tested(unpacked: tuple[Store, Split]) -> None:
    store, split = unpacked
    compositions = [
        {tuple(sorted(z for z in store[key].geometry.numbers.tolist() if z > 8)) for key in split.part(part)}
        for part in ("train", "validation", "test")
    ]
    assert not (compositions[0] | compositions[1]) & compositions[2]


def test_data_card_states_the_committed_files() -> None:
    header, records = read_index(BUNDLES["nmc_set"])
    card = CARD.read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in BUNDLES["nmc_set"].iterdir()) < 3e6
    assert header["sha256"] in card
    assert bundle_report(records, BUNDLES["nmc_set"]) in card
