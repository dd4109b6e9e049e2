"""The benchmarks of reading run: their smoke sizes, results as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(script: str, out: Path, *arguments: str) -> dict:
    """The result file of a benchmark."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out.parent, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_store_reads(tmp_path: Path) -> None:
    result = run("store_reads.py", tmp_path / "reads.json", "--smoke", "--folder", str(tmp_path))
    ways = {row["way"] for row in result["rows"]}
    assert {"store", "shuffled store", "npy per material"} <= ways
    assert len(ways) + len(result["skipped"]) == 8 + 1
    assert all(row["cold_ms"] > 0 and row["warm_ms"] > 0 for row in result["rows"])
    assert [path.name for path in tmp_path.iterdir()] == ["reads.json"]


def test_loader(tmp_path: Path) -> None:
    from charge3net.data.store import StoreWriter
    from tests.data.random_densities import make_density

    with StoreWriter(tmp_path / "store") as writer:
        for seed in range(3):
            writer.add(f"m{seed}", make_density(seed))
    given = ("--data", str(tmp_path / "store"), "--batch-size", "2", "--probes", "10", "--smoke", "--workers", "0")
    rows = run("loader.py", tmp_path / "loader.json", *given)["rows"]
    assert [row["workers"] for row in rows] == [0, 0]
    assert rows[1]["search"] == "pymatgen"
    assert rows[0]["probe_edges_per_batch"] == rows[1]["probe_edges_per_batch"]
