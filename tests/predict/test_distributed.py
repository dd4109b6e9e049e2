"""Two processes (gloo) predict what one predicts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.io import write

from charge3net import Predictor, read_density
from charge3net.checkpoints import ModelCard, save_model
from charge3net.cli.main import main
from charge3net.predict.distributed import ALONE, started_processes
from tests.helpers import crystals
from tests.helpers.crystals import triclinic
from tests.helpers.distributed_worker import model_of
from tests.helpers.gaussians import GaussianAtoms, superposition
from tests.helpers.networks import SMALL, small_model

ROOT = Path(__file__).parents[2]


def environment(**extra: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RANK", "WORLD", "LOCAL", "MASTER"))}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **extra}


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """``charge3net predict`` in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "charge3net.cli.main", "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """What two processes of tests.helpers.distributed_worker.py leave."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, "-m", "tests.helpers.distributed_worker", str(folder)]
    started = [
        subprocess.Popen(
            command, env=environment(RANK=rank, LOCAL_RANK=rank, **common), cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    ]
    said = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "model"
    network = small_model("charge3net")
    save_model(folder, network, ModelCard.of(network))
    return folder


@pytest.mark.parametrize("symmetry", [True, False])
@pytest.mark.parametrize("architecture", SMALL)
def test_grids_read_together(results, architecture, symmetry):
    together = np.load(results / "found.npz")[f"{architecture}-{symmetry}"]
    alone = Predictor(model_of(architecture)).predict(crystals.rutile(), shape=(6, 6, 4), symmetry=symmetry)
    tolerance = 1e-6 if architecture == "charge3net" else 1e-13
    np.testing.assert_allclose(together, alone.values, rtol=0, atol=tolerance * np.abs(alone.values).max())


def test_two_channels_read_together_are_what_is_known(results):
    together = np.load(results / "found.npz")["spin"]
    density = Predictor(GaussianAtoms(2, dtype=torch.float64)).predict(triclinic(), shape=(5, 6, 7))
    expected = superposition(density.geometry, density.grid.points())
    np.testing.assert_allclose(together[0].ravel(), expected, rtol=0, atol=1e-12 * expected.max())
    np.testing.assert_allclose(together[1], 0.1 * together[0])


def test_every_turn_is_taken_once(results):
    taken = [int(word) for rank in (0, 1) for word in (results / f"turns-{rank}").read_text().split()]
    assert sorted(taken) == list(range(7))


def test_one_structure_by_torchrun(tmp_path, model):
    write(tmp_path / "POSCAR", crystals.quartz(), format="vasp", sort=True)
    options = ["--model", model, "--shape", 9, 9, 6, "--no-symmetry"]
    done = torchrun(tmp_path / "POSCAR", *options, "-o", tmp_path / "CHGCAR.two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("voxels") == 1, done.stdout
    assert main(["predict", str(tmp_path / "POSCAR"), *map(str, options), "-o", str(tmp_path / "CHGCAR.one")]) == 0
    one, two = (read_density(tmp_path / f"CHGCAR.{name}").values for name in ("one", "two"))
    assert np.ptp(one) > 0
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-6 * np.abs(one).max())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CHGCAR.one", "CHGCAR.two", "POSCAR"]


def test_many_structures_by_torchrun_with_one_that_fails(tmp_path, model):
    made = {"a": crystals.rutile, "b": crystals.silicon, "c": crystals.sodium_chloride}
    for name, make in made.items():
        write(tmp_path / f"{name}.cif", make(), format="cif")
    (tmp_path / "broken.cif").write_text("not a crystal")
    files = [tmp_path / f"{name}.cif" for name in (*made, "broken")]
    done = torchrun(*files, "--model", model, "--shape", 6, 6, 6, "-o", f"{tmp_path}/out/", "--format", "npz")
    assert done.returncode == 1
    assert done.stdout.count(".npz: ") == 3
    assert "3 written, 1 failed:" in done.stderr
    assert done.stderr.count("broken.cif: cannot be read as CIF") == 2, "when it fails and in the summary"
    for name, make in made.items():
        alone = Predictor.from_checkpoint(model).predict(make(), shape=(6, 6, 6))
        values = read_density(tmp_path / "out" / f"{name}.npz").values
        np.testing.assert_allclose(values, alone.values, rtol=0, atol=1e-6 * np.abs(alone.values).max())


def test_a_mistake_is_told_once(tmp_path, model):
    done = torchrun(tmp_path / "POSCAR", "--model", model, "-o", tmp_path / "CHGCAR")
    assert done.returncode != 0
    assert done.stderr.count("charge3net predict: error:") == 1
    assert list(tmp_path.iterdir()) == []


def test_one_process_needs_no_others(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with started_processes() as processes:
        assert processes is ALONE
    assert ALONE.share(lambda: 3) == 3
    assert list(ALONE.turns(3)) == [0, 1, 2]
    with pytest.raises(KeyError), ALONE.together():
        raise KeyError
