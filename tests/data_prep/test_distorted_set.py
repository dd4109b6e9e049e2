"""Distorted crystals: what goes into which part, and what is in git."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charge3net.data.splits import Split, read_split
from charge3net.data.store import Store
from data_prep.bundles.bundle import bundle_report, read_index
from data_prep.bundles.unpack import BUNDLES, unpack
from data_prep.distorted_set import build
from tests.helpers.generated_files import write_generated

CARD = Path(build.__file__).with_name("README.md")
#: Of GPAW's PBE setups (gpaw.setup_data.SetupData(element, "PBE").Nv), by atomic number.
VALENCE = {1: 1, 3: 1, 4: 2, 5: 3, 6: 4, 7: 5, 8: 6, 9: 7, 11: 7, 13: 3, 15: 5, 16: 6, 17: 7, 19: 9, 25: 15, 30: 12}
VALENCE |= {31: 3, 32: 4, 34: 6, 35: 7, 48: 12, 74: 14, 79: 11, 80: 18, 81: 13}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Three crystals with copies 0 to 4, and one of which only copy 1 is there."""
    for base, numbers in (("swap-KF-x_a", [19, 9]), ("aflow-C-x_b", [6, 6]), ("swap-Be-x", [4])):
        for copy in range(5):
            write_generated(tmp_path, f"{base}-{copy}", numbers)
    write_generated(tmp_path, "swap-ZnO-x-1", [30, 8])
    return tmp_path


def test_one_copy_of_each_crystal_is_tested(made: Path, tmp_path: Path) -> None:
    records = build.build(made, tmp_path / "bundle")
    split = unpack(tmp_path / "bundle", tmp_path / "out")["all"]
    assert split == read_split(tmp_path / "out" / "split.json")
    assert set(split.test) == {"swap-KF-x_a-1", "aflow-C-x_b-1", "swap-Be-x-1"}
    assert len(split.validation) == build.VALIDATION
    assert all(key[-1] in "234" for key in split.validation)
    assert {key for key in split.train if key.endswith("-0")} == {"swap-KF-x_a-0", "aflow-C-x_b-0", "swap-Be-x-0"}
    assert len(split.train) == 3 * 4 - build.VALIDATION
    store = Store(tmp_path / "out" / "store")
    for record in records:
        entry = store[record["key"]]
        with np.load(made / f"{record['key']}.npz") as file:
            assert np.abs(entry.values[0] - file["density"]).sum() < 2.1e-4 * file["density"].sum()
        assert (entry.baseline is None) == (record["part"] == "train")
        assert entry.meta["kpts_density"] == 2.0


def test_parts_do_not_depend_on_the_order() -> None:
    names = [f"swap-{formula}-x-{copy}" for formula in ("KF", "C", "Be", "ZnO") for copy in range(6)]
    assert build.divide(names) == build.divide(names[::-1])


def test_other_settings_and_too_few_copies_are_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_generated(made, "swap-KF-x_a-5", [19, 9], xc="LDA")
    with pytest.raises(SystemExit) as stopped:
        build.main([str(made), "-o", str(tmp_path / "bundle")])
    assert stopped.value.code == 2
    assert "2 different settings" in capsys.readouterr().err
    few = tmp_path / "few"
    few.mkdir()
    write_generated(few, "swap-KF-x-1", [19, 9])
    with pytest.raises(ValueError, match="too few copies"):
        build.build(few, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Split]:
    """The committed set as a store, and its split."""
    folder = tmp_path_factory.mktemp("distorted_set")
    split = unpack(BUNDLES["distorted_set"], folder)["all"]
    return Store(folder / "store"), split


def test_committed_copies_are_distorted_and_hold_their_valence_electrons(unpacked: tuple[Store, Split]) -> None:
    store, split = unpacked
    assert len(split.test) >= 30
    assert len(split.train) >= 300
    for key in store:
        entry, ideal = store[key], store[f"{key.rpartition('-')[0]}-0"]
        numbers = entry.geometry.numbers.tolist()
        assert entry.electrons == pytest.approx(sum(VALENCE[z] for z in numbers), rel=1e-4)
        assert (entry.baseline is None) == (key in split.train)
        assert numbers == ideal.geometry.numbers.tolist()
        strain = np.linalg.solve(ideal.geometry.cell, entry.geometry.cell) - np.eye(3)
        np.testing.assert_allclose(strain, strain.T, atol=1e-9)
        moved = np.linalg.solve(entry.geometry.cell.T, entry.geometry.positions.T).T
        moved -= np.linalg.solve(ideal.geometry.cell.T, ideal.geometry.positions.T).T
        largest = np.abs((moved - moved.round()) @ entry.geometry.cell).max()
        assert (np.abs(strain).max() > 1e-3) == (largest > 1e-3) == (not key.endswith("-0"))
        assert np.abs(strain).max() < 0.08
        assert largest < 0.35


def test_every_tested_crystal_is_trained_on_in_other_copies(unpacked: tuple[Store, Split]) -> None:
    _, split = unpacked
    trained = [key.rpartition("-")[0] for key in split.train]
    assert {key.rpartition("-")[0] for key in split.test} == set(trained)
    assert min(trained.count(name) for name in trained) >= 8


def test_data_card_states_the_committed_files() -> None:
    header, records = read_index(BUNDLES["distorted_set"])
    card = CARD.read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in BUNDLES["distorted_set"].iterdir()) < 3e6
    assert header["sha256"] in card
    assert bundle_report(records, BUNDLES["distorted_set"]) in card
