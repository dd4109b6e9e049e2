"""``charge3net predict`` on small models whose numbers are compared with the predictor's."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.io import write

from charge3net import Predictor, read_density
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io import write_density
from charge3net.models.registry import build_model
from tests.helpers import crystals


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small random model that has seen lithium, oxygen, sodium and chlorine."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("run") / "model"
    network = build_model("painn", {"features": 16, "num_interactions": 2})
    save_model(folder, network, ModelCard.of(network, elements=[3, 8, 11, 14, 17]))
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("POSCAR", crystals.silicon(), format="vasp")
    write("salt.cif", crystals.sodium_chloride(), format="cif")
    return tmp_path


def predict(*arguments: object) -> int:
    return main(["predict", *map(str, arguments)])


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("name", "digits"), [("CHGCAR", 1e-10), ("rho.cube", 1e-5), ("rho.npz", 0), ("CHG.gz", 1e-10)])
def test_writes_what_the_predictor_predicts(here, model, name, digits, capsys):
    assert predict("POSCAR", "--model", model, "--shape", 6, 8, 8, "-o", name) == 0
    expected = Predictor.from_checkpoint(model).predict(crystals.silicon(), shape=(6, 8, 8))
    found = read_density(name)
    np.testing.assert_allclose(found.values, expected.values, rtol=digits, atol=1e-6 * np.abs(expected.values).max())
    np.testing.assert_allclose(found.grid.cell, expected.grid.cell, atol=1e-6)
    out, err = capsys.readouterr()
    assert f"{name}: 6×8×8 voxels, {expected.electrons():.4f} electrons" in out
    assert err == ""


def test_grids(here, model):
    cell = crystals.silicon().cell.array
    for options, expected in [
        (["--spacing", 0.4], Grid.from_spacing(cell, 0.4).shape),
        (["--encut", 60], Grid.from_encut(cell, 60.0).shape),
        ([], (40, 40, 40)),
    ]:
        assert predict("POSCAR", "-m", model, *options, "-o", "rho.npz", "--overwrite", "-q") == 0
        assert read_density("rho.npz").grid.shape == expected
    write_density(Density(Geometry.of(crystals.silicon()), Grid(cell, (4, 5, 6)), np.ones((4, 5, 6))), "old.cube")
    assert predict("POSCAR", "-m", model, "--like", "old.cube", "-o", "rho.npz", "--overwrite", "-q") == 0
    assert read_density("rho.npz").grid.shape == (4, 5, 6)


def test_options_that_reach_the_provenance(here, model, capsys):
    common = ["POSCAR", "-m", model, "--shape", 6, 6, 6]
    assert predict(*common, "-o", "a.npz", "--no-symmetry", "--electrons", 8, "--threads", 1, "--profile") == 0
    out, err = capsys.readouterr()
    assert "symmetry not used: switched off" in out
    assert "scaled by" in out
    assert all(name in err for name in ("imports", "model", "neighbours", "atoms", "reading", "writing", "sum"))
    assert read_density("a.npz").electrons() == pytest.approx(8.0, rel=1e-6)
    assert predict(*common, "-o", "b.npz", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_unseen_elements_are_a_warning_or_refused(here, model, capsys):
    write("CONTCAR", crystals.rutile(), format="vasp")
    assert predict("CONTCAR", "-m", model, "--shape", 4, 4, 4, "-o", "CHGCAR", "-q") == 0
    assert "warning: CONTCAR: the model was not trained on Ti" in capsys.readouterr().err
    assert predict("CONTCAR", "-m", model, "--shape", 4, 4, 4, "-o", "CHG", "--strict-elements") == 2
    assert "not trained on Ti" in capsys.readouterr().err
    assert not Path("CHG").exists()


def test_many_structures_into_a_folder_and_one_that_fails(here, model, capsys):
    Path("broken.cif").write_text("data_nothing\n")
    write("steps.xyz", [molecule("H2O"), molecule("LiH")], format="extxyz")
    status = predict("POSCAR", "broken.cif", "salt.cif", "steps.xyz", "-m", model, "--shape", 4, 4, 4, "-o", "out/all")
    assert status == 1
    expected = ["CHGCAR." + stem for stem in (here.name, "salt", "steps_0", "steps_1")]
    assert listing(here / "out") == sorted("all/" + name for name in [*expected, "predictions.jsonl"])
    out, err = capsys.readouterr()
    assert "failed: broken.cif: cannot be read as CIF" in err
    assert "4 written, 1 failed:" in err
    assert "put in a box of" in out
    salt = Predictor.from_checkpoint(model).predict(crystals.sodium_chloride(), shape=(4, 4, 4))
    assert read_density("out/all/CHGCAR.salt").electrons() == pytest.approx(salt.electrons(), rel=1e-4)


def test_what_exists_is_kept_skipped_or_replaced(here, model, capsys):
    Path("out").mkdir()
    Path("out/salt.cube").write_text("precious")
    common = ["POSCAR", "salt.cif", "-m", model, "--shape", 4, 4, 4, "--format", "cube", "-o", "out"]
    assert predict(*common) == 2
    assert "out/salt.cube: exists; give --overwrite" in capsys.readouterr().err
    assert listing(here / "out") == ["salt.cube"]
    assert predict(*common, "--skip-existing") == 2
    assert "out/salt.cube: is not listed in out/predictions.jsonl" in capsys.readouterr().err
    assert Path("out/salt.cube").read_text() == "precious"
    Path("out/salt.cube").unlink()
    assert predict("POSCAR", *common[2:], "--skip-existing") == 0
    assert predict(*common, "--skip-existing") == 0
    assert listing(here / "out") == sorted([f"{here.name}.cube", "salt.cube", "predictions.jsonl"])
    assert "1 of 2 exist already" in capsys.readouterr().out
    assert predict(*common, "--overwrite") == 0
    assert read_density("out/salt.cube").grid.shape == (4, 4, 4)


def test_patterns(here, model):
    common = ["-m", model, "--shape", 4, 4, 4, "-q"]
    assert predict("POSCAR", "salt.cif", *common, "-o", "d/{formula}-{index:03d}.npz") == 0
    assert listing(here / "d") == ["NaCl-001.npz", "Si-000.npz", "predictions.jsonl"]
    for name in ("a", "b"):
        Path(name).mkdir()
        write(f"{name}/POSCAR", crystals.silicon(), format="vasp")
        write(f"{name}/x.cif", crystals.silicon(), format="cif")
    assert predict("a/POSCAR", "b/POSCAR", "a/x.cif", "b/x.cif", *common, "-o", "{stem}.npz") == 0
    assert {"a.npz", "b.npz", "a_x.npz", "b_x.npz"} <= set(listing(here))


AUGMENTATION = ("augmentation occupancies   1   2\n  0.1E+00  0.2E+00\naugmentation occupancies   2   1\n  0.3E+00\n",)
MOMENTS = "  0.000000000000E+00  0.100000000000E+01\n"


def donor(name: str, atoms: Atoms, channels: int = 1) -> None:
    grid = Grid(atoms.cell.array, (4, 4, 4))
    texts = AUGMENTATION if channels == 1 else (AUGMENTATION[0] + MOMENTS, AUGMENTATION[0])
    write_density(Density(Geometry.of(atoms), grid, np.ones((channels, 4, 4, 4)), texts), name)


@pytest.mark.parametrize("channels", [1, 2])
def test_augmentation_charges_are_copied_without_the_moments_of_a_second_grid(here, model, channels, capsys):
    donor("CHGCAR_old", crystals.silicon(), channels)
    assert predict("POSCAR", "-m", model, "--like", "CHGCAR_old", "-o", "CHGCAR") == 0
    assert "augmentation charges copied" in capsys.readouterr().out
    written = read_density("CHGCAR")
    assert written.augmentation == AUGMENTATION
    assert written.grid.shape == (4, 4, 4)
    assert predict("POSCAR", "-m", model, "--shape", 6, 6, 6, "--augmentation-from", "CHGCAR_old", "-o", "CHG") == 0
    assert read_density("CHG").augmentation == AUGMENTATION


def test_augmentation_charges_of_other_atoms(here, model, capsys):
    donor("CHGCAR_old", Atoms("GeSi", cell=[3, 3, 3], scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], pbc=True))
    assert predict("POSCAR", "-m", model, "--like", "CHGCAR_old", "-o", "CHGCAR") == 0
    assert "belong to other atoms" in capsys.readouterr().err
    assert read_density("CHGCAR").augmentation == ()
    assert predict("POSCAR", "-m", model, "--shape", 4, 4, 4, "--augmentation-from", "CHGCAR_old", "-o", "CHG") == 2
    assert "belong to other atoms" in capsys.readouterr().err
    assert not Path("CHG").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "-m", "MODEL", "-o", "CHGCAR"], "nowhere"),
        (["POSCAR", "-m", "nowhere", "-o", "CHGCAR"], "nowhere: no such file or folder"),
        (["POSCAR", "-m", "MODEL", "-o", "density.txt"], "density.txt: the name does not say which format"),
        (["POSCAR", "salt.cif", "-m", "MODEL", "-o", "CHGCAR"], "2 structures cannot go to the one file CHGCAR"),
        (["POSCAR", "salt.cif", "-m", "MODEL", "-o", "x.npz/{name}.npz"], "may hold {stem}, {formula}, {index}"),
        (["POSCAR", "salt.cif", "-m", "MODEL", "-o", "{stem:d}.npz"], "may hold {stem}, {formula}, {index}"),
        (["POSCAR", "POSCAR", "-m", "MODEL", "-o", "{formula}.npz"], "2 structures would be written to Si.npz"),
        (["POSCAR", "-m", "MODEL", "-o", "POSCAR", "--format", "chgcar", "--overwrite"], "is one of the structures"),
        (["POSCAR", "-m", "MODEL", "-o", "CHGCAR", "--threads", "0"], "--threads takes a positive number"),
        (["POSCAR", "-m", "MODEL", "-o", "CHGCAR", "--device", "abacus"], "'abacus' cannot be used"),
        (["POSCAR", "-m", "MODEL", "-o", "CHGCAR", "--spacing", "-1"], "a grid spacing is a positive length"),
        (["POSCAR", "-m", "MODEL", "-o", "CHGCAR", "--spacing", "1e-9"], "does not fit in memory"),
        (["POSCAR", "-m", "MODEL", "-o", "CHGCAR", "--encut", "1e14"], "does not fit in memory"),
        (["POSCAR", "-m", "MODEL", "-o", "CHGCAR", "--like", "POSCAR"], "POSCAR"),
        (["POSCAR", "-m", "MODEL", "-o", "CHGCAR", "--augmentation-from", "flat.npz"], "holds no augmentation"),
        (["POSCAR", "-m", "MODEL", "-o", "salt.cif/CHGCAR"], "salt.cif"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(here, model, arguments, message, capsys):
    silicon = crystals.silicon()
    grid = Grid(silicon.cell.array, (2, 2, 2))
    write_density(Density(Geometry.of(silicon), grid, np.ones((2, 2, 2))), "flat.npz")
    before = {name: Path(name).read_bytes() for name in listing(here)}
    assert predict(*[model if word == "MODEL" else word for word in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("charge3net predict: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert {name: Path(name).read_bytes() for name in listing(here)} == before


@pytest.mark.parametrize("option", ["--electrons", "--max-error"])
@pytest.mark.parametrize("value", ["0", "-3", "nan", "inf", "much"])
def test_numbers_that_are_not_positive_are_refused_before_anything_is_computed(here, model, option, value, capsys):
    with pytest.raises(SystemExit):
        predict("POSCAR", "-m", model, "-o", "CHGCAR", option, value)
    assert "a positive number" in capsys.readouterr().err


def test_released_weights_as_they_are(here, golden_dir):
    with np.load(golden_dir / "schnet.npz") as file:
        state = {key[2:]: torch.from_numpy(file[key]) for key in file if key.startswith("w:")}
    torch.save({"model": state}, "best_model.pth")
    assert predict("POSCAR", "-m", "best_model.pth", "--shape", 4, 4, 4, "-o", "rho.npz", "-q") == 0
    assert read_density("rho.npz").values.shape == (1, 4, 4, 4)


def test_predicting_imports_nothing_of_training(here, model):
    import subprocess
    import sys

    code = (
        "import sys; from charge3net.cli.main import main; "
        f"assert main(['predict', 'POSCAR', '-m', {str(model)!r}, '--spacing', '1', '-o', 'CHGCAR', '-q']) == 0; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'lightning', 'pytorch_lightning', 'hydra', 'omegaconf', 'wandb', 'matplotlib', 'tensorboard', 'skimage'}))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(root)}
    )
    assert done.stdout.strip() == "[]"


def trained(folder: Path, scale: float) -> Path:
    """A network with all its weights scaled, as if it were trained."""
    network = build_model("painn", {"features": 16, "num_interactions": 2})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale)
    save_model(folder / "trained", network, ModelCard.of(network, elements=[14], training={"steps": 1}))
    return folder / "trained"


def test_an_absurd_number_of_electrons_is_refused_unless_told(here, capsys):
    """Two atoms of silicon have 8 electrons in their outermost shells; a network of zeros gives 0."""
    arguments = ["POSCAR", "--model", trained(here, 0.0), "--shape", 4, 4, 4, "-o", "CHGCAR"]
    assert predict(*arguments) == 2
    assert "not written: ∫ρ is 0 e where the atoms have 8 (outermost shells) to 28 (ΣZ)" in capsys.readouterr().err
    assert not Path("CHGCAR").exists()
    assert predict(*arguments, "--unchecked") == 0


def test_close_atoms_are_told_also_when_the_prediction_fails(here, capsys):
    write("POSCAR", Atoms("Si2", positions=[[0, 0, 0], [0, 0, 0.25]], cell=[5, 5, 5], pbc=True), format="vasp")
    assert predict("POSCAR", "--model", trained(here, 0.0), "--shape", 4, 4, 4, "-o", "CHGCAR") == 2
    error = capsys.readouterr().err
    assert "atoms 0 and 1 (counted from 0) are only 0.250 Å apart" in error
    assert "not written" in error


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_two_atoms_of_one_element_at_one_place_are_asked_about(here, model, monkeypatch, answer, status):
    write("POSCAR", Atoms("Si2", positions=[[0, 0, 0], [0, 0, 4.95]], cell=[5, 5, 5], pbc=True), format="vasp")
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    assert predict("POSCAR", "--model", model, "--shape", 4, 4, 4, "-o", "CHGCAR") == status
    assert "are only 0.050 Å apart and of one element. Predict them as they are? [y/N]" in screen.getvalue()
    assert Path("CHGCAR").exists() == (status == 0)


def test_without_a_terminal_two_atoms_at_one_place_are_refused_unless_told(here, model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # not a terminal: what is piped in is no answer
    for name, numbers in (("same.vasp", "Si2"), ("other.vasp", "SiGe")):
        write(name, Atoms(numbers, positions=[[0, 0, 0], [0, 0, 0.05]], cell=[5, 5, 5], pbc=True), format="vasp")
    arguments = ["--model", model, "--shape", 4, 4, 4, "-o", "CHGCAR"]
    assert predict("same.vasp", *arguments) == 2
    error = capsys.readouterr().err
    assert "same.vasp: not predicted: atoms 0 and 1 (counted from 0) are only 0.050 Å apart" in error
    assert "--unchecked" in error
    assert not Path("CHGCAR").exists()
    assert predict("same.vasp", *arguments, "--unchecked") == 0
    assert predict("other.vasp", *arguments, "--overwrite") == 0


def test_a_potential_serves_as_a_grid(here, model, capsys):
    assert predict("POSCAR", "--model", model, "--shape", 4, 5, 6, "-o", "CHGCAR") == 0
    Path("LOCPOT").write_bytes(Path("CHGCAR").read_bytes())
    assert predict("POSCAR", "--model", model, "--like", "LOCPOT", "-o", "again.cube") == 0
    assert read_density("again.cube").grid.shape == (4, 5, 6)
    assert "only the grid of --like is used" in capsys.readouterr().err
