"""The benchmarks of cold starts and large structures run, and their numbers mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.big_systems import exponent, measure, supercell
from benchmarks.cold_start import predict
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


def test_the_exponent_is_that_of_large_structures():
    results = [{"atoms": n, "seconds": {"a": 0.5 * n**1.2, "b": 0.5 * n**1.2}} for n in (700, 7000, 70_000)]
    small = {"atoms": 10, "seconds": {"a": 1e6, "b": 0.0}}
    assert exponent([small, *results]) == pytest.approx(1.2)
    assert np.isnan(exponent([small]))


def test_supercells_have_the_atoms_asked_for():
    unit, cell = structures()["BaVS3"], supercell(80)
    assert len(cell) == 80
    assert cell.volume == pytest.approx(8 * unit.volume)
    assert (np.bincount(cell.numbers) == 8 * np.bincount(unit.numbers)).all()
    assert (np.diff(cell.numbers) != 0).sum() > 20, "in no order"


def test_what_is_measured_of_one_size(model):
    found = measure(model, 10, 1.5)
    assert found["atoms"] == 10
    assert found["points"] == 6 * 6 * 4  # 6.75 and 5.63 Å
    assert found["points_per_second"] == pytest.approx(found["points"] / found["seconds"]["reading"])
    assert found["state_mb"] > 0


def test_the_whole_command_in_a_new_process(model, tmp_path):
    structures()["NaCl"].to_structure().to(str(tmp_path / "POSCAR"), fmt="poscar")
    arguments = [str(tmp_path / "POSCAR"), "--model", str(model), "-o", str(tmp_path / "CHGCAR")]
    run = predict([*arguments, "--shape", "4", "4", "4"])
    assert (tmp_path / "CHGCAR").exists()
    assert {"imports", "model", "atoms", "reading", "writing"} <= set(run["parts"])
    assert 0 < sum(run["parts"].values()) <= run["wall"] + 0.2
    assert run["memory_mb"] > 50
