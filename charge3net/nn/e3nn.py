"""e3nn's ``o3``, imported without torch's compiler.

e3nn keeps one function away from ``torch.compile`` with a decorator, and that decorator imports ``torch._dynamo`` and
sympy: 1.2 s of a prediction that compiles nothing. Here the decorator acts when the function is called instead; by then
the compiler is loaded if anything is compiled.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch.compiler


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


_disable = torch.compiler.disable
torch.compiler.disable = _disable_when_called  # type: ignore[assignment]
try:
    from e3nn import o3
finally:
    torch.compiler.disable = _disable

__all__ = ["o3"]
