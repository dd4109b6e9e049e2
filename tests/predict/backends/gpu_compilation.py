"""Compiles the GPU kernels for processors that need not be there, and says what they need.

    python -m tests.predict.backends.gpu_compilation [80 90 …]

A line of JSON per kernel: registers, bytes of stack, local and shared memory, and what is in its PTX.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from charge3net.models.charge3net import ChargE3Net
from charge3net.predict.backends import gpu_kernels
from charge3net.predict.backends.gpu_evaluate import SEARCH_OPTIONS, TILE, sum_options
from charge3net.predict.backends.gpu_weights import pack

#: Types of the arguments by name; the others are 32-bit integers.
_DOUBLES = ("points", "positions", "frame")
_FLOATS = ("edges", "table", "sent", "sums")
_INTEGERS = ("wraps", "members", "bounds", "bins", "counts", "firsts", "senders", "columns")


def jobs(lmax: int = 4, mul: int = 500) -> Iterator[tuple[str, Any, dict[str, Any], dict[str, Any]]]:
    """(name, kernel, constants, options) of all that a network of this size launches."""
    for write in (False, True):
        yield f"find_edges {write=}", gpu_kernels.find_edges, {"WRITE": write, "BP": TILE}, SEARCH_OPTIONS
    weights = pack(ChargE3Net(lmax, mul), torch.device("cpu"))
    assert weights is not None
    for order in weights.orders:
        constants = {"ORDER": order.l, "BP": TILE, "BC": order.width}
        yield f"sum_messages l={order.l}", gpu_kernels.sum_messages, constants, sum_options(order.width)


def compiled(kernel: Any, constants: dict[str, Any], options: dict[str, Any], capability: int) -> Any:
    """As at run time: pointers are multiples of 16, integers may be anything."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {name: _type(name) if name not in constants else "constexpr" for name in kernel.arg_names}
    places = {name: (i,) for i, name in enumerate(kernel.arg_names)}
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={places[name]: value for name, value in constants.items()},
        attrs={places[name]: [["tt.divisibility", 16]] for name, kind in signature.items() if kind[0] == "*"},
    )
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=dict(options))


def _type(name: str) -> str:
    if name == "doubts":
        return "*i8"
    kinds = {"*fp64": _DOUBLES, "*fp32": _FLOATS, "*i32": _INTEGERS}
    return next((kind for kind, names in kinds.items() if name in names), "i32")


def resources(cubin: bytes) -> dict[str, int]:
    """Registers of a thread, bytes of its stack and of shared memory, read off the machine code."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    return {name.lower(): int(number) for name, number in re.findall(r"(REG|STACK|LOCAL|SHARED):(\d+)", said.stdout)}


def main() -> None:
    """All kernels for the compute capabilities on the command line."""
    for capability in [int(number) for number in sys.argv[1:]] or [80, 90]:
        for name, kernel, constants, options in jobs():
            found = compiled(kernel, constants, options, capability)
            ptx = found.asm["ptx"]
            facts = {
                **resources(found.asm["cubin"]),
                "shared": found.metadata.shared,
                "wide_loads": ptx.count("ld.global.v4"),
                "fused_doubles": ptx.count("fma.rn.f64"),
                "atomics": len(re.findall(r"\b(?:atom|red)\.", ptx)),
            }
            print(json.dumps({"capability": capability, "kernel": name, **constants, **facts}), flush=True)


if __name__ == "__main__":
    main()
