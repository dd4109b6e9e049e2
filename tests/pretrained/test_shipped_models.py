"""Shipped releases: which one is chosen, what `charge3net predict` says of it, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

import charge3net.pretrained.releases
from charge3net import InputError, Predictor, read_density
from charge3net.atoms.known import KnownSurroundings
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.models.registry import build_model
from charge3net.predict.named import training_set_of
from charge3net.predict.predictor import PredictionWarning
from charge3net.pretrained.releases import choose_release, shipped_releases
from charge3net.pretrained.resolve import resolve_model
from tests.helpers import crystals

CALIBRATION = {"intercept": 0.0, "slope": 1.0, "below": -0.5, "above": 0.5, "structures": 40}


def release(folder: Path, elements: dict[int, int], members: int = 2, calibration: dict | None = None) -> Path:
    """A release of small random models."""
    names = [f"seed{seed}" for seed in range(members)]
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        network = build_model("schnet", {"features": 8, "num_interactions": 2})
        save_model(folder / name, network, ModelCard.of(network, elements=list(elements)))
    content = {
        "summary": "random",
        "density": "of no code",
        "elements": {str(z): count for z, count in elements.items()},
        "members": names,
        "errors": {"crystals": 3.0},
        "calibration": CALIBRATION if calibration is None else calibration,
    }
    (folder / "release.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shipped"
    release(folder / "organic", {1: 90, 6: 80, 8: 3})
    release(folder / "everything", {1: 90, 6: 80, 8: 80, 11: 4, 14: 2, 17: 9})
    monkeypatch.setattr(charge3net.pretrained.releases, "FOLDER", folder)
    write("POSCAR", crystals.silicon(), format="vasp")
    write("water.xyz", molecule("H2O"))
    return folder


def test_the_model_with_the_fewest_other_elements_is_taken(shipped):
    assert choose_release([1, 8]).name == "organic"
    assert choose_release([1, 17]).name == "everything"
    with pytest.raises(InputError, match=r"no shipped model was trained on Fe .*everything: H C O Na Si Cl"):
        choose_release([26, 8])


def test_predict_without_a_model(shipped, capsys):
    assert main(["predict", "POSCAR", "--shape", "4", "4", "4", "-o", "CHGCAR", "--uncertainty", "s.npz"]) == 0
    printed = capsys.readouterr()
    assert "model everything (shipped)" in printed.out
    assert "expected error" in printed.out
    assert "fewer than 4 training structures hold Si" in printed.err
    members = [Predictor.from_checkpoint(shipped / "everything" / f"seed{i}") for i in range(2)]
    each = np.array([m.predict(crystals.silicon(), shape=(4, 4, 4)).values for m in members], dtype=np.float64)
    tolerance = 1e-5 * np.abs(each).max()
    np.testing.assert_allclose(read_density("CHGCAR").values, each.mean(axis=0), rtol=0, atol=tolerance)
    np.testing.assert_allclose(read_density("s.npz").values, each.std(axis=0, ddof=1), rtol=0, atol=tolerance)


def test_a_model_by_name(shipped, capsys):
    arguments = ["predict", "water.xyz", "--model", "organic", "--spacing", "0.6", "-o", "a.npz", "-q"]
    assert main(arguments) == 0
    assert read_density("a.npz").values.ndim == 4
    assert main(["models", "organic"]) == 0
    assert "H (90) C (80) O (3)" in capsys.readouterr().out


def test_elements_that_no_model_covers_exit_with_one_sentence(shipped, capsys):
    write("iron.cif", crystals.lithium_cobalt_oxide(), format="cif")
    assert main(["predict", "iron.cif", "-o", "x.npz"]) == 2
    assert "no shipped model was trained on Li, Co" in capsys.readouterr().err
    assert not Path("x.npz").exists()


def test_elements_that_no_model_covers_stop_no_other_structure(shipped, capsys):
    write("lco.cif", crystals.lithium_cobalt_oxide(), format="cif")
    arguments = ["--shape", "4", "4", "4", "--format", "npz"]
    assert main(["predict", "lco.cif", "POSCAR", "water.xyz", "-o", "all/", *arguments]) == 1
    printed = capsys.readouterr()
    assert "model everything (shipped)" in printed.out
    assert "lco.cif: no shipped model was trained on Li, Co" in printed.err
    assert len(list(Path("all").glob("*.npz"))) == 2
    assert main(["predict", "lco.cif", "lco.cif", "-o", "none/", *arguments]) == 2


def test_members_of_an_ensemble_at_a_path(shipped):
    path = f"{shipped / 'organic'}#seed1"
    assert resolve_model(path) == shipped / "organic" / "seed1"
    with pytest.raises(InputError, match="has no member seed7; it has seed0, seed1"):
        resolve_model(path.replace("seed1", "seed7"))


@pytest.mark.parametrize("limit", ["1e-6", "1e9"])
def test_max_error(shipped, limit, capsys):
    status = main(["predict", "POSCAR", "--shape", "4", "4", "4", "-o", "x.npz", "--max-error", limit])
    assert Path("x.npz").exists() == (status == 0) == (limit == "1e9")
    assert status == 0 or "not written: expected error" in capsys.readouterr().err


@pytest.mark.parametrize(("formulas", "said"), [(1, "of one formula;"), (2, "of 2 formulas;"), (3, None)])
def test_an_interval_of_few_formulas_says_so(formulas, said, shipped, capsys):
    release(shipped / "few", {14: 9}, calibration={**CALIBRATION, "formulas": formulas})
    assert main(["predict", "POSCAR", "--model", "few", "--shape", "4", "4", "4", "-o", "x.npz"]) == 0
    printed = capsys.readouterr().out
    assert ("the interval comes from structures" in printed) == (said is not None)
    assert said is None or said in printed
    assert read_density("x.npz").provenance["uncertainty"]["interval_formulas"] == formulas


def test_no_error_is_expected_of_an_element_that_was_not_trained_on(shipped, capsys):
    common = ["predict", "POSCAR", "--model", "organic", "--shape", "4", "4", "4", "-o", "x.npz"]
    assert main([*common, "--max-error", "1e9"]) == 2
    assert "not known, as no training structure holds Si" in capsys.readouterr().err
    assert not Path("x.npz").exists()
    assert main(common) == 0
    assert "expected error not known: no training structure holds Si" in capsys.readouterr().out
    said = read_density("x.npz").provenance["uncertainty"]
    assert said["rare_elements"] == {"Si": 0}
    assert "expected_percent" not in said


def test_max_error_in_a_batch_lists_what_is_not_trusted_and_writes_the_rest(shipped, capsys):
    """The expected errors of the two structures differ; a limit between them lets one through."""
    write("salt.vasp", crystals.sodium_chloride(), format="vasp")
    common = ["predict", "POSCAR", "salt.vasp", "--shape", "4", "4", "4", "--format", "npz"]
    assert main([*common, "-o", "all/", "--uncertainty", "all/spread-{stem}.npz"]) == 0
    expected = {
        path.stem: read_density(path).provenance["uncertainty"]["expected_percent"]
        for path in Path("all").glob("*.npz")
        if "spread" not in path.stem
    }
    assert len(expected) == 2
    better, worse = sorted(expected, key=lambda stem: expected[stem])
    limit = np.sqrt(expected[better] * expected[worse])
    capsys.readouterr()
    arguments = ["--max-error", f"{limit:.12g}", "--uncertainty", "some/spread-{stem}.npz"]
    assert main([*common, "-o", "some/", *arguments]) == 1
    assert {path.name for path in Path("some").glob("*.npz")} == {f"{better}.npz", f"spread-{better}.npz"}
    printed = capsys.readouterr().err
    assert "1 written, 1 failed" in printed
    assert f"not written: expected error {expected[worse]:.2g} %" in printed


@pytest.mark.parametrize("name", ["spread.cube", "CHGCAR-spread", "spread.npz"])
def test_the_map_of_the_spread_is_a_density_in_every_format(shipped, name):
    assert main(["predict", "POSCAR", "--shape", "5", "6", "7", "-o", "x.npz", "--uncertainty", name, "-q"]) == 0
    members = [Predictor.from_checkpoint(shipped / "everything" / f"seed{i}") for i in range(2)]
    each = np.array([m.predict(crystals.silicon(), shape=(5, 6, 7)).total for m in members], dtype=np.float64)
    found = read_density(name)
    assert found.grid.shape == (5, 6, 7)
    np.testing.assert_allclose(found.total, each.std(axis=0, ddof=1), rtol=1e-4, atol=1e-5 * np.abs(each).max())


def test_a_single_model_has_no_spread(shipped, capsys):
    model = str(shipped / "organic" / "seed0")
    common = ["predict", "POSCAR", "--shape", "4", "4", "4", "--model", model, "-o", "x.npz"]
    assert main([*common, "--max-error", "5"]) == 2
    assert "needs a model with a calibrated ensemble" in capsys.readouterr().err
    assert main([*common, "--uncertainty", "s.npz"]) == 2
    assert "several members" in capsys.readouterr().err
    assert not Path("x.npz").exists()


def test_a_damaged_release_is_one_sentence(shipped):
    (shipped / "organic" / "release.json").write_text('{"summary": 3')
    with pytest.raises(InputError, match="install charge3net again"):
        shipped_releases()
    own = str(shipped / "everything" / "seed0")
    assert main(["predict", "POSCAR", "--shape", "4", "4", "4", "--model", own, "-o", "x.npz"]) == 0


def test_a_changed_file_of_surroundings_is_refused():
    """Checked before it is read: the hash in release.json is that of the file."""
    for one in shipped_releases().values():
        if one.baseline:
            continue
        assert one.surroundings is not None
        path, _, far = one.surroundings
        known = KnownSurroundings.load(path)
        assert set(known.known) == set(one.elements)
        assert training_set_of(one).far == far
        with pytest.raises(InputError, match="not the file that was released"):
            training_set_of(replace(one, surroundings=(path, "0" * 64, far)))


def test_the_shipped_model_holds_the_valence_and_says_where_it_is_uncertain():
    salt, shape = crystals.sodium_chloride(), (16, 16, 16)
    predictor = Predictor("delta-gpaw-pbe")
    density = predictor.predict(salt, shape=shape)
    said = density.provenance["uncertainty"]
    assert density.provenance["valence_electrons"] % 14 == 0  # 7 of Na and 7 of Cl in each formula unit
    assert density.electrons() == pytest.approx(density.provenance["valence_electrons"], rel=1e-6)
    assert abs(density.provenance["electron_error"]) < 0.01
    assert said["group"] == "crystals"
    assert said["low_percent"] < said["expected_percent"] < said["high_percent"] < 2.0
    odd = salt.copy()
    odd.set_chemical_symbols(["Li", "Be"] * (len(odd) // 2))
    odd.set_cell(odd.cell * 0.64, scale_atoms=True)
    other = predictor.predict(odd, shape=shape).provenance["uncertainty"]
    assert other["group"] == "new"
    assert other["distance"] > 5 * said["distance"]
    assert other["expected_percent"] > 2 * said["expected_percent"]


def test_no_error_is_expected_where_the_number_of_electrons_is_off():
    """Copper at a seventh of its volume; without a flag the spread alone would promise less than 1 %."""
    with pytest.warns(PredictionWarning, match="where the valence is 11"):
        density = Predictor("delta-gpaw-pbe").predict(bulk("Cu", "fcc", a=2.0), shape=(12, 12, 12))
    said = density.provenance["uncertainty"]
    assert abs(density.electrons() / 11 - 1) > 0.05
    assert "expected_percent" not in said
    assert said["not_expected"] == f"∫ρ is {100 * density.electrons() / 11:.3g} % of the valence"


def test_every_release_in_the_package_loads_and_says_what_it_needs_to():
    for one in shipped_releases().values():
        assert one.members
        for folder in one.members:
            predictor = Predictor.from_checkpoint(folder)
            assert predictor.card is not None
            assert set(predictor.card.elements) == set(one.elements)
            assert predictor.card.data["codes"], "compared with the new data in fine-tuning"


def test_the_baseline_is_taken_by_name_only(tmp_path, monkeypatch, capsys):
    """It is a superposition: atoms add up, are round, and hold their valence electrons."""
    monkeypatch.chdir(tmp_path)
    baseline = shipped_releases()["fitted-atoms-gpaw-pbe"]
    model = shipped_releases()["delta-gpaw-pbe"]
    assert baseline.baseline
    assert not model.baseline
    assert baseline.elements == model.elements
    assert choose_release([11, 17]) == model
    assert main(["models"]) == 0
    assert "fitted-atoms-gpaw-pbe" in capsys.readouterr().out
    atoms = Predictor("fitted-atoms-gpaw-pbe")
    cell = [5.0, 5.0, 5.0]
    neon, argon = (
        Atoms(symbol, [place], cell=cell, pbc=True) for symbol, place in (("Ne", [2.5] * 3), ("Ar", [1.0] * 3))
    )
    one, other, both = (atoms.predict(each, shape=(50, 50, 50)) for each in (neon, argon, neon + argon))
    np.testing.assert_allclose(both.total, one.total + other.total, rtol=1e-4, atol=1e-6)
    assert [one.electrons(), other.electrons()] == pytest.approx([8.0, 8.0], rel=0.02)
    assert one.total[25, 25, 31] == pytest.approx(one.total[31, 25, 25], rel=1e-5)
    assert one.total[25, 25, 35] == pytest.approx(one.total[31, 33, 25], rel=1e-5)  # both at 1 Å
    with pytest.raises(InputError, match="Tc"):
        atoms.predict(Atoms("Tc", cell=[3.0, 3.0, 3.0], pbc=True), shape=(4, 4, 4))
    assert all(error > model.errors[kind] for kind, error in baseline.errors.items())
