"""``charge3net predict`` for VASP: what it says of a CHGCAR, valences, grids, augmentation charges."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charge3net import read_density
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.density import Density
from charge3net.models.registry import build_model
from charge3net.predict.predictor import Predictor
from tests.io.test_vasp import SILICON


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose densities are scaled to 7.9 electrons before anything is asked for."""
    torch.manual_seed(0)
    network = build_model("painn", {"features": 8, "num_interactions": 1})
    save_model(tmp_path / "model", network, ModelCard.of(network, elements=[14]))
    inner = Predictor.predict

    def predict(self: Predictor, structure: Any, **options: Any) -> Density:
        wanted = options.pop("electrons")
        density = inner(self, structure, electrons=7.9, **options)
        factor = None if wanted is None else wanted / 7.9
        about = {**density.provenance, "scaled_by": factor}
        return Density(density.geometry, density.grid, np.abs(density.values) * (factor or 1), provenance=about)

    monkeypatch.setattr(Predictor, "predict", predict)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "model"


def silicon(path: Path, shared: Path, shift: float = 0.0) -> None:
    lines = (shared / "real" / "CHGCAR.Si2").read_text().splitlines()[:10]
    lines[8] = f"  {0.875 + shift} 0.875 0.875"
    path.write_text("\n".join(lines) + "\n")


def predict(*arguments: object) -> int:
    return main(["predict", *map(str, arguments)])


def test_a_chgcar_without_augmentation_is_called_no_restart(model: Path, shared: Path, capsys: Any) -> None:
    for name in ("POSCAR.1", "POSCAR.2"):
        silicon(Path(name), shared)
    assert predict("POSCAR.1", "POSCAR.2", "-m", model, "--shape", 8, 8, 8, "-o", "out/") == 0
    assert capsys.readouterr().out.count("no restart") == 1
    assert predict("POSCAR.1", "-m", model, "--shape", 8, 8, 8, "-o", "x.cube") == 0
    assert "no restart" not in capsys.readouterr().out


def test_potcar_sets_the_electrons_and_incar_the_grid(model: Path, shared: Path, capsys: Any) -> None:
    silicon(Path("POSCAR"), shared)
    Path("POTCAR").write_text(SILICON)
    Path("INCAR").write_text("SYSTEM = x\n")
    assert predict("POSCAR", "-m", model, "--potcar", "POTCAR", "--like", "INCAR", "-o", "CHGCAR") == 0
    density = read_density("CHGCAR")
    assert density.grid.shape == (32, 32, 32)
    assert density.electrons() == pytest.approx(8.0, rel=1e-5)
    Path("POTCAR").write_text(SILICON.replace("4.000 ", "12.000 "))
    assert predict("POSCAR", "-m", model, "--potcar", "POTCAR", "--shape", 8, 8, 8, "-o", "other/CHGCAR") == 2
    assert "trained with pseudopotentials of another kind" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x.cube", "x.npz"])
def test_augmentation_for_a_file_that_cannot_hold_it(model: Path, shared: Path, name: str, capsys: Any) -> None:
    donor = shared / "real" / "CHGCAR.Si2"
    silicon(Path("POSCAR"), shared)
    options = ("-m", model, "--overwrite", "-o", name)
    assert predict("POSCAR", *options, "--shape", 8, 8, 8, "--augmentation-from", donor) == 2 * (name == "x.cube")
    assert ("holds no augmentation charges" in capsys.readouterr().err) == (name == "x.cube")
    assert predict("POSCAR", *options, "--like", donor) == 0  # its grid
    assert ("augmentation charges copied" in capsys.readouterr().out) == (name == "x.npz")


def test_augmentation_of_the_same_and_of_another_structure(model: Path, shared: Path, capsys: Any) -> None:
    donor = shared / "real" / "CHGCAR.Si2"
    silicon(Path("POSCAR"), shared)
    shutil.copy(donor, "template")
    options = ("-m", model, "--shape", 8, 8, 8, "--overwrite", "-o", "CHGCAR", "--augmentation-from", donor)
    assert predict("POSCAR", *options) == 0
    assert "ICHARG = 11" in capsys.readouterr().out
    assert read_density("CHGCAR").augmentation == read_density(donor).augmentation
    silicon(Path("POSCAR"), shared, shift=0.1)
    assert predict("POSCAR", *options) == 2
    assert "another structure" in capsys.readouterr().err
    Path("POTCAR").write_text(SILICON)
    assert predict("POSCAR", *options, "--potcar", "POTCAR") == 0
    assert "spherical averages" in capsys.readouterr().out
    (text,) = read_density("CHGCAR").augmentation
    assert text.count("augmentation occupancies   ") == 2
    assert text != read_density(donor).augmentation[0]
