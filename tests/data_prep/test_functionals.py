"""The spread between functionals on test structures: the summary of made-up densities, and the one in git."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charge3net.io.packed import decode
from data_prep.benchmark_set import functionals
from data_prep.benchmark_set.build import BUNDLE
from data_prep.bundles.bundle import read_index

NAMES = ["PBE", "LDA", "revPBE", "RPBE"]


def write(folder: Path, key: str, density: np.ndarray, names: list[str]) -> None:
    meta = {"code": "gpaw", "density": "d", "mode": "PW 500 eV"}
    np.savez(folder / f"{key}.npz", density=density, functionals=names, meta=json.dumps(meta))


def committed(key: str) -> np.ndarray:
    """The density of an entry of the benchmark set."""
    record = next(record for record in read_index(BUNDLE)[1] if record["key"] == key)
    where = record["density"]
    with open(BUNDLE / "densities.bin", "rb") as file:
        file.seek(where["offset"])
        return decode(file.read(where["bytes"]), tuple(record["shape"]), where["step"]).astype(np.float64)


def test_summary_of_scaled_densities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key, step in (("hand-MgO", 0.01), ("hand-LiF", 0.02)):
        density = committed(key)
        write(tmp_path, key, np.stack([density * (1.0 + step * k) for k in range(4)]), NAMES)
    assert functionals.main([str(tmp_path), "-o", str(tmp_path / "out.json")]) == 0
    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    lif, mgo = result["structures"]
    assert (lif["key"], lif["kind"], lif["formula"], lif["atoms"]) == ("hand-LiF", "crystals", "LiF", 2)
    # 1, 1 + s, 1 + 2s, 1 + 3s times ρ: median 1 + 1.5 s, mean deviation (1.5 + 0.5 + 0.5 + 1.5) s / 4 = s
    assert (mgo["epsilon_mad"], lif["epsilon_mad"]) == (1.0, 2.0)
    assert mgo["epsilon_mae"]["PBE-RPBE"] == pytest.approx(3.0)
    assert mgo["epsilon_mae"]["LDA-revPBE"] == pytest.approx(1.0 / 1.01, abs=1e-4)
    assert mgo["epsilon_mae_committed"] == 0.0
    assert result["means"]["crystals"] == {
        **{"structures": 2, "epsilon_mad": 1.5, "standard_error": 0.5, "smallest": 1.0, "largest": 2.0}
    }
    assert "| crystals | 2 | 1.50 ± 0.50 % |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "key", "message"),
    [(NAMES[:2], "hand-MgO", "one list of functionals, found 2"), (NAMES, "other", "no structure of the benchmark")],
)
def test_folders_that_do_not_fit_are_refused(
    names: list[str], key: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    density = committed("hand-LiF")
    write(tmp_path, "hand-LiF", np.stack([density] * 4), NAMES)
    write(tmp_path, key, np.stack([committed("hand-MgO")] * len(names)), names)
    with pytest.raises(SystemExit) as stopped:
        functionals.main([str(tmp_path), "-o", str(tmp_path / "out.json")])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


@pytest.fixture(scope="module")
def in_git() -> dict[str, Any]:
    """The committed summary."""
    return json.loads(functionals.OUT.read_text(encoding="utf-8"))


def test_committed_summary_is_of_test_structures(in_git: dict[str, Any]) -> None:
    assert in_git["functionals"] == NAMES
    parts = {record["key"]: record["part"] for record in read_index(BUNDLE)[1]}
    assert {parts[row["key"]] for row in in_git["structures"]} == {"test"}
    assert len({row["key"] for row in in_git["structures"]}) >= 20
    for row in in_git["structures"]:
        assert 0.0 < row["epsilon_mad"] < 3.0
        assert row["epsilon_mae_committed"] < 0.02  # PBE once more: the rounding of the bundle and no more


def test_committed_spread_is_no_larger_than_the_distance_to_any_functional(in_git: dict[str, Any]) -> None:
    """The median is nearest to all: ε_mad is at most the mean distance of the functionals to one of them."""
    for row in in_git["structures"]:
        for name in NAMES:
            distances = [error for pair, error in row["epsilon_mae"].items() if name in pair.split("-")]
            assert len(distances) == 3
            assert row["epsilon_mad"] <= sum(distances) / 4.0 * 1.001


def test_committed_means_are_those_of_the_rows(in_git: dict[str, Any]) -> None:
    for kind, mean in in_git["means"].items():
        values = [row["epsilon_mad"] for row in in_git["structures"] if row["kind"] == kind]
        assert mean["structures"] == len(values)
        assert mean["epsilon_mad"] == pytest.approx(np.mean(values), abs=1e-4)
        assert mean["standard_error"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(len(values)), abs=1e-4)
