"""What a prediction does not load, and that leaving it out changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

COMPILER_STAYS_OUT = """
import sys, torch
from charge3net.models.charge3net import ChargE3Net
from charge3net.nn.e3nn import o3
assert {"torch._dynamo", "lightning", "hydra", "pymatgen.core"}.isdisjoint(sys.modules), "loaded"

@torch.compile(backend="eager", fullgraph=False)
def change(x):
    return x * o3._wigner.change_basis_real_to_complex(2, dtype=torch.float64).abs().sum()

one = torch.ones(1, dtype=torch.float64)
expected = 1 + 4 * 2 * 0.5**0.5  # m = 0, and two entries of 1/sqrt(2) for each of the others
assert abs(change(one).item() - expected) < 1e-12, change(one)
assert "torch._dynamo" in sys.modules
calls = []
torch.compile(lambda x: x + 1, backend=lambda graph, inputs: calls.append(1) or graph.forward)(one)
assert calls == [1], "torch.compile does not compile any more"
assert torch.compiler.disable.__module__ == "torch.compiler"
"""


def test_models_load_no_compiler_and_compiling_still_works():
    done = subprocess.run([sys.executable, "-c", COMPILER_STAYS_OUT], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
