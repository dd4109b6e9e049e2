"""Numbers and tables as every page shows them: one style of digits, signs, thousands, intervals and lists.

Results store rounded numbers (:func:`significant`, :func:`averaged`); pages turn numbers into text with the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from charge3net.analysis.metrics import Average

#: Where a table has no value.
NO_VALUE = "–"


def significant(value: float | int, digits: int = 5) -> float | None:
    """Rounded to this many digits; None for NaN, which JSON lacks."""
    return None if np.isnan(value) else float(f"{float(value):.{digits}g}")


def averaged(values: Iterable[float], digits: int = 5) -> dict[str, Any]:
    """``mean``, ``standard_error`` (None of fewer than two values) and ``count``; NaN among the values is left out."""
    found = Average.of(values)
    return {
        "mean": significant(found.mean, digits),
        "standard_error": significant(found.standard_error, digits),
        "count": found.count,
    }


def fixed(value: float | int, digits: int = 2) -> str:
    """So many decimals, with a true minus; a number that rounds to zero has no sign."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0.0 else text.replace("-", "−")


def signed(value: float | int, digits: int = 2) -> str:
    """:func:`fixed` with a plus sign for positive numbers."""
    text = fixed(value, digits)
    return f"+{text}" if float(text.replace("−", "-")) > 0.0 else text


def rounded(value: float | int, digits: int = 3) -> str:
    """So many significant digits, without an exponent for numbers from 1e-4 to 1e6."""
    number = float(f"{value:.{digits}g}")
    return f"{number:.{max(digits, 6)}g}".replace("-", "−")


def interval(low: float | int, high: float | int, digits: int = 2, *, sign: bool = False) -> str:
    """``low … high``."""
    text = signed if sign else fixed
    return f"{text(low, digits)} … {text(high, digits)}"


def estimate(value: float | int, low: float | int, high: float | int, digits: int = 2, *, sign: bool = False) -> str:
    """``value (low … high)``: an estimate and its interval."""
    return f"{(signed if sign else fixed)(value, digits)} ({interval(low, high, digits, sign=sign)})"


def plus_minus(average: Mapping[str, Any], digits: int = 2) -> str:
    """``mean ± standard_error``; the mean alone where the error is None or NaN (of one value)."""
    error = average["standard_error"]
    known = error is not None and not np.isnan(error)
    return fixed(average["mean"], digits) + (f" ± {fixed(error, digits)}" if known else "")


def thousands(number: int) -> str:
    """``12,345``."""
    return f"{number:,}".replace("-", "−")


def percent(fraction: float | int, digits: int = 0) -> str:
    """``12 %`` of a fraction of 0.12."""
    return f"{fixed(100.0 * fraction, digits)} %"


def duration(seconds: float | int) -> str:
    """``45 s``, ``13 min`` or ``12.5 h``."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36000 else f"{seconds / 3600:.1f} h"


def span(values: Sequence[float] | Sequence[int], digits: int = 0) -> str:
    """``lowest to highest``, or the one number if both are written alike."""
    low, high = fixed(min(values), digits), fixed(max(values), digits)
    return low if low == high else f"{low} to {high}"


def listed(words: Sequence[object]) -> str:
    """``a, b and c``."""
    texts = [str(word) for word in words]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown; the first cell of the head may be empty."""
    lines = [f"| {' | '.join(head).lstrip()} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]
