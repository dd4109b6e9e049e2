"""Numbers and tables as pages show them: one style of digits, signs, thousands and intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from charge3net.analysis.metrics import Average


def plus_minus(average: Mapping[str, Any], digits: int = 2) -> str:
    """``mean ± standard_error``; the mean alone where the error is None or NaN (of one value)."""
    error = average["standard_error"]
    known = error is not None and not np.isnan(error)
    return f"{average['mean']:.{digits}f}" + (f" ± {error:.{digits}f}" if known else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown; the first cell of the head may be empty."""
    lines = [f"| {' | '.join(head).lstrip()} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]


def signed(value: float, digits: int = 2) -> str:
    """With its sign, a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def significant(value: float, digits: int = 5) -> float | None:
    """Rounded to this many digits; None for NaN."""
    return None if np.isnan(value) else float(f"{float(value):.{digits}g}")


def averaged(values: Iterable[float], digits: int = 5) -> dict[str, Any]:
    """``mean``, ``standard_error`` (None of fewer than two values) and ``count``; NaN among the values is left out."""
    found = Average.of(values)
    return {
        "mean": significant(found.mean, digits),
        "standard_error": significant(found.standard_error, digits),
        "count": found.count,
    }
