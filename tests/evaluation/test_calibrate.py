"""``charge3net calibrate``: errors known by construction, the folder as a model, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from charge3net import Predictor, Store
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.data.splits import Split
from charge3net.evaluation.calibrate import judge, training_set
from charge3net.models.base import DensityModel
from charge3net.models.delta import DeltaLocal
from charge3net.models.registry import build_model
from charge3net.predict.ensemble import EnsemblePredictor
from charge3net.predict.opened import open_predictor
from charge3net.pretrained.releases import release_at
from tests.helpers.networks import with_atoms
from tests.helpers.studies import GRID, rattled_density, write_set

SIZES = {"lmax": 0, "mul": 8, "num_interactions": 1, "hidden": 8, "cutoff": 3.0}

#: How much the true densities of the tests are above the mean of the members.
ABOVE = [0.010, 0.013, 0.016, 0.020, 0.025, 0.032, 0.040, 0.050, 0.063, 0.079, 0.100, 0.126]
TESTED = [0.02, 0.04, 50.0]


def plain(seed: int) -> DensityModel:
    torch.manual_seed(seed)
    return build_model("charge3net", SIZES)


def on_atoms(seed: int) -> DensityModel:
    """The same atoms, other heads."""
    model = with_atoms(DeltaLocal, [1, 3, 8])
    torch.manual_seed(seed)
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model


def prepared(folder: Path, models: list[DensityModel]) -> list[str]:
    """Checkpoints, and a set whose true densities are the mean prediction times 1 + ABOVE; settings of the command."""
    paths = [folder / f"run{i}" / "model" for i in range(len(models))]
    for path, model in zip(paths, models, strict=True):
        save_model(path, model, ModelCard.of(model, elements=[1, 3, 8]))
    members = [Predictor.from_checkpoint(path) for path in paths]
    above = {f"v{i:02}": e for i, e in enumerate(ABOVE)} | {f"x{i}": e for i, e in enumerate(TESTED)}
    above |= dict.fromkeys("abc", 0.0)
    densities = {}
    for i, (key, excess) in enumerate(above.items()):
        density = rattled_density([[8, 1, 1], [3, 8], [8, 8, 3]][i % 3], i)
        each = [member.predict(density.geometry, grid=GRID).total for member in members]
        density.total[...] = (1.0 + excess) * np.mean(each, axis=0)
        densities[key] = density
    parts = [tuple(key for key in above if key[0] in letters) for letters in ("abc", "v", "x")]
    store, split = write_set(folder, densities, Split(*parts))
    return [*map(str, paths), "--data", str(store), "--split", str(split), "-o", str(folder / "ensemble")]


def test_errors_known_by_construction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", *prepared(tmp_path, [plain(0), plain(1)])]) == 0
    said = capsys.readouterr()
    true = [100.0 * e / (1.0 + e) for e in ABOVE]
    release = json.loads((tmp_path / "ensemble" / "release.json").read_text())
    assert release["errors"]["validation structures"] == pytest.approx(np.mean(true), rel=1e-3)
    line = release["calibration"]["groups"]["all"]
    assert (line["structures"], line["formulas"], line["slope"]) == (12, 3, 1.0)
    assert line["tested"] == [3, pytest.approx(2 / 3, abs=1e-3)]  # 50 is beyond all that was calibrated with
    assert "3 structures" in said.out
    assert "67 % within the interval" in said.out
    assert said.err.count("the split of its training is not known") == 2
    predictor = open_predictor(tmp_path / "ensemble")
    assert isinstance(predictor, EnsemblePredictor)
    expected = []
    for i in range(len(ABOVE)):
        geometry = rattled_density([[8, 1, 1], [3, 8], [8, 8, 3]][i % 3], i).geometry
        about = predictor.predict(geometry, grid=GRID).provenance["uncertainty"]
        assert about["low_percent"] < true[i] < about["high_percent"]
        expected.append(np.log(about["expected_percent"]))
    assert np.mean(expected) == pytest.approx(np.mean(np.log(true)), abs=1e-3)  # three formulas of four structures


def test_members_are_judged_as_they_are_alone(tmp_path: Path) -> None:
    """The mean is made in the memory of the first prediction, which has been judged before."""
    data = prepared(tmp_path, [plain(0), plain(1), plain(2)])[:3]
    members = [Predictor.from_checkpoint(Path(path)) for path in data]
    entry = Store(tmp_path / "store")["v11"]
    ensemble = EnsemblePredictor(members, None, training_set(members[0].model, [entry.geometry]))
    truth = entry.density().total
    alone = [member.predict(entry.geometry, grid=GRID).total for member in ensemble]
    found = judge(ensemble, entry)
    weight = np.abs(truth).sum()
    assert found.members == pytest.approx([np.abs(one - truth).sum() / weight for one in alone], rel=1e-5)
    assert found.error == pytest.approx(np.abs(np.mean(alone, axis=0) - truth).sum() / weight, rel=1e-5)
    assert len({round(error, 6) for error in (*found.members, found.error)}) == 4


def test_with_fitted_atoms_surroundings_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", *prepared(tmp_path, [on_atoms(0), on_atoms(1)])]) == 0
    release = release_at(tmp_path / "ensemble")
    assert release is not None
    assert release.elements == {1: 1, 3: 2, 8: 3}
    assert release.surroundings is not None
    predictor = open_predictor(tmp_path / "ensemble")
    same = rattled_density([3, 8], len(ABOVE) + len(TESTED) + 1).geometry  # the training structure b
    about = predictor.predict(same, grid=GRID).provenance["uncertainty"]
    assert about["distance"] < 0.05
    assert about["rare_elements"] == {"Li": 2, "O": 3}
    assert main(["models", str(tmp_path / "ensemble")]) == 0
    assert "mean of 2 members, calibrated on 12 validation structures" in capsys.readouterr().out


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = prepared(tmp_path, [plain(0), plain(1)])
    split = tmp_path / "split.json"
    parts = json.loads(split.read_text())
    split.write_text(json.dumps({**parts, "validation": parts["validation"][:9]}))
    assert main(["calibrate", *settings]) == 2
    assert "needs 10 validation structures or more, the split has 9" in capsys.readouterr().err
    split.write_text(json.dumps(parts))
    assert main(["calibrate", *settings[1:]]) == 2
    assert "an ensemble needs two members or more" in capsys.readouterr().err
    (tmp_path / "ensemble").mkdir()
    assert main(["calibrate", *settings]) == 2
    assert "exists; give -o a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_copies_of_one_model_are_no_ensemble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", *prepared(tmp_path, [plain(0), plain(1), plain(0)])]) == 2
    assert "has the same weights as" in capsys.readouterr().err
    assert not (tmp_path / "ensemble").exists()


def test_an_ensemble_and_a_member_of_one_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = prepared(tmp_path, [plain(0), plain(1), plain(2)])
    assert main(["calibrate", *settings[:2], *settings[3:]]) == 0
    first, new = settings[-1], str(tmp_path / "new")
    assert main(["calibrate", first, settings[2], *settings[3:-1], new]) == 0
    assert len(release_at(tmp_path / "new").members) == 3  # type: ignore[union-attr]
    assert main(["calibrate", f"{first}#member0", f"{new}#member2", *settings[3:-1], str(tmp_path / "third")]) == 0
    assert len(release_at(tmp_path / "third").members) == 2  # type: ignore[union-attr]


def test_a_damaged_ensemble_of_ones_own_says_how_to_make_it_again(tmp_path: Path) -> None:
    (tmp_path / "release.json").write_text("{")
    with pytest.raises(Exception, match="make it again, `charge3net calibrate`"):
        release_at(tmp_path)
