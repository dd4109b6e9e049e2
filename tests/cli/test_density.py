"""``charge3net density``: files in, files out, in every format; numbers from pymatgen and the values themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.io.vasp.outputs import Chgcar

from charge3net import Density
from charge3net.cli.main import main
from tests.test_density_methods import gaussians, with_spin


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    valence = gaussians((24, 26, 28))
    valence.write("AECCAR2")
    (0.5 * valence).write("AECCAR0.gz")
    with_spin(valence).write("CHGCAR_spin")
    return tmp_path


@pytest.mark.parametrize("name", ["x.cube", "x.npz", "CHGCAR_x.xz", "x.cube.gz"])
def test_convert_and_back(files: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["density", "convert", "CHGCAR_spin", "-o", name]) == 0
    assert "7.0000 e, 1.7500 μ_B" in capsys.readouterr().out
    assert main(["density", "convert", name, "-o", "CHGCAR_back"]) == 0
    np.testing.assert_allclose(
        Density.read("CHGCAR_back").values, Density.read("CHGCAR_spin").values, rtol=1e-5, atol=1e-9
    )


def test_sum_as_pymatgen_adds(files: Path) -> None:
    assert main(["density", "sum", "AECCAR0.gz", "AECCAR2", "-o", "CHGCAR_sum"]) == 0
    theirs = Chgcar.from_file("AECCAR0.gz") + Chgcar.from_file("AECCAR2")
    np.testing.assert_allclose(Chgcar.from_file("CHGCAR_sum").data["total"], theirs.data["total"], atol=1e-7)
    assert Path("CHGCAR_sum").read_text().splitlines()[0].strip() == "AECCAR0.gz + AECCAR2"


def test_subtract_split_and_resample(files: Path) -> None:
    assert main(["density", "subtract", "CHGCAR_spin", "AECCAR0.gz", "-o", "d.npz"]) == 0
    assert Density.read("d.npz").electrons() == pytest.approx(3.5, rel=1e-6)
    parts = [f"--{name}={name}.npz" for name in ("up", "down", "total", "magnetisation")]
    assert main(["density", "split", "CHGCAR_spin", *parts]) == 0
    held = {name: Density.read(f"{name}.npz").electrons() for name in ("up", "down", "total", "magnetisation")}
    assert held == pytest.approx({"up": 4.375, "down": 2.625, "total": 7.0, "magnetisation": 1.75}, rel=1e-6)
    for option, shape in (
        (["--shape", "20", "30", "32"], (20, 30, 32)),
        (["--spacing", "0.5"], (12, 14, 16)),
        (["--like", "d.npz"], (24, 26, 28)),
    ):
        assert main(["density", "resample", "CHGCAR_spin", *option, "-o", "r.npz", "--overwrite"]) == 0
        found = Density.read("r.npz")
        assert found.grid.shape == shape
        assert found.electrons() == pytest.approx(7.0, rel=1e-6)
        assert found.magnetisation() == pytest.approx(1.75, rel=1e-6)


def test_show_error_bader(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["density", "show", "AECCAR2", "CHGCAR_spin"]) == 0
    assert main(["density", "error", "AECCAR0.gz", "AECCAR2"]) == 0
    assert main(["density", "bader", "AECCAR2", "--valence", "F=7", "Li=1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("AECCAR2: Density(LiF, 2 atoms, 24×26×28 voxels, 7.0000 e)\n")
    assert "ε_mae 50 %" in out
    assert "cores of Slater orbitals (Li 2 e, F 2 e)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "nobody", "-o", "x.cube"], "nobody"),
        (["convert", "CHGCAR.none", "-o", "x.cube"], "CHGCAR.none: cannot be read"),
        (["convert", "AECCAR2", "-o", "x.what"], "x.what: the name does not say which format"),
        (["convert", "AECCAR2", "-o", "AECCAR2"], "AECCAR2: exists; give --overwrite"),
        (["convert", "AECCAR2", "-o", "no/x.cube"], "the folder no does not exist"),
        (["sum", "AECCAR2", "-o", "x.cube"], "a sum needs two files"),
        (["sum", "AECCAR2", "small.npz", "-o", "x.cube"], "the grids differ: 24×26×28 and 4×4×4 voxels"),
        (["split", "AECCAR2", "--up", "x.cube"], "no spin"),
        (["split", "CHGCAR_spin"], "nothing to write"),
        (["split", "CHGCAR_spin", "--up", "x.cube", "--down", "x.cube"], "named twice"),
        (["resample", "AECCAR2", "--like", "tiny.npz", "-o", "x.cube"], "same cell"),
        (["resample", "AECCAR2", "--shape", "0", "4", "4", "-o", "x.cube"], "three positive integers"),
        (["resample", "AECCAR2", "--spacing", "-1", "-o", "x.cube"], "positive length"),
        (["bader", "AECCAR2", "--valence", "F7"], "ELEMENT=NUMBER"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_no_file(
    files: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gaussians((4, 4, 4)).write("small.npz")
    small = gaussians((4, 4, 4))
    tiny = type(small.grid)(small.grid.cell / 2, (4, 4, 4))
    geometry = small.geometry.with_cell(tiny.cell)
    Density(geometry, tiny, small.values).write("tiny.npz")
    before = sorted(path.name for path in files.iterdir())
    assert main(["density", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("charge3net density: error: ")
    assert message in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in files.iterdir()) == before
