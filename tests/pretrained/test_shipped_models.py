"""Shipped releases: which one is chosen, what `charge3net predict` says of it, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.io import write

import charge3net.pretrained.releases
from charge3net import InputError, Predictor, read_density
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.models.registry import build_model
from charge3net.pretrained.releases import choose_release, shipped_releases
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


@pytest.mark.parametrize("limit", ["1e-6", "1e9"])
def test_max_error(shipped, limit, capsys):
    status = main(["predict", "POSCAR", "--shape", "4", "4", "4", "-o", "x.npz", "--max-error", limit])
    assert Path("x.npz").exists() == (status == 0) == (limit == "1e9")
    assert status == 0 or "not written: expected error" in capsys.readouterr().err


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


def test_every_release_in_the_package_loads_and_says_what_it_needs_to():
    for one in shipped_releases().values():
        assert one.members
        for folder in one.members:
            predictor = Predictor.from_checkpoint(folder)
            assert predictor.card is not None
            assert set(predictor.card.elements) == set(one.elements)
