"""Numbers as the page of results writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plus_minus(average: Mapping[str, Any], digits: int = 2) -> str:
    """``mean ± standard_error``; the mean alone where the error is None (of one value)."""
    error = average["standard_error"]
    return f"{average['mean']:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
