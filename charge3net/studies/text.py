"""Numbers and tables as the page of results writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def plus_minus(average: Mapping[str, Any], digits: int = 2) -> str:
    """``mean ± standard_error``; the mean alone where the error is None or NaN (of one value)."""
    error = average["standard_error"]
    known = error is not None and not np.isnan(error)
    return f"{average['mean']:.{digits}f}" + (f" ± {error:.{digits}f}" if known else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown; the first cell of the head may be empty."""
    lines = [f"| {' | '.join(head).lstrip()} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]
