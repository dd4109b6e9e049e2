"""e3nn's ``o3``, imported without torch's compiler.

e3nn excludes one function from ``torch.compile`` by a decorator, and that decorator imports ``torch._dynamo`` and
sympy, which takes 1.2 s. Here the decorator acts when the function is called instead; if anything is compiled, the
compiler is loaded by then.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch.compiler

from charge3net.errors import InputError


def _disable_when_called(function: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """``torch.compiler.disable`` that loads no compiler."""
    if function is None:
        return functools.partial(_disable_when_called, **options)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return function(*args, **kwargs)
        return _disable(function, **options)(*args, **kwargs)

    return call


def check_version(installed: str) -> None:
    """Refuse versions whose ``o3`` gives other numbers: with 0.4.4 an L = 2 model is off by 0.55 % of the density.

    Raises:
        InputError: if this is one.
    """
    if tuple(int(part) for part in re.findall(r"\d+", installed)[:2]) < (0, 5):
        raise InputError(
            f"e3nn {installed} gives wrong densities; pip install 'e3nn>=0.5.6' (mace-torch wants 0.4.4: give it "
            "another environment)"
        )


with suppress(PackageNotFoundError):
    check_version(version("e3nn"))
_disable = torch.compiler.disable
torch.compiler.disable = _disable_when_called  # type: ignore[assignment]
try:
    from e3nn import o3
finally:
    torch.compiler.disable = _disable

__all__ = ["o3"]
