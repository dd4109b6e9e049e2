"""How pw.x diagonalises, chosen on validation structures by the work of the whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from charge3net.report.formatting import significant
from charge3net.studies.restart.bench import Bench, Model
from charge3net.studies.restart.measure import Diagonalisation


def tune(
    bench: Bench, name: str, model: Model, keys: Sequence[str], candidates: Sequence[Diagonalisation]
) -> dict[str, Any]:
    """For SAD and for a model the diagonalisation with the fewest FFTs of wavefunctions.

    Args:
        bench: runs pw.x.
        name, model: the model.
        keys: validation structures.
        candidates: thresholds and sizes of the basis.

    Returns:
        ``structures``, ``compositions``, ``SAD`` and ``model`` (the chosen ones, as
        arguments of :class:`Diagonalisation`), and ``rows``: for each candidate
        the mean of the steps and the sum of the FFTs of both.
    """
    rows = []
    for value in candidates:
        row: dict[str, Any] = asdict(value)
        for start, begun in (("SAD", None), ("model", model)):
            found = [bench.work(key, begun, value) for key in keys]
            middle = bench.settings.thresholds.index(bench.settings.threshold)
            row[start] = {
                "steps": significant(float(np.mean([one["steps"][middle] for one in found]))),
                "transforms": sum(one["transforms"] for one in found),
            }
        rows.append(row)
    best = {
        start: asdict(min(zip(candidates, rows, strict=True), key=lambda pair: pair[1][start]["transforms"])[0])
        for start in ("SAD", "model")
    }
    formulas = {bench.store[key].formula for key in keys}
    return {"structures": len(keys), "compositions": len(formulas), "name": name, **best, "rows": rows}
