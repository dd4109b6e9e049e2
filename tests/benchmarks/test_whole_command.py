"""The benchmark of the whole command runs, for small and large structures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.cold_start import predict, predict_large, supercell
from benchmarks.structures import structures
from charge3net.checkpoints import ModelCard, save_model
from charge3net.models.charge3net import ChargE3Net


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = ChargE3Net(lmax=1, mul=16, hidden=8, num_basis=4)
    folder = tmp_path_factory.mktemp("model") / "model"
    save_model(folder, network, ModelCard.of(network))
    return folder


def test_supercells_have_the_atoms_asked_for():
    unit = structures()["BaVS3"]
    cell = supercell(unit, 2)
    assert len(cell) == 80
    assert cell.volume == pytest.approx(8 * unit.volume)
    assert (np.bincount(cell.numbers) == 8 * np.bincount(unit.numbers)).all()
    assert (np.diff(cell.numbers) != 0).sum() > 20, "in no order"


def test_the_whole_command_in_a_new_process(model, tmp_path):
    structures()["NaCl"].to_structure().to(str(tmp_path / "POSCAR"), fmt="poscar")
    arguments = [str(tmp_path / "POSCAR"), "--model", str(model), "-o", str(tmp_path / "CHGCAR")]
    run = predict([*arguments, "--shape", "4", "4", "4"])
    assert (tmp_path / "CHGCAR").exists()
    assert {"imports", "model", "atoms", "reading", "writing"} <= set(run["parts"])
    assert 0 < sum(run["parts"].values()) <= run["wall"] + 0.2
    assert run["memory_mb"] > 50


def test_a_supercell_by_the_whole_command(model, tmp_path):
    run = predict_large(model, tmp_path, repeats=1, spacing="1.5")
    assert (run["atoms"], run["points"]) == (10, 6 * 6 * 4)  # 6.75 and 5.63 Å
    assert run["wall"] > 0.1
    assert run["megabytes"] > 0
