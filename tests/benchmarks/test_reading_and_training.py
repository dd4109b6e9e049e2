"""The benchmarks of reading and of training run: their smoke sizes, results as JSON, the page of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import training_run, training_step
from benchmarks.table import page

ROOT = Path(__file__).parents[2]


def run(name: str, out: Path, *arguments: str) -> dict:
    """The result file of a benchmark."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_store_reads(tmp_path: Path) -> None:
    result = run("store_reads", tmp_path / "reads.json", "--smoke", "--folder", str(tmp_path))
    ways = {row["way"] for row in result["rows"]}
    assert {"store", "shuffled store", "npy per material"} <= ways
    assert len(ways) + len(result["skipped"]) == 8 + 1
    assert all(row["cold_ms"] > 0 and row["warm_ms"] > 0 for row in result["rows"])
    assert [path.name for path in tmp_path.iterdir()] == ["reads.json"]


def test_loader(tmp_path: Path) -> None:
    from charge3net.data.store import StoreWriter
    from tests.helpers.random_densities import make_density

    with StoreWriter(tmp_path / "store") as writer:
        for seed in range(3):
            writer.add(f"m{seed}", make_density(seed))
    given = ("--data", str(tmp_path / "store"), "--batch-size", "2", "--probes", "10", "--smoke", "--workers", "0")
    rows = run("loader", tmp_path / "loader.json", *given)["rows"]
    assert [row["workers"] for row in rows] == [0, 0]
    assert rows[1]["search"] == "pymatgen"
    assert rows[0]["probe_edges_per_batch"] == rows[1]["probe_edges_per_batch"]


def run_here(module: ModuleType, out: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict:
    """The same without a new process."""
    monkeypatch.setattr(sys, "argv", [module.__name__, *arguments, "--out", str(out)])
    module.main()
    return json.loads(out.read_text())


def test_training_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "training_step.json"
    result = run_here(training_step, out, monkeypatch, "--smoke", "--published")
    small, large = result["batches"].values()
    assert set(small["times"]) == {"compiled", "torch", "published"}
    assert (small["against"], large["against"]) == ("published, float64", "torch, float64")
    for one in (small, large):
        assert one["accuracy"]["tensors"] == 48
        for way in ("compiled", "torch"):
            assert 0 < one["accuracy"][f"{way} loss"] <= 1e-6
            assert 0 < one["accuracy"][f"{way} gradient"] <= 2e-5
    assert "| 4 × 5 | published |" in page(tmp_path)


def test_training_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = run_here(training_run, tmp_path / "training_run.json", monkeypatch, "--smoke")["sets"]["demo"]
    assert row["steps_per_second"] > 0
    assert sum(row["parts"].values()) == pytest.approx(row["processor_seconds"])
    assert all(row["parts"][part] > 0 for part in ("loader", "forward", "backward", "optimiser"))
    assert "| demo | 1 | 0 |" in page(tmp_path)


def test_every_result_is_on_the_page() -> None:
    results = ROOT / "benchmarks" / "results"
    text = page()
    for path in results.glob("*.json"):
        assert f"{path.name}: commit" in text
    assert (results / "README.md").read_text() == text, "python -m benchmarks.table"


def test_reading_a_grid_beside_the_published_networks() -> None:
    command = [sys.executable, "-m", "benchmarks.read_grid", "--smoke"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"L1", "PaiNN"}
    errors = [float(line.split("error")[1].split()[0]) for line in lines]
    assert max(errors) <= 5e-6


def test_a_second_thread() -> None:
    command = [sys.executable, "-m", "benchmarks.read_grid", "--clock-only", "--cases", "L1", "--smoke"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert ["L1", "BaVS3"] in [line.split()[:2] for line in done.stdout.splitlines()]
