"""The GPU kernels as machine code for sm_80 and sm_90, compiled without a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile_and_stay_in_registers(capability):
    """In a process of its own: this one may hold Triton's interpreter."""
    command = [sys.executable, "-m", "tests.predict.backends.gpu_compilation", str(capability)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    kernels = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(kernels) == 7
    for one in kernels:
        assert one["reg"] <= 128, one
        assert one["local"] == 0, one  # no register is spilled
        assert one["stack"] <= 16, one  # but for the call of a division
        assert one["shared"] <= 16384, one
        assert one["atomics"] == 0, one
        if "WRITE" in one:
            assert one["fused_doubles"] == 0, one  # pairs at the cutoff are decided by numpy's rounding
        else:
            assert one["wide_loads"] >= 4 + 2 * one["ORDER"] + 1, one  # table rows and components, 16 bytes each
