"""examples/slurm/train.sh as Slurm would run it, on two nodes of one process each, which srun pretends to have."""

from __future__ import annotations

import csv
import os
import random
import re
import subprocess
from pathlib import Path

import pytest
import torch

from charge3net.cli.main import main
from tests.helpers.fake_slurm import install_fake_slurm

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "slurm" / "train.sh"


def test_two_nodes_train_what_one_process_trains(
    densities: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    install_fake_slurm(tmp_path, monkeypatch)
    settings = ["experiment=small", "model=small/schnet", "model.features=8", "runtime=cpu", "runtime.threads=1"]
    settings += ["train.max_steps=3", "train.val_every=3", "train.log_every=1", "data.probes=10", "data.batch_size=2"]
    settings += [f"data.store={densities[0]}", f"data.split={densities[1]}", "runtime.precision=float64"]
    assert main(["train", *settings, "output=runs/one"]) == 0
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", SCRIPT.read_text(), re.MULTILINE))
    assert int(asked["ntasks-per-node"]) == int(asked["gpus-per-node"])
    slurm = {"NNODES": 2, "JOB_NUM_NODES": 2, "NTASKS": 2, "NTASKS_PER_NODE": 1, "JOB_NODELIST": "localhost"}
    slurm |= {"NODELIST": "localhost", "JOB_ID": random.randint(1000, 9999), "JOB_NAME": asked["job-name"]}
    environment = os.environ | {f"SLURM_{name}": str(value) for name, value in slurm.items()}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = ["bash", str(SCRIPT), *settings, "output=runs/two"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert "training on cpu, 2 processes" in done.stderr
    one, two = (torch.load(tmp_path / "runs" / name / "resume.ckpt", weights_only=True) for name in ("one", "two"))
    for name, weights in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], weights, rtol=0, atol=1e-12)
    logs = [list(csv.DictReader((tmp_path / "runs" / name / "metrics.csv").open())) for name in ("one", "two")]
    for a, b in zip(*logs, strict=True):
        assert float(a["train/loss"] or 0) == pytest.approx(float(b["train/loss"] or 0), rel=1e-6)
