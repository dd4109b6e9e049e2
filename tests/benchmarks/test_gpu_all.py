"""benchmarks/gpu_all.sh --dry: what a GPU will be asked, in tiny sizes on the CPU."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_section_runs(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = ["sh", str(ROOT / "benchmarks" / "gpu_all.sh"), "--dry", "--out", str(tmp_path / "gpu.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["dry"] is True
    if find_spec("triton") is None:
        assert found["grid"] == {"skipped": "triton is not installed"}
    else:
        [one] = found["grid"].values()
        assert one["errors"]["triton"] < 1e-5
        assert one["points_per_second"]["triton"] > 0
    errors = {name.split()[-1]: one for name, one in found["training"].items()}
    assert errors.keys() == {"float32", "tf32", "bf16"}
    # rounding to 24 and to 8 bits
    assert errors["float32"]["loss_error"] < 1e-6
    assert 1e-6 < errors["bf16"]["loss_error"] < 1e-2
    assert errors["float32"]["gradient_error"] < 1e-3
    assert all(math.isfinite(one["steps_per_second"]) for one in errors.values())
    for operations in found["profile"].values():
        assert len(operations) == 10
        assert operations[0]["ms"] >= operations[-1]["ms"] > 0
