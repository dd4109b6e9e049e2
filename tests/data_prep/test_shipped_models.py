"""The record of the shipped model: its tables follow from its rows, and the release holds the same calibration."""

from __future__ import annotations

import json

import numpy as np
import pytest

from charge3net import Predictor, load_model, save_model
from charge3net.checkpoints import ModelCard
from charge3net.data.splits import Split
from charge3net.models.delta import DeltaLocal
from charge3net.models.fitted_atoms import FittedAtoms
from charge3net.predict.calibration import Calibration
from charge3net.pretrained.releases import shipped_releases
from charge3net.studies.new_compositions.study import read_release
from data_prep.shipped_models import atoms
from data_prep.shipped_models.card import card, groups_of
from data_prep.shipped_models.figure import HERE, draw
from data_prep.shipped_models.tables import boundaries_of, signs, summary, trust, unharmed, with_tests
from tests.helpers.networks import with_atoms
from tests.helpers.studies import GRID, rattled_density, write_set

NAME = "delta-gpaw-pbe"


@pytest.fixture(scope="module")
def record() -> dict:
    return json.loads((HERE / f"{NAME}.json").read_text())


def test_the_release_and_its_record_agree(record):
    release = shipped_releases()[NAME]
    assert Calibration.from_json(release.calibration) == Calibration.from_json(record["calibration"])
    rows = [row for row in record["test"] if row["kind"] == "molecules"]
    assert release.errors["molecules"] == pytest.approx(100 * np.mean([row["error"] for row in rows]), abs=1e-3)
    assert release.electrons == "valence"
    assert all(row["error"] != row["unshifted"] for row in rows if abs(row["electron_error"]) > 1e-3)


def test_nothing_of_the_test_part_calibrates(record):
    calibrating = {row["formula"] for row in record["more_validation"]}
    assert not calibrating & {row["formula"] for row in record["test"]}
    assert not {row["key"] for row in record["validation"]} & {row["key"] for row in record["test"]}


def test_the_calibration_follows_from_the_validation_rows_alone(record):
    rows = record["validation"] + record["more_validation"]
    boundary, own, _ = boundaries_of(rows)
    calibration = Calibration.fit(
        [signs(row) for row in rows], [row["error"] for row in rows], [row["formula"] for row in rows], boundary, own
    )
    assert calibration.own_boundary == record["calibration"]["own_boundary"]
    held = with_tests(record["test"] + record["others"], calibration).to_json()
    for name, line in record["calibration"]["groups"].items():
        for key in ("intercept", "slope", "above", "structures", "formulas"):
            assert held["groups"][name][key] == pytest.approx(line[key], rel=1e-6), (name, key)
        assert list(held["groups"][name]["tested"]) == line["tested"]
    assert trust(record["test"], calibration)["all"] == record["uncertainty"]["test"]["all"]


def test_intervals_hold_a_share_that_fits_their_number(record):
    """Not below 90 % by more than three standard errors of so many formulas; the page says where it is less."""
    for part in ("test", "others"):
        for kind, found in record["uncertainty"][part].items():
            error = np.sqrt(0.09 * (1 / found["formulas"] + 1 / 20))
            assert found["coverage_by_formula"] > 0.9 - 3 * error, (part, kind)


def test_the_shift_is_on_only_if_no_kind_becomes_worse():
    row = {"kind": "crystals", "error": 0.020, "unshifted": 0.021}
    worse = {"kind": "molecules", "error": 0.0161, "unshifted": 0.016}
    assert unharmed([row])
    assert not unharmed([row, row, worse])


def test_means_by_entry_and_by_formula(record):
    rows = [
        {**record["test"][0], "kind": "crystals", "formula": formula, "error": error, "sad": 0.05}
        for formula, error in (("A", 0.01), ("A", 0.03), ("B", 0.06))
    ]
    found = summary(rows)["crystals"]
    assert found["error_percent"] == pytest.approx(100 * 0.1 / 3, abs=1e-3)
    assert found["by_formula_percent"] == pytest.approx(4.0)
    assert (found["below_sad"], found["formulas"]) == (2, 2)


def test_the_study_reads_it_and_the_figure_is_drawn(tmp_path):
    assert read_release(HERE / f"{NAME}.json")["trust"]["test"]["crystals"]["entries"] > 50
    pytest.importorskip("matplotlib")
    draw(NAME, tmp_path / "expected.svg")
    assert (tmp_path / "expected.svg").stat().st_size > 20_000


def test_the_card_in_git_is_that_of_the_record(record):
    text = card(shipped_releases()[NAME], record)
    assert (HERE / f"{NAME}.md").read_text() == text + "\n"
    assert groups_of("NaCl") == ["alkali and alkaline earth metals"]
    assert groups_of("LiCoO2") == ["alkali and alkaline earth metals", "transition metals, Zn, Cd, Hg"]
    assert groups_of("CeAgAs")[1:] == ["lanthanides", "metals and semimetals of the p block"]
    assert groups_of("N2") == ["nonmetals only"]


def test_the_baseline_is_measured_on_the_test_part(tmp_path, monkeypatch):
    """True densities are its own times 1.25, 2 and 1: errors of 20, 50 and 0 %."""
    monkeypatch.setattr(atoms, "FOLDER", tmp_path / "shipped")
    model = with_atoms(FittedAtoms, [1, 3, 8])
    save_model(tmp_path / "run", model, ModelCard.of(model, elements=[1, 3, 8]))
    predictor, densities = Predictor.from_checkpoint(tmp_path / "run"), {}
    for i, (key, factor) in enumerate({"a": 1.25, "b": 2.0, "c": 1.0, "t": 3.0}.items()):
        density = rattled_density([[3, 8], [8, 1, 1]][i % 2], i)
        density.total[...] = factor * predictor.predict(density.geometry, grid=GRID).total
        densities[key] = density
    write_set(tmp_path, densities, Split(("t",), (), ("a", "b", "c")))
    kinds = {"a": "crystals", "b": "molecules", "c": "crystals"}
    monkeypatch.setattr(atoms, "kinds", lambda: kinds)
    assert atoms.main(["base", str(tmp_path / "run"), "--data", str(tmp_path)]) == 0
    release = shipped_releases(tmp_path / "shipped")["base"]
    assert release.baseline
    assert release.errors == {"crystals": pytest.approx(10.0, abs=1e-3), "molecules": pytest.approx(50.0, abs=1e-3)}
    assert load_model(release.members[0])[0].atoms.table.equal(model.atoms.table)


def test_a_network_is_no_baseline(tmp_path, capsys):
    model = with_atoms(DeltaLocal, [1, 3, 8])
    save_model(tmp_path / "run", model, ModelCard.of(model, elements=[1, 3, 8]))
    with pytest.raises(SystemExit):
        atoms.main(["base", str(tmp_path / "run"), "--data", str(tmp_path)])
    assert "holds a model delta_local; give a run of model=fitted_atoms" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        atoms.main(["base", "one", "two", "--data", str(tmp_path)])
    assert "those of one run, found 2" in capsys.readouterr().err
