"""examples/own_model, installed by pip, trained, evaluated and predicted with, without a change of this package."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.io.xsf import write_xsf

from charge3net.checkpoints import ModelCard, load_card, load_model, save_model
from charge3net.cli.main import main
from charge3net.data.find import find_files
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.io import read_density, read_structure, write_density
from charge3net.models.registry import build_model
from charge3net.train.losses import build_loss
from tests.helpers.studies import rattled_density

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_model"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package, without the package index."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    source = tmp_path_factory.mktemp("source") / "own_model"  # pip leaves a folder build/ in it
    source.mkdir()
    for file in (path for path in EXAMPLE.rglob("*") if path.is_file() and path.suffix in (".py", ".toml")):
        (source / file.relative_to(EXAMPLE)).parent.mkdir(parents=True, exist_ok=True)
        (source / file.relative_to(EXAMPLE)).write_bytes(file.read_bytes())
    done = subprocess.run([*pip, "--target", folder, source], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def installed(target: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder on the path of Python."""
    monkeypatch.syspath_prepend(target)
    yield target
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_model"]:
        del sys.modules[name]


def write_as_xsf(path: Path, numbers: list[int], seed: int) -> None:
    """A density as XCrySDen has it: the last point along each axis is the first one again."""
    density = rattled_density(numbers, seed)
    values = np.pad(density.values[0], ((0, 1),) * 3, mode="wrap")
    with path.open("w") as file:
        write_xsf(file, [density.structure.to_ase_atoms()], data=values, span_vectors=density.grid.cell)


def test_from_files_to_a_prediction(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs.xsf").mkdir()
    for i in range(6):
        write_as_xsf(Path(f"runs.xsf/m{i}.xsf"), [8, 3, 1, 25][: 2 + i % 3], i)
    assert main(["data", "build", "runs.xsf", "-o", "store", "--jobs", "1"]) == 0
    assert list(Store("store")) == [f"m{i}" for i in range(6)]
    np.testing.assert_allclose(Store("store")["m1"].values, rattled_density([8, 3, 1], 1).values, rtol=1e-5, atol=1e-5)
    assert main(["data", "split", "store", "-o", "split.json", "--counts", "4", "1", "1"]) == 0
    train = ["train", "--config-dir", str(EXAMPLE / "conf"), "experiment=own", "data.store=store"]
    short = ["data.split=split.json", "train.max_steps=60", "train.val_every=20", "runtime=cpu", "runtime.threads=1"]
    assert main([*train, *short]) == 0
    card = load_card("runs/own")
    assert (card.architecture, card.training["loss"]["name"]) == ("own_model", "huber")
    assert card.training["optim"]["name"] == "adamw"
    with open("runs/own/metrics.csv") as file:
        text = file.read().splitlines()
    column = text[0].split(",").index("val/emae")
    errors = [float(line.split(",")[column]) for line in text[1:] if line.split(",")[column]]
    assert errors[-1] < 0.8 * errors[0]
    assert (
        main(["evaluate", "--model", "runs/own", "--data", "store", "--split", "split.json", "-o", "evaluation"]) == 0
    )
    assert json.loads(Path("evaluation/evaluation.json").read_text())
    assert main(["predict", "runs.xsf/m1.xsf", "-m", "runs/own", "--like", "runs.xsf/m1.xsf", "-o", "m1.npz"]) == 0
    # against the formula of its docstring, summed over images by numpy
    model, _ = load_model("runs/own")
    density, point = read_density("m1.npz"), (3, 5, 2)
    place = density.grid.points().reshape(*density.grid.shape, 3)[point]
    expected, images = 0.0, np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3) @ density.geometry.cell
    for number, position in zip(density.geometry.numbers, density.geometry.positions, strict=True):
        squared = np.square(place - position - images).sum(axis=1)
        squared = squared[squared < 16.0]
        coefficients = model.coefficients.weight[number].detach().double().numpy()
        radial = np.exp(-np.outer(squared, np.logspace(-0.5, 1.5, 8))) * (1 - squared[:, None] / 16.0) ** 2
        expected += float((radial @ coefficients).sum())
    assert density.values[(0, *point)] == pytest.approx(expected, rel=1e-4)
    capsys.readouterr()
    assert main(["models"]) == 0
    assert "own_model" in capsys.readouterr().out.partition("Architectures, to train:")[2]


def test_the_checks_of_charge3net(installed: Path) -> None:
    tests = runpy.run_path(str(EXAMPLE / "tests" / "test_own_model.py"))["TestOwnModel"]()
    names = [name for name in dir(tests) if name.startswith("test_")]
    assert len(names) >= 7
    for name in names:
        getattr(tests, name)()


def test_what_is_not_installed_is_not_imported(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name in settings or in a checkpoint runs code only if an installed package has registered it."""
    with monkeypatch.context() as path:
        path.syspath_prepend(target)
        model = build_model("own_model", {"gaussians": 2})
        save_model(tmp_path / "model", model, ModelCard.of(model))
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_model"]:
        del sys.modules[name]
    with pytest.raises(InputError, match=r"unknown architecture 'own_model'.*install the package"):
        load_model(tmp_path / "model")
    (tmp_path / "evil.py").write_text("raise SystemExit('this was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("evil.Model", "evil:Model"):
        with pytest.raises(InputError, match=f"unknown architecture '{name}'"):
            build_model(name, {})
        with pytest.raises(InputError, match="choose one of l1"):
            build_loss(name)
    assert "evil" not in sys.modules


def register(folder: Path, entries: dict[str, str]) -> None:
    """Metadata of an installed package, as far as entry points need them; group → lines."""
    info = folder / "other-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        "".join(f"[charge3net.{group}]\n{text}\n" for group, text in entries.items())
    )


@pytest.mark.parametrize(
    ("group", "line", "ask", "said"),
    [
        ("models", "m = other:nothing", lambda: build_model("m", {}), "cannot be imported.*nothing"),
        ("models", "m = gone:M", lambda: build_model("m", {}), "cannot be imported: No module named 'gone'"),
        ("models", "m = other:Wrong", lambda: build_model("m", {}), "is not a subclass of .*DensityModel"),
        ("models", "m = other:Misnamed", lambda: build_model("m", {}), "must have the class attribute .* 'm'"),
        ("models", "schnet = other:Wrong", lambda: build_model("m", {}), "a name of charge3net; rename it"),
        ("losses", "h = other:Wrong", lambda: build_loss("h"), "is not a subclass of .*Loss"),
        ("losses", "l1 = other:Wrong", lambda: build_loss("h"), "a name of charge3net; rename it"),
        ("readers", "cube = other:read", lambda: read_density("x.abc"), "a name of charge3net; rename it"),
        ("readers", "abc = other:read", lambda: read_density("x.abc"), "x.abc: no such file"),
        ("readers", "abc = other:read", lambda: read_density("x.abc.gz"), "decompress it first"),
        ("readers", "abc = other:read", lambda: read_density("other.abc"), "must return a Density, not int"),
        ("readers", "abc = other:fail", lambda: read_structure("other.abc"), "other.abc: .*division by zero"),
        ("readers", "abc = other:read", lambda: write_density(rattled_density([8]), "x.abc"), "abc is only read"),
    ],
)
def test_mistakes_of_a_package_are_one_sentence(group, line, ask, said, tmp_path, monkeypatch) -> None:
    (tmp_path / "other.py").write_text(
        "from charge3net.models.schnet import SchNetDensity as Misnamed\n"
        "class Wrong: pass\n"
        "def read(path): return 1\n"
        "def fail(path): return 1 / 0\n"
    )
    (tmp_path / "other.abc").write_text("")
    register(tmp_path, {group: line})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    try:
        with pytest.raises(InputError, match=said):
            ask()
    finally:
        sys.modules.pop("other", None)


def test_files_of_other_formats_are_found_in_folders(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "a.xsf").write_text("")
    (tmp_path / "b.other").write_text("")
    assert find_files([tmp_path]) == {"a": tmp_path / "a.xsf"}


def test_a_checkpoint_of_another_packages_model(installed: Path, tmp_path: Path) -> None:
    """The class is the registered one; its weights come from safetensors."""
    torch.manual_seed(0)
    model = build_model("own_model", {"gaussians": 2})
    save_model(tmp_path / "model", model, ModelCard.of(model))
    again, card = load_model(tmp_path / "model")
    assert card.hyperparameters == {"gaussians": 2, "cutoff": 4.0, "channels": 1}
    torch.testing.assert_close(again.coefficients.weight, model.coefficients.weight, rtol=0, atol=0)
