"""Numbers as results keep them: rounded, since people read them and git keeps them; None for NaN, which JSON lacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from charge3net.analysis.metrics import Average


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
