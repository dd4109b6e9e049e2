"""``charge3net train`` as a user meets it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from charge3net.checkpoints import load_model
from charge3net.cli.main import main
from charge3net.cli.settings import conf_folder

SMALL = (
    "experiment=small",
    "model=small/schnet",
    "model.features=8",
    "runtime=cpu",
    "runtime.threads=1",
    "train.max_steps=6",
    "train.val_every=4",
    "train.log_every=2",
    "data.probes=10",
)


@pytest.fixture
def arguments(densities: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a short run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return ["train", *SMALL, f"data.store={densities[0]}", f"data.split={densities[1]}"]


def test_run(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    run = tmp_path / "runs" / "small"
    names = {"config.json", "last", "metrics.csv", "model", "resume.ckpt", "summary.json"}
    assert {path.name for path in run.iterdir()} == names
    said = capsys.readouterr().err
    assert "small: training on cpu, CPU threads: 1 (runtime.threads)" in said
    assert said.splitlines()[-1].startswith("small: finished in")
    assert said.rstrip().endswith(f"model: {Path('runs/small/model')}")
    model, card = load_model(run)
    assert model.architecture == "schnet"
    summary = json.loads((run / "summary.json").read_text())
    assert card.metrics["val/emae"] == summary["best"]["val/emae"]
    assert card.training["seed"] == 0
    assert set(card.elements) <= set(range(1, 9))  # what the store of these tests holds
    assert "_target_" not in (run / "model" / "model.json").read_text()
    with (run / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [2, 4, 6]
    # again: nothing to do
    assert main(arguments) == 0
    assert "finished before" in capsys.readouterr().err


def test_a_run_that_is_worse_than_nothing_says_so(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for rate, told in (("1e-6", False), ("1.0", True)):
        assert main([*arguments, f"output=runs/{rate}", f"optim.lr={rate}"]) == 0
        best = json.loads(Path(f"runs/{rate}/summary.json").read_text())["best"]["val/emae"]
        assert (best >= 100.0) == told
        assert ("take a smaller optim.lr" in capsys.readouterr().err) == told


def test_sweep_goes_on_where_it_stopped(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = [*arguments, "--multirun", "seed=1", "model=small/schnet,small/painn"]
    for one in ("model=small/schnet", "model.features=8"):
        sweep.remove(one)
    assert main(sweep) == 0
    folder = tmp_path / "runs" / "small"
    members = {path.name: path / "summary.json" for path in folder.iterdir() if path.is_dir()}
    assert set(members) == {"small-schnet", "small-painn"}
    assert json.loads((members["small-painn"].parent / "config.json").read_text())["model"]["architecture"] == "painn"
    times = {name: path.stat().st_mtime_ns for name, path in members.items()}
    members["small-schnet"].unlink()  # as if it had been stopped
    capsys.readouterr()
    assert main([*sweep, "resume=true"]) == 0
    said = capsys.readouterr().err
    assert said.count("finished before") == 1
    assert "small/small-schnet: finished in" in said
    changed = {name for name, path in members.items() if path.stat().st_mtime_ns != times[name]}
    assert changed == {"small-schnet"}


def test_failing_member_does_not_stop_the_sweep(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--multirun", "loss.name=nonsense,l1", "seed=2,3"]) == 2
    assert "nonsense" in capsys.readouterr().err.splitlines()[-1]
    done = {path.parent.name for path in tmp_path.glob("runs/small/*/summary.json")}
    assert done == {"name=l1,seed=2", "name=l1,seed=3"}
    assert not list(tmp_path.glob("runs/small/name=nonsense*"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("dta.store=x", "did you mean data.store?"),
        ("train.max_step=3", "did you mean train.max_steps?"),
        ("train.max_steps=many", "'many'"),
        ("train.max_steps=0", "train.max_steps must be at least 1"),
        ("experiment=smal", "there is no experiment/smal; choose one of"),
        ("model=gnn", "there is no model/gnn; choose one of"),
        ("model.architecture=gnn", "unknown architecture 'gnn'"),
        ("model.featurs=3", "featurs"),
        ("+model.lmax=3", "lmax"),
        ("data.store=nowhere", "nowhere"),
        ("data.split=nowhere.json", "nowhere.json"),
        ("data.train_size=1000", "1000"),
        ("data.batch_size=0", "batch"),
        ("loss.name=l3", "choose one of l1, mse, normalised_l1"),
        ("optim.schedule.name=linear", "choose one of power, cosine, constant"),
        ("optim.lr=-1", "optim.lr must be positive"),
        ("runtime.precision=float16", "choose one of float32, float64"),
        ("runtime.precision=bf16", "runtime.precision=bf16 is for GPUs"),
        ("runtime.accelerator=tpu", "choose auto, cpu or gpu"),
        ("runtime.devices=3", "cannot be shared evenly by 3 processes"),
        ("resume=nowhere", "resume=nowhere"),
        ("train.ema=1.5", "train.ema must lie between 0 and 1"),
        ("nonsense", "nonsense"),
    ],
)
def test_mistakes(
    wrong: str, said: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, wrong]) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("charge3net train: error: ")
    assert said in lines[0]
    assert list(tmp_path.iterdir()) == []


HABITS = {
    "--config config.yaml": "ambiguous option: --config",
    "-c config.yaml": "invalid choice: 'config.yaml'",
    "--lr 0.01": "there is no option --lr",
    "--data=store": "there is no option --data=store",
    "config.yaml": "FOLDER/experiment/config.yaml and give --config-dir FOLDER experiment=config",
}


@pytest.mark.parametrize("habit", HABITS)
def test_habits_from_other_packages_are_answered_in_one_line(habit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *habit.split()]) == 2
    said = capsys.readouterr()
    assert HABITS[habit] in said.err
    assert "key=value" in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("place", ["seed=0,lmax=1", "two words", "[x] (1)", "größe", "電子密度", "it's", "a\\", "50%"])
def test_paths_with_any_letters(place: str, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / f"x{place}").mkdir()
    store, split = (next(a for a in arguments if a.startswith(key)) for key in ("data.store=", "data.split="))
    for index, setting in enumerate((store, split)):
        target = tmp_path / f"x{place}" / ("store", "split.json")[index]
        target.symlink_to(Path(setting.split("=", 1)[1]).resolve())
        arguments[arguments.index(setting)] = f"{setting.split('=')[0]}={target.relative_to(tmp_path)}"
    assert main([*arguments, f"output=runs/{place}", "train.max_steps=1", "train.val_every=1"]) == 0
    config = json.loads((tmp_path / "runs" / place / "config.json").read_text())
    assert config["data"]["store"] == f"x{place}/store"
    assert main([*arguments, f"output=again/{place}", f"resume=runs/{place}", "train.max_steps=2"]) == 0
    assert (tmp_path / "again" / place / "summary.json").is_file()


def test_how_to_quote_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "output=[x]/y"]) == 2
    assert """quote the value if it is text: "output='[x]/y'\"""" in capsys.readouterr().err
    assert main([*arguments, "output='[x]/y'"]) == 0
    assert Path("[x]/y/summary.json").is_file()


def test_members_whose_values_end_alike_have_their_own_folders(arguments: list[str], tmp_path: Path) -> None:
    split = next(a for a in arguments if a.startswith("data.split=")).split("=", 1)[1]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "split.json").symlink_to(Path(split).resolve())
    varied = "data.split=a/split.json,b/split.json"
    assert main([*(a for a in arguments if a != f"data.split={split}"), "-m", varied, "train.max_steps=1"]) == 0
    found = {path.parent.name for path in tmp_path.glob("runs/small/*/summary.json")}
    assert found == {"split=a-split.json", "split=b-split.json"}


def test_a_search_minimises_the_validation_error(arguments: list[str], tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    from omegaconf import OmegaConf

    search = ["sweep=optuna", "hydra.sweeper.n_trials=3", "optim.lr=choice(1e-12,0.01,1e30)"]
    sampler = ["hydra/sweeper/sampler=grid", "train.val_every=2", "train.max_steps=2"]
    assert main([*arguments, "--multirun", *search, *sampler]) == 0
    folder = tmp_path / "runs" / "small"
    errors = {
        path.parent.name: json.loads(path.read_text())["best"]["val/emae"] for path in folder.glob("*/summary.json")
    }
    assert len(errors) == 2  # the training with 1e30 diverges, which does not end the search
    result = OmegaConf.load(folder / "optimization_results.yaml")
    assert result.best_value == min(errors.values())
    assert f"lr={result.best_params['optim.lr']}" == min(errors, key=lambda name: errors[name])


def test_submitit_without_slurm(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main([*arguments, "--multirun", "seed=0,1", "launcher=submitit"]) == 2
    assert "launcher=submitit needs Slurm" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("charge3net tr", {"train"}),
        ("charge3net train model=", {f"model={path.stem}" for path in (conf_folder() / "model").glob("*.yaml")}),
        ("charge3net train experiment=small optim.sch", {"optim.schedule."}),
        ("charge3net predict x", set()),
    ],
)
def test_shell_completion(
    line: str, expected: set[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["train", "-sc", "query=bash"]) == 0
    words = capsys.readouterr().out.split()
    assert {word for word in words if word.startswith(line.split()[-1])} == expected


def test_script_for_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-sc", "install=bash"]) == 0
    script = capsys.readouterr().out
    assert "$helper train -sc query=bash" in script
    assert script.rstrip().endswith("-F hydra_bash_completion charge3net")
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_missing_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "experiment=small"]) == 2
    assert "data.split is not given; add data.split=…" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_cfg_job_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "experiment=published/charge3net_mp", "--cfg", "job"]) == 0
    assert "max_steps: 1000000" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_environment_and_arguments_are_put_back(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = list(sys.argv)
    assert main([*arguments, "dta=1"]) == 2
    assert "HYDRA_FULL_ERROR" not in os.environ
    assert sys.argv == before


def test_two_processes_give_what_one_gives(arguments: list[str], tmp_path: Path) -> None:
    # Adam divides by the gradient's size, so float64 is needed to see a wrong weighting and nothing else.
    arguments += ["data.batch_size=2", "runtime.precision=float64", "train.ema=0.9", "train.clip=0.1"]
    assert main(arguments) == 0
    command = [sys.executable, "-m", "charge3net.cli.main", *arguments, "runtime.devices=2", "output=runs/two"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / "runs" / name / "resume.ckpt", weights_only=True) for name in ("small", "two"))
    assert one["state_dict"].keys() == two["state_dict"].keys()
    for name, weights in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], weights, rtol=0, atol=1e-12)
    logs = [list(csv.DictReader((tmp_path / "runs" / name / "metrics.csv").open())) for name in ("small", "two")]
    for a, b in zip(*logs, strict=True):
        for column in ("step", "train/loss", "val/emae", "val/emae_se", "val/loss"):
            assert float(a[column] or 0) == pytest.approx(float(b[column] or 0), rel=1e-6)
    # resumed in another folder: every process takes the given checkpoint
    command = [a for a in command if not a.startswith("output=")]
    more = ["train.max_steps=8", "resume=runs/two", "output=runs/more"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "runs" / "more" / "summary.json").read_text())["step"] == 8
