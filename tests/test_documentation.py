"""Every command and every Python block of README, docs/ and the help texts, run on small data in a few steps."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
import pytest
import torch

from charge3net import Density, Geometry, Grid
from charge3net.cli.main import main
from charge3net.data.splits import Split
from charge3net.data.store import Store
from charge3net.data.writer import StoreWriter
from charge3net.pretrained.catalogue import PUBLISHED
from data_prep.bundles import unpack
from data_prep.bundles.bundle import BINARY, INDEX, VALUES, read_index
from tests.helpers.documentation import (
    COMMAND,
    ROOT,
    Block,
    blocks,
    help_blocks,
    is_run,
    run_command,
    small_training,
    working_folder,
)
from tests.helpers.gaussians import gaussian_density
from tests.helpers.golden import golden_state
from tests.helpers.studies import rattled_density, untrained_run

#: Documents that have a test of their own, and that test.
ELSEWHERE = {"add_a_study.md": "tests/studies/test_add_a_study.py"}

PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").glob("*.md")) if p.name not in ELSEWHERE)]

#: Set → where the documentation unpacks it.
SETS = {
    "benchmark_set": ("bench", ".cache/bench"),
    "new_compositions_set": ("new_compositions",),
    "benchmark_set_v2": (".cache/v2",),
    "distorted_set": (".cache/distorted",),
    "demo_set": (".cache/demo_set",),
    "nmc_set": (".cache/nmc",),
    "magnetic_set": ("magnetic", ".cache/magnetic"),
}

GOLDEN = ROOT / "tests" / "io"

CONTENTS = ([3, 3, 1, 1], [8, 1], [3, 8], [3, 8, 8], [25, 8], [25, 8, 8], [25, 3], [25, 8, 3], [3, 1, 8], [25, 1])


def small_bundles(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The two smallest entries of each kind and part of each set, and of the demo set those that they refer to."""
    few = {name: _few_entries(name) for name in names if name != "demo_set"}
    elsewhere = {record["key"] for records in few.values() for record in records if "from" in record}
    demo = _write_small(folder, "demo_set", _few_entries("demo_set", elsewhere))
    refers = {"demo_set_sha256": read_index(demo)[0]["sha256"]}
    return {name: _write_small(folder, name, records, refers) for name, records in few.items()} | {"demo_set": demo}


def _few_entries(name: str, others: Collection[str] = ()) -> list[dict[str, Any]]:
    records = read_index(unpack.BUNDLES[name])[1]
    groups: dict[tuple, list[dict]] = {}
    for record in sorted(records, key=lambda one: np.prod(one.get("shape", 1))):
        groups.setdefault((record.get("kind"), record["part"], "from" in record), []).append(record)
    chosen = [record for group in groups.values() for record in group[:2]]
    return chosen + [record for record in records if record["key"] in others and record not in chosen]


def _write_small(
    folder: Path, name: str, records: list[dict[str, Any]], refers: Mapping[str, str] | None = None
) -> Path:
    """The bundle of these records alone; what it refers to is replaced where it refers to it."""
    whole, binary = (unpack.BUNDLES[name] / BINARY).read_bytes(), b""
    for record in records:
        for where in filter(None, map(record.get, VALUES)):
            blob = whole[where["offset"] : where["offset"] + where["bytes"]]
            where["offset"] = len(binary)
            binary += blob
    header = read_index(unpack.BUNDLES[name])[0]
    header |= {"sha256": hashlib.sha256(binary).hexdigest()}
    header |= {key: value for key, value in (refers or {}).items() if key in header}
    (folder / name).mkdir()
    (folder / name / BINARY).write_bytes(binary)
    (folder / name / INDEX).write_text("".join(json.dumps(line) + "\n" for line in [header, *records]))
    return folder / name


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_bundles(tmp_path_factory.mktemp("bundles"), [name for name in SETS if name in unpack.BUNDLES])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Path:
    """A folder with everything that the documentation supposes to be there."""
    folder = tmp_path_factory.mktemp("world")
    densities = {f"mp-{149 + i}": rattled_density(numbers, i) for i, numbers in enumerate(CONTENTS)}
    _write_store(folder, densities)
    _write_models(folder)
    _write_files(folder, densities["mp-149"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpack, "BUNDLES", bundles)
        for name, places in SETS.items():
            unpack.main([name, "-o", str(folder / places[0])])
            for other in places[1:]:
                shutil.copytree(folder / places[0], folder / other)
    return folder


def _write_models(folder: Path) -> None:
    """Runs with random weights, published weights, the cache of fetched models, an evaluation, a result of a study."""
    for name in ("mine", "l0", "l2", "demo"):
        untrained_run(folder / "runs" / name, folder / "split.json", 0, lmax=2 if name == "l2" else 0)
    for seed in range(3):
        untrained_run(folder / "runs" / f"seed{seed}", folder / "split.json", seed)
    torch.save(golden_state("e3_l2"), folder / "charge3net_mp.pt")
    shutil.copy(folder / "charge3net_mp.pt", folder / "model.pt")
    home = folder / "cache" / "published" / "charge3net-mp"
    home.mkdir(parents=True)
    for name in PUBLISHED["charge3net-mp"].addresses:
        shutil.copy(folder / "charge3net_mp.pt", home / name)
    arguments = ["--data", str(folder / "store"), "--split", str(folder / "split.json"), "--no-figures"]
    models = [*(str(folder / "runs" / name) for name in ("l0", "l2", "seed1", "seed2")), "delta-gpaw-pbe"]
    assert main(["evaluate", "--model", *models, *arguments, "-o", str(folder / "evaluation")]) == 0
    shutil.copytree(ROOT / "docs" / "results" / "scaling", folder / "results" / "scaling")


def _write_store(folder: Path, densities: dict[str, Density]) -> None:
    with StoreWriter(folder / "store") as writer:
        for key, density in densities.items():
            writer.add(key, density, baseline=1.25 * density.total)
            (folder / "calculations" / key).mkdir(parents=True)
            density.write(folder / "calculations" / key / "CHGCAR")
    keys = list(densities)
    Split(tuple(keys[:6]), tuple(keys[6:8]), tuple(keys[8:])).save(folder / "split.json")
    published = {"train": [0, 1, 2, 3], "validation": [4, 5], "test": [6, 7, 8, 9]}
    (folder / "datasplits.json").write_text(json.dumps(published))
    (folder / "filelist.txt").write_text("".join(f"{key}.CHGCAR\n" for key in keys))


def _write_files(folder: Path, density: Density) -> None:
    """Structures and densities by the names that the documentation gives them."""
    atoms = ase.Atoms(
        density.geometry.numbers, density.geometry.positions, cell=density.geometry.cell, pbc=density.geometry.pbc
    )
    ase.io.write(folder / "POSCAR", atoms, format="vasp")
    for name in ("a.cif", "b.cif"):
        ase.io.write(folder / name, atoms)
    for name in ("path.xyz", "relax.extxyz"):
        ase.io.write(folder / name, [atoms, atoms], format="extxyz")
    shutil.copy(GOLDEN / "golden_qe" / "si" / "x.in", folder / "si.in")
    shutil.copytree(GOLDEN / "golden_qe" / "si" / "x.save", folder / "pseudo")
    shutil.copy(GOLDEN / "golden_abinit" / "si_DEN", folder / "sio_DEN")
    (folder / "old").mkdir()
    for name in ("CHGCAR", "CHGCAR.gz", "AECCAR0", "AECCAR2", "predicted.cube", "old/CHGCAR"):
        density.write(folder / name)
    replace(density, values=np.stack([density.total, 0.25 * density.total])).write(folder / "CHGCAR_spin")
    water = ase.build.molecule("H2O", vacuum=2.5, pbc=True)
    gaussian_density(Geometry.of(water), Grid.from_spacing(water.cell.array, 0.25), 0.4, charges=[6.0, 1.0, 1.0]).write(
        folder / "water.cube"
    )


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundles: dict[str, Path]) -> Path:
    working_folder(world, tmp_path / "here")
    monkeypatch.setenv("CHARGE3NET_CACHE", str(tmp_path / "here" / "cache"))
    monkeypatch.setattr("charge3net.cli.start.REFUSED", np.inf)  # the models of this test are not trained
    monkeypatch.setattr("charge3net.evaluation.calibrate.LEAST", 2)  # the split of this test validates with two
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(unpack, "BUNDLES", bundles)
    return tmp_path / "here"


def run_block(block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if block.language == "python":
        store = Store("store")
        names = {"structure": store["mp-149"].geometry, "points": np.zeros((2, 3)), "__name__": "documentation"}
        exec(compile(block.text, block.place, "exec"), names)
        return
    for command in block.commands:
        with monkeypatch.context() as patch:
            status = run_command(command, patch)
        said = capsys.readouterr()
        assert status == 0, f"{block.place}: {command}\n{said.err[-2000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_python_of_a_page(page, here, monkeypatch, capsys):
    """In the order of the page, in one folder."""
    for block in blocks(page):
        if not block.reason and is_run(block):
            run_block(block, monkeypatch, capsys)


@pytest.mark.parametrize("block", help_blocks(), ids=lambda block: Path(block.place.split()[0]).stem)
def test_commands_of_a_help_text(block, here, monkeypatch, capsys):
    run_block(block, monkeypatch, capsys)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_not(page):
    """A block without a comment is run whole, or is marked as ``text`` and holds no command."""
    for block in blocks(page):
        if block.reason:
            assert len(block.reason) > 10, block.place
        elif not is_run(block):
            assert block.language == "text", f"{block.place}: neither run nor marked as ```text"
            assert not any(COMMAND.match(f"{line} ") for line in block.commands), block.place
        elif block.language != "python":
            for line in block.commands:
                assert is_run(Block("", "", line)), f"{block.place}: {line} is not run; give it a block of its own"
                assert "…" not in line, f"{block.place}: {line} cannot be typed"


def test_documents_with_a_test_of_their_own_have_it():
    for page, test in ELSEWHERE.items():
        assert (ROOT / "docs" / page).is_file()
        assert page in (ROOT / test).read_text()


def test_a_command_that_fails_is_noticed(here, monkeypatch, capsys):
    block = Block("here", "", "charge3net predict POSCAR --model runs/nobody -o CHGCAR.new\n")
    with pytest.raises(AssertionError, match="runs/nobody"):
        run_block(block, monkeypatch, capsys)


def test_blocks_and_commands_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.helpers.documentation.ROOT", tmp_path)
    parts = [
        "text\n\n<!-- not run: needs a queue -->\n```\nsbatch job.sh\n```\n",
        "```\ncharge3net predict A \\\n    -o B   # why\nCHARGE3NET_KERNELS=torch charge3net doctor\n```",
        "```python\nx = 1\n```\n",
    ]
    (tmp_path / "page.md").write_text("\n".join(parts))
    first, second, third = blocks(tmp_path / "page.md")
    assert (first.reason, first.commands, is_run(first)) == ("needs a queue", ["sbatch job.sh"], False)
    assert second.commands == ["charge3net predict A -o B", "CHARGE3NET_KERNELS=torch charge3net doctor"]
    assert (second.place, is_run(second)) == ("page.md:9", True)
    assert (third.language, third.text, is_run(third)) == ("python", "x = 1\n", True)


def test_small_trainings_keep_what_is_varied():
    arguments = small_training(["--multirun", "experiment=small", "model.lmax=0,1", "data.batch_size=1,2"])
    assert arguments[:4] == ["--multirun", "experiment=small", "model.lmax=0,1", "data.batch_size=1,2"]
    assert "data.batch_size=1" not in arguments
    assert "train.max_steps=2" in arguments
    assert "++model.features=4" in small_training(["model=small/painn"])
