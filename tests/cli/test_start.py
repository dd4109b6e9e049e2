"""``charge3net predict`` for Quantum ESPRESSO and ABINIT, and stores built from their runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.io import write

from charge3net import read_density
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.cli.targets import collect, with_outputs
from charge3net.data.splits import Split
from charge3net.data.store import Store
from charge3net.density import Density
from charge3net.grid import Grid
from charge3net.io.qe.charge_density import read_charge_density
from charge3net.io.qe.save_folder import read_save_folder
from charge3net.models.registry import build_model
from charge3net.predict.predictor import Predictor
from charge3net.train.datamodule import DensityDataModule

ESPRESSO = Path(__file__).parents[1] / "io" / "golden_qe"
ABINIT = Path(__file__).parents[1] / "io" / "golden_abinit"
POTENTIAL = {"file": "Si.pbe-q4.gth", "valence": 4.0, "kind": "NC", "functional": "PBE"}


def save(folder: Path, data: dict[str, Any]) -> Path:
    torch.manual_seed(0)
    network = build_model("painn", {"features": 8, "num_interactions": 1})
    save_model(folder, network, ModelCard.of(network, elements=[1, 14], data=data))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the inputs, and a predictor that predicts 0.97 times the density of pw.x or ABINIT."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ESPRESSO / "si" / "x.in", "si.in")
    (tmp_path / "pseudo").mkdir()
    shutil.copy(ESPRESSO / "si" / "x.save" / "Si.pbe-q4.gth", "pseudo")
    shutil.copy(ABINIT / "si_DEN", "si_DEN")

    def predict(self: Predictor, structure: Any, *, shape: tuple[int, int, int], **others: Any) -> Density:
        known = read_density("si_DEN") if shape == (10, 10, 10) else read_save_folder(ESPRESSO / "si" / "x.save")
        assert shape == known.grid.shape
        np.testing.assert_allclose(structure.positions, known.geometry.positions, atol=1e-7)
        about = {"seconds": {}, "warnings": [], "notes": [], "scaled_by": None, "symmetry": ""}
        return Density(structure, Grid(structure.cell, shape), 0.97 * known.total, provenance=about)

    monkeypatch.setattr(Predictor, "predict", predict)
    return tmp_path


def predict(*arguments: object) -> int:
    return main(["predict", *map(str, arguments)])


@pytest.mark.parametrize("output", ["out/x.save", "out/x.save/", "out"])
def test_start_of_pw_x(here: Path, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(here / "model", {"potentials": {"Si": [POTENTIAL]}})
    assert predict("si.in", "-m", model, "--format", "qe", "-o", output) == 0
    written = read_charge_density("out/x.save/charge-density.dat")
    own = read_charge_density(ESPRESSO / "si" / "x.save" / "charge-density.dat")
    np.testing.assert_array_equal(written.miller, own.miller)
    np.testing.assert_allclose(written.values, own.values, atol=1e-13)
    out, err = capsys.readouterr()
    assert "outdir = 'out'" in out
    assert "prefix = 'x'" in out
    assert "startingpot = 'file'" in out
    assert "The initial density is read from file" in out
    assert "the run has 8; it is scaled" in err
    assert "does not say" not in err
    assert predict("si.in", "-m", model, "--format", "qe", "-o", output) == 2  # not twice without --overwrite
    assert (
        predict("si.in", "-m", model, "-o", output, "--format", "qe", "--overwrite", "--like", ESPRESSO / "si/x.save")
        == 0
    )


def test_another_kind_of_pseudopotential_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for change, message in (({"valence": 12.0}, "12.0"), ({"file": "Si.UPF"}, "Si.UPF"), ({"kind": "PAW"}, "PAW")):
        model = save(here / "model", {"potentials": {"Si": [{**POTENTIAL, **change}]}})
        assert predict("si.in", "-m", model, "--format", "qe", "-o", "out") == 2
        assert message in capsys.readouterr().err
    assert not (here / "out" / "x.save" / "charge-density.dat").exists()


def test_a_model_that_does_not_know_is_a_warning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("si.in", "-m", save(here / "model", {}), "-o", "x.save") == 0
    assert "does not say which pseudopotentials" in capsys.readouterr().err


def test_another_number_of_electrons_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (here / "pseudo" / "Si.pbe-q4.gth").read_text()
    (here / "pseudo" / "Si.pbe-q4.gth").write_text(text.replace("   14    4", "   14   12"))
    assert predict("si.in", "-m", save(here / "model", {}), "-o", "x.save") == 2
    assert "predicts 7.76 electrons" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--spacing", 0.1), ("--shape", 9, 9, 9), ("--electrons", 8), ("--encut", 300)])
def test_options_that_do_not_go_with_a_start(
    here: Path, option: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("si.in", "-m", save(here / "model", {}), "-o", "x.save", *option) == 2
    assert str(option[0]) in capsys.readouterr().err


def test_start_of_abinit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("si_DEN", "-m", save(here / "model", {}), "-o", "start_DEN") == 0
    np.testing.assert_allclose(read_density("start_DEN").total, read_density("si_DEN").total, rtol=1e-12)
    assert 'getden_filepath "start_DEN"' in capsys.readouterr().out
    assert predict("si_DEN", "-m", save(here / "model", {}), "-o", "other_DEN", "--like", "si_DEN") == 2
    assert "--like cannot be given here" in capsys.readouterr().err
    assert predict("si.in", "-m", save(here / "model", {}), "-o", "other_DEN") == 2
    assert "*_DEN file of the same input" in capsys.readouterr().err


def test_store_from_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Save folders, cube files of pp.x and ABINIT's densities; a run that did not converge is refused."""
    runs = tmp_path / "runs"
    for name in ("si", "h"):
        shutil.copytree(ESPRESSO / name / "x.save", runs / f"{name}.save")
    shutil.copy(ESPRESSO / "si" / "0.cube", runs / "plotted.cube")
    shutil.copy(ABINIT / "si_DEN", runs / "abinit_DEN")
    shutil.copytree(runs / "si.save", runs / "unfinished.save")
    schema = runs / "unfinished.save" / "data-file-schema.xml"
    text = schema.read_text()
    assert "<convergence_achieved>true" in text
    schema.write_text(text.replace("<convergence_achieved>true", "<convergence_achieved>false"))
    (runs / "h.save" / "charge-density.hdf5").write_bytes(b"the same density in another format")
    assert main(["data", "build", str(runs), "-o", str(tmp_path / "store"), "--jobs", "1"]) == 0
    assert "rejected unfinished" in capsys.readouterr().err
    store = Store(tmp_path / "store")
    assert sorted(store.keys()) == ["abinit_DEN", "h", "plotted", "si"]
    assert store["si"].electrons_expected == 8.0
    assert store["h"].channels == 2
    assert store["si"].meta["potentials"]["Si"]["valence"] == 4.0
    np.testing.assert_allclose(store["plotted"].values, store["si"].values, rtol=6e-5, atol=1e-6)


def test_one_save_folder(tmp_path: Path) -> None:
    shutil.copytree(ESPRESSO / "si" / "x.save", tmp_path / "mine.save")
    assert main(["data", "build", str(tmp_path / "mine.save"), "-o", str(tmp_path / "store"), "--jobs", "1"]) == 0
    assert Store(tmp_path / "store").keys() == ["mine"]


def test_training_remembers_the_pseudopotentials(tmp_path: Path) -> None:
    for name, file in (("si", ESPRESSO / "si"), ("h", ESPRESSO / "h")):
        shutil.copytree(file / "x.save", tmp_path / "runs" / f"{name}.save")
    assert main(["data", "build", str(tmp_path / "runs"), "-o", str(tmp_path / "store"), "--jobs", "1"]) == 0
    Split(train=("si",), validation=("h",), test=()).save(tmp_path / "split.json")
    data = DensityDataModule(tmp_path / "store", tmp_path / "split.json", 4.0)
    assert [record["file"] for record in data.potentials["Si"]] == ["Si.pbe-q4.gth"]
    assert "H" not in data.potentials


@pytest.mark.parametrize("charge", [8, 9.5])
def test_a_charge_that_leaves_no_electrons_is_refused(
    here: Path, charge: float, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (here / "si.in").read_text()
    (here / "si.in").write_text(text.replace("ecutwfc=4", f"ecutwfc=4, tot_charge={charge}"))
    assert predict("si.in", "-m", save(here / "model", {}), "-o", "x.save") == 2
    assert f"leaves {8 - charge:g} electrons" in capsys.readouterr().err
    assert not (here / "x.save").exists()


def test_a_pattern_gives_each_input_its_folder(here: Path) -> None:
    shutil.copy("si.in", "other.in")
    model = save(here / "model", {})
    assert predict("si.in", "other.in", "-m", model, "--format", "qe", "-o", "runs/{stem}") == 0
    assert sorted(path.parent.parent.name for path in here.glob("runs/*/x.save/charge-density.dat")) == [
        "other.in",
        "si.in",
    ]


def test_a_density_outside_of_a_save_folder_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(here / "model", {})
    assert predict("si.in", "-m", model, "-o", "out/charge-density.dat") == 2
    assert "PREFIX.save" in capsys.readouterr().err
    assert predict("si.in", "-m", model, "-o", "out/y.save/charge-density.dat") == 0
    assert "prefix = 'y', outdir = 'out'" in capsys.readouterr().out


def test_the_shipped_model_knows_its_potentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ESPRESSO / "si" / "x.in", "si.in")
    text = (ESPRESSO / "si" / "x.save" / "Si.pbe-q4.gth").read_text()
    Path("pseudo").mkdir()
    Path("pseudo/Si.pbe-q4.gth").write_text(text)
    assert predict("si.in", "--format", "qe", "-o", "out", "--uncertainty", "spread.npz") == 0
    assert "had Si.PBE.gz, the run has Si.pbe-q4.gth" in capsys.readouterr().err
    spread = read_density("spread.npz")
    assert spread.grid.shape == read_save_folder(ESPRESSO / "si" / "x.save").grid.shape
    assert 0 < spread.electrons() < 1
    Path("pseudo/Si.pbe-q4.gth").write_text(text.replace("   14    4", "   14    3"))
    assert predict("si.in", "--format", "qe", "-o", "out", "--overwrite") == 2
    assert "valence electrons 4.0, those of the run 3.0" in capsys.readouterr().err


def test_outputs_are_of_the_format_asked_for_whatever_the_inputs_are_called(here: Path) -> None:
    """``CHGCAR.si_DEN`` would be a file of ABINIT by its name, ``CHGCAR.x.save`` a folder of pw.x."""
    shutil.copytree(ESPRESSO / "si" / "x.save", "x.save")
    shutil.copytree(ESPRESSO / "si" / "x.save", "y.save")
    (here / "out").mkdir()
    inputs = ("si_DEN", "x.save", "y.save/charge-density.dat")
    assert predict("si_DEN", "-m", save(here / "model", {}), "--shape", 10, 10, 10, "-o", "out/") == 0
    assert read_density("out/CHGCAR.si").electrons() == pytest.approx(7.76, rel=1e-3)
    targets = with_outputs(collect([Path(name) for name in inputs]), "out/", None)
    assert [target.output.name for target in targets] == ["CHGCAR.si", "CHGCAR.x", "CHGCAR.y"]


def test_the_shipped_model_knows_that_it_is_not_of_abinit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ABINIT / "si_DEN", "si_DEN")
    assert predict("si_DEN", "-o", "start_DEN") == 0
    assert "Si: the training data had Si.PBE.gz, the run has" in capsys.readouterr().err


def test_valences_of_a_potcar_are_those_of_the_fitted_atoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lithium among so many silicon atoms that the sum of the electrons would not show it."""
    monkeypatch.chdir(tmp_path)
    atoms = bulk("Si", "diamond", a=5.43, cubic=True)
    atoms.symbols[0] = "Li"
    write("POSCAR", atoms, format="vasp")
    text = "  TITEL  = PAW_PBE {0} 01Jan2000\n   POMASS = 1.0; ZVAL = {1:.3f}\n   ENMAX = 300.0\nEnd of Dataset\n"
    options = ("POSCAR", "--shape", 20, 20, 20, "--potcar", "POTCAR", "--overwrite", "-o")
    for lithium, code in ((1.0, 0), (3.0, 2)):
        Path("POTCAR").write_text(text.format("Li", lithium) + text.format("Si", 4.0))
        assert predict(*options, "CHGCAR") == code
        assert "Li: the training data" in capsys.readouterr().err
    assert read_density("CHGCAR").electrons() == pytest.approx(29.0, rel=1e-5)
