"""The library of compiled CPU kernels: building, loading, switching off (docs/kernels.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

#: Set to "torch", kernels are never used.
SWITCH = "CHARGE3NET_KERNELS"

_torch_only: ContextVar[bool] = ContextVar("charge3net_torch_only", default=False)


def enabled() -> bool:
    """Whether kernels may be used here: not switched off by the environment or :func:`torch_only`."""
    return not _torch_only.get() and os.environ.get(SWITCH, "").lower() != "torch"


@contextmanager
def torch_only() -> Iterator[None]:
    """A context in which (in this thread) plain torch computes everything."""
    token = _torch_only.set(True)
    try:
        yield
    finally:
        _torch_only.reset(token)


def status() -> dict[str, Any]:
    """What runs on the CPU, and why.

    ``backend`` ("compiled" or "torch"), ``variant`` (of the processor), ``reason`` (empty when compiled).
    """
    from charge3net.kernels.library import library

    found = library()
    if found.handle is None:
        return {"backend": "torch", "variant": "", "reason": found.reason}
    if not enabled():
        return {
            "backend": "torch",
            "variant": found.variant,
            "reason": f"switched off ({SWITCH}=torch or torch_only())",
        }
    return {"backend": "compiled", "variant": found.variant, "reason": ""}
