"""The study of density matrices: averages in closed form, and the whole on six crystals with a stand-in for GPAW."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charge3net.checkpoints import ModelCard, save_model
from charge3net.data.splits import Split
from charge3net.data.store import StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.models.charge3net import ChargE3Net
from charge3net.paw.files import DensityMatrices, packed_neutral, write_density_matrices
from charge3net.paw.setups import Setup
from charge3net.studies import occupations
from charge3net.studies.occupations.config import Config
from charge3net.studies.occupations.measure import ORDERS
from charge3net.studies.occupations.summary import sum_up

HYDROGEN = Setup("H.PBE.gz", 1, (1, -1, -1), (0, 0, 1), (1.0, 0.0, 0.0))
#: Stands in for starts.py: says how far densities and matrices of the starts are apart from the first one's.
GPAW = """
import json, sys
import numpy as np
with np.load(sys.argv[1]) as job:
    assert json.loads(str(job["settings"])) == {"encut": 300.0, "smearing": 0.1, "kpts_density": 2.0}
    names = [name.removeprefix("density_") for name in job if name.startswith("density_")]
    exact = job["density_true-true"], job["matrices_true-true"]
    pairs = {n: (job["density_" + n], job["matrices_" + n]) for n in names}
size = {n: float(abs(rho - exact[0]).sum() + abs(d - exact[1]).sum()) for n, (rho, d) in pairs.items()}
starts = {n: {"energy": -3.0 + s, "iterations": 2 + (s > 0), "fixed": 5, "final": -3.0} for n, s in size.items()}
json.dump({"energy": -3.0, "starts": starts}, open(sys.argv[2], "w"))
"""


def row(neutral: float, mean: float, predicted: float, order: int) -> dict[str, list[list[float]]]:
    """One atom whose squared error is in one order."""
    place = ORDERS.index(order)
    return {
        name: [[value if i == place else 0.0 for i in range(len(ORDERS))]]
        for name, value in (("neutral", neutral), ("mean", mean), ("predicted", predicted))
    }


def test_averages():
    structures = [
        {"key": "a", "formula": "X", "numbers": [1], "errors": row(9.0, 4.0, 1.0, 0)},
        {"key": "b", "formula": "Y", "numbers": [3], "errors": row(16.0, 4.0, 9.0, 2)},
    ]
    starts = {"true-true": {"energy": -2.0, "iterations": 2}, "atoms": {"energy": -1.9, "iterations": 10}}
    found = sum_up(structures, [{"atoms": 4, "energy": -2.0, "starts": starts}])
    assert found["errors"]["all"] == {"neutral": pytest.approx(12.5**0.5, rel=1e-4), "mean": 2.0,
                                      "predicted": pytest.approx(5**0.5, rel=1e-4)}  # fmt: skip
    assert found["errors"]["orders"]["0"]["neutral"] == pytest.approx(4.5**0.5, rel=1e-4)
    assert found["errors"]["elements"]["3"] == {"atoms": 1, "neutral": 4.0, "mean": 2.0, "predicted": 3.0}
    assert found["errors"]["better_than_mean"] == 1
    assert found["starts"]["atoms"]["energy"]["mean"] == pytest.approx(25.0)
    assert found["starts"]["true-true"]["iterations"]["mean"] == 2


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Crystals of hydrogen whose charge follows from the distance, and a small density model."""
    torch.manual_seed(0)
    model = ChargE3Net(lmax=1, mul=6, num_interactions=1, num_basis=4, hidden=8)
    save_model(tmp_path / "model", model, ModelCard.of(model))
    numbers, packed = {}, {}
    with StoreWriter(tmp_path / "store") as writer:
        for i in range(6):
            apart = 0.7 + 0.1 * i
            geometry = Geometry(
                np.array([1, 1]), np.array([[0.1, 0, 0], [0.1, 0, apart]]), 3 * np.eye(3), np.ones(3, bool)
            )
            values = np.full((1, 6, 6, 6), 2 / 27, dtype=np.float32)
            meta = {"kpts_density": 2.0}
            writer.add(f"h{i}", Density(geometry, Grid(geometry.cell, (6, 6, 6)), values), electrons=2.0, meta=meta)
            numbers[f"h{i}"] = geometry.numbers
            packed[f"h{i}"] = packed_neutral([HYDROGEN, HYDROGEN]).astype(np.float32)
            packed[f"h{i}"][[0, 15]] += apart
        lithium = replace(geometry, numbers=np.array([3, 3]))
        writer.add("li", Density(lithium, Grid(lithium.cell, (6, 6, 6)), values), electrons=2.0, meta=meta)
        numbers["li"], packed["li"] = lithium.numbers, packed["h0"]
    setups = {1: HYDROGEN, 3: replace(HYDROGEN, name="Li.PBE.gz", number=3)}  # no training crystal has lithium
    write_density_matrices(tmp_path / "d.npz", DensityMatrices(setups, numbers, packed))
    Split(("h0", "h2", "h3", "h5"), ("h1",), ("h4", "li")).save(tmp_path / "split.json")
    (tmp_path / "gpaw.py").write_text(GPAW)
    paths = {
        name: str(tmp_path / file)
        for name, file in (("store", "store"), ("split", "split.json"), ("matrices", "d.npz"))
    }
    gpaw = [sys.executable, str(tmp_path / "gpaw.py")]
    sizes = {"mul": 8, "lmax": 1, "steps": 150, "batch": 4, "lr": 0.02, "seed": 0, "structures": 3}
    return Config(**paths, **sizes, model=str(tmp_path / "model"), gpaw=gpaw, encut=300.0, smearing=0.1)


def test_the_whole_study(config: Config, tmp_path: Path):
    work = tmp_path / "work"
    result = occupations.run(config, work)
    errors = result["summary"]["errors"]["all"]
    assert errors["neutral"] == pytest.approx(1.1, rel=1e-3)
    assert errors["mean"] == pytest.approx(1.1 - 0.95, rel=1e-3)
    assert errors["predicted"] < errors["mean"]
    assert result["turned"] < 1e-2
    assert result["data"]["left_out"] == {"train": 0, "validation": 0, "test": 1}
    starts: dict[str, Any] = result["summary"]["starts"]
    assert len(starts) == 8
    assert starts["true-true"]["energy"]["mean"] == 0
    assert starts["true-neutral"]["energy"]["mean"] == pytest.approx(1000 * 2.2 / 2, rel=1e-3)
    assert starts["true-predicted"]["energy"]["mean"] < starts["true-mean"]["energy"]["mean"]
    again = occupations.run(replace(config, gpaw=["nothing"]), work)  # everything is stored
    assert again == result
    text = occupations.section(result, {"orders": "figure.svg"})
    assert "| H | 2 | 1.1 |" in text
    assert "| true | neutral | 1100.00 | 3.0 |" in text
    assert set(occupations.figures(result)) == {"orders"}
    alone = result | {"calculations": [], "summary": result["summary"] | {"starts": {}}}
    assert "No calculation was started" in occupations.section(alone, {"orders": "figure.svg"})


def test_a_calculation_that_does_not_converge_is_left_out_and_said(config: Config, tmp_path: Path):
    Split(("h0", "h2", "h3"), ("h1",), ("h4", "h5")).save(tmp_path / "split.json")
    once = "import pathlib, sys\nmark = pathlib.Path(sys.argv[0] + '.once')\n"
    once += "if not mark.exists():\n    mark.touch()\n    sys.exit('gpaw.KohnShamConvergenceError')\n"
    (tmp_path / "gpaw.py").write_text(once + GPAW)
    result = occupations.run(replace(config, steps=1), tmp_path / "work")
    assert result["not_converged"] == ["h4"]
    assert [one["key"] for one in result["calculations"]] == ["h5"]
    assert "did not converge from one of the starts: h4." in occupations.section(result, {"orders": "figure.svg"})


def test_wrong_settings_are_refused(config: Config, tmp_path: Path):
    with pytest.raises(InputError, match="nothing cannot be started"):
        occupations.run(replace(config, gpaw=["nothing"], steps=1), tmp_path / "work")
    (tmp_path / "fails.py").write_text("raise SystemExit('no licence')")
    with pytest.raises(InputError, match=r"h4: .* failed: no licence"):
        occupations.run(replace(config, gpaw=[sys.executable, str(tmp_path / "fails.py")], steps=1), tmp_path / "work")
    Split(("h0",), ("h1",), ("h9",)).save(tmp_path / "split.json")
    with pytest.raises(InputError, match="test part has no entry"):
        occupations.run(replace(config, steps=1), tmp_path / "work")
