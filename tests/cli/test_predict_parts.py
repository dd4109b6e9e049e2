"""``charge3net predict`` of many structures: shares, what is skipped, the manifest, jobs of Slurm."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.io import write

from charge3net import read_density
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.cli.parts import Part, part
from charge3net.models.registry import build_model
from tests.helpers import crystals
from tests.helpers.fake_slurm import install_fake_slurm

SHAPE = ["--shape", "4", "4", "4", "--format", "npz"]
NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models that differ in their weights alone."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = build_model("schnet", {"features": 8, "num_interactions": 1})
        save_model(folder / str(seed), network, ModelCard.of(network, elements=[11, 17]))
    return folder / "0", folder / "1"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five strained crystals of salt."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for i, name in enumerate(NAMES):
        salt = crystals.sodium_chloride()
        salt.set_cell(salt.cell.array * (1 + 0.02 * i), scale_atoms=True)
        write(f"in/{name}.cif", salt, format="cif")
    return tmp_path


def predict(*arguments: object) -> int:
    return main(["predict", "in/*.cif", *SHAPE, "-q", *map(str, arguments)])


def manifest(folder: str = "out") -> dict[str, dict]:
    lines = (Path(folder) / "predictions.jsonl").read_text().splitlines()
    return {json.loads(line)["output"]: json.loads(line) for line in lines}


def times(folder: str = "out") -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in Path(folder).glob("*.npz")}


def test_parts_of_a_list() -> None:
    for n in (0, 1, 5, 16, 33):
        for of in (1, 2, 5, 16):
            shares = [list(Part(k, of).share(range(n))) for k in range(1, of + 1)]
            assert [i for share in shares for i in share] == list(range(n))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert part("3/16") == Part(3, 16)
    assert part("3/16").label == "part-03-of-16"
    for wrong in ("0/2", "3/2", "3", "a/b", "1/0", "-1/2", "1/2/3", ""):
        with pytest.raises(Exception, match="NUMBER/PARTS"):
            part(wrong)


def test_parts_together_are_the_whole(here: Path, models: tuple[Path, Path], capsys: pytest.CaptureFixture) -> None:
    assert predict("-m", models[0], "-o", "whole") == 0
    for number, expected in ((1, ["a", "b"]), (2, ["a", "b", "c", "d", "e"])):
        assert predict("-m", models[0], "-o", "out", "--part", f"{number}/2") == 0
        assert sorted(times()) == expected
    for name in NAMES:
        np.testing.assert_array_equal(read_density(f"out/{name}.npz").values, read_density(f"whole/{name}.npz").values)
    files = {path.name for path in Path("out").glob("*.jsonl")}
    assert files == {"predictions.part-1-of-2.jsonl", "predictions.part-2-of-2.jsonl"}
    # the same command without --part has nothing to do, and makes one manifest of two
    before = times()
    assert predict("-m", models[0], "-o", "out", "--skip-existing") == 0
    assert times() == before
    assert {path.name for path in Path("out").glob("*.jsonl")} == {"predictions.jsonl"}
    lines, whole = manifest(), manifest("whole")
    assert lines.keys() == whole.keys() == {f"{name}.npz" for name in NAMES}
    for name, line in lines.items():
        assert (line["status"], line["recipe"]) == ("written", whole[name]["recipe"])
        assert line["electrons"] == pytest.approx(read_density(f"out/{name}").electrons(), rel=1e-5)
        assert line["source"] == f"in/{name[0]}.cif"


def test_only_what_this_model_made_with_these_settings_is_skipped(
    here: Path, models: tuple[Path, Path], capsys: pytest.CaptureFixture
) -> None:
    common = ["-m", models[0], "-o", "out"]
    assert predict(*common) == 0
    before = times()
    Path("out/c.npz").unlink()
    assert predict(*common, "--skip-existing") == 0
    assert {name for name, time in times().items() if time != before[name]} == {"c"}
    for wrong, said in (
        (["-m", models[1], "-o", "out"], "was predicted with another model"),
        ([*common, "--electrons", 3], "was predicted with other settings"),
    ):
        assert predict(*wrong, "--skip-existing") == 2
        assert f"out/a.npz: {said}; add --overwrite" in capsys.readouterr().err
    moved = crystals.sodium_chloride()
    moved.rattle(0.05)
    write("in/b.cif", moved, format="cif")
    assert predict(*common, "--skip-existing") == 2
    assert "out/b.npz: was predicted with other atoms" in capsys.readouterr().err
    Path("out/d.npz").write_bytes(Path("out/d.npz").read_bytes()[:-7])
    before = times()
    assert predict(*common, "--skip-existing", "--overwrite") == 0
    assert {name for name, time in times().items() if time != before[name]} == {"b", "d"}
    assert read_density("out/d.npz").grid.shape == (4, 4, 4)
    Path("out/predictions.jsonl").unlink()
    assert predict(*common, "--skip-existing") == 2
    assert "out/a.npz: is not listed in out/predictions.jsonl" in capsys.readouterr().err


def test_failures_are_listed_and_tried_again(here: Path, models: tuple[Path, Path]) -> None:
    good = Path("in/b.cif").read_text()
    Path("in/b.cif").write_text("broken")
    assert predict("-m", models[0], "-o", "out") == 1
    line = manifest()["b.npz"]
    assert (line["status"], line["source"]) == ("failed", "in/b.cif")
    assert "cannot be read as CIF" in line["reason"]
    # killed while it wrote its next line
    with Path("out/predictions.jsonl").open("a") as file:
        file.write('{"output": "c.npz", "time": 9')
    Path("in/b.cif").write_text(good)
    before = times()
    assert predict("-m", models[0], "-o", "out", "--skip-existing") == 0
    assert times().keys() - before.keys() == {"b"}
    assert {name: times()[name] for name in before} == before


def test_a_part_of_frames_and_an_empty_part(here: Path, models: tuple[Path, Path]) -> None:
    write("path.xyz", [crystals.sodium_chloride() for _ in range(3)], format="extxyz")
    arguments = ["predict", "path.xyz", *SHAPE, "-q", "-m", str(models[0]), "-o", "out/{formula}-{index}.npz"]
    for number in range(1, 5):
        assert main([*arguments, "--part", f"{number}/4"]) == 0
    assert {path.name for path in Path("out").glob("*.npz")} == {f"NaCl-{i}.npz" for i in range(3)}
    assert len(list(Path("out").glob("*.jsonl"))) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "out/{index}.npz", "--part", "1/2"], "cannot number their structures"),
        (["-o", "out/{formula}.npz", "--part", "1/2"], "must hold {stem}"),
        (["-o", "out.npz", "--part", "1/2"], "out.npz is one file"),
        (["-o", "out", "--job", "partition=gpu"], "--job goes with --slurm"),
        (["-o", "out", "--slurm", "0"], "1 or more"),
        (["-o", "out", "--slurm", "2", "--part", "1/2"], "give one of the two"),
        (["-o", "out", "--slurm", "2", "--job", "partition"], "KEY=VALUE"),
        (["-o", "out", "--slurm", "2"], "the jobs could not be started: .*srun"),
    ],
)
def test_mistakes(here: Path, models: tuple[Path, Path], options: list[str], said: str, capsys, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")  # no Slurm, wherever this runs
    assert predict("-m", models[0], *options) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not list(Path(".").glob("out/*.npz"))


def test_parts_need_a_model_and_patterns_a_match(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert predict("-o", "out", "--part", "1/2") == 2
    assert "--part needs --model" in capsys.readouterr().err
    assert main(["predict", "in/*.vasp", "-o", "out"]) == 2
    assert "in/*.vasp: no file matches this pattern" in capsys.readouterr().err


def test_jobs_of_slurm(here: Path, models: tuple[Path, Path], capsys, monkeypatch) -> None:
    """submitit writes the script; a stand-in for sbatch runs it, a process for each of its two tasks."""
    pytest.importorskip("submitit")
    kept = install_fake_slurm(here, monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
    Path("in/e.cif").write_text("broken")
    job = ["--job", "partition=gpu", "--job", "gpus_per_node=1", "--job", "mem_gb=8", "--job", "account=chem"]
    assert predict("-m", models[0], "-o", "out", "--slurm", "2", *job) == 1
    script = (kept / "submitted.sh").read_text()
    for line in ("--array=0-1%", "--partition=gpu", "--gpus-per-node=1", "--mem=8GB", "--account=chem"):
        assert f"#SBATCH {line}" in script
    assert "#SBATCH --time=1440" in script
    assert "#SBATCH --cpus-per-task=4" in script
    lines = manifest()
    assert {name: line["status"] for name, line in lines.items()} == {
        f"{name}.npz": "failed" if name == "e" else "written" for name in NAMES
    }
    assert {path.name for path in Path("out").glob("*.jsonl")} == {"predictions.jsonl"}
    assert "in/e.cif: cannot be read" in capsys.readouterr().err
    assert predict("-m", models[0], "-o", "whole") == 1
    for name in NAMES[:-1]:
        np.testing.assert_array_equal(read_density(f"out/{name}.npz").values, read_density(f"whole/{name}.npz").values)
