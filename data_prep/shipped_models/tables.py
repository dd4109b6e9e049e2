"""What the evaluated structures of a release say: means by kind, boundaries of distances, how honest it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from charge3net.analysis.statistics import spearman
from charge3net.evaluation.calibrate import Judged
from charge3net.predict.calibration import Calibration, Signs

Row = Mapping[str, Any]

#: Share of the atoms of new compositions that are not called far, and of structures on the right side of the boundary.
_MOST = 0.95


def signs_of(found: Judged) -> dict[str, Any]:
    """The part of a row that a calibration looks at, but for the error of the number of electrons."""
    seen = found.signs
    return {
        "spread": round(seen.spread, 6),
        "typical_density": round(seen.typical_density, 4),
        "distance": _rounded(seen.distance),
        "farthest": _rounded(found.farthest),
        "bonding": seen.bonding,
        "nonmetals": _rounded(seen.nonmetals),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def signs(row: Row) -> Signs:
    """Back from :func:`signs_of`."""
    names = ("spread", "typical_density", "distance", "bonding", "electron_error", "nonmetals")
    return Signs(*(row[name] for name in names))


def boundaries_of(rows: Sequence[Row]) -> tuple[float, dict[str, float], float]:
    """Distances: below the first, surroundings are familiar; above the last, those of an atom are far.

    The first is the geometric mean of what 95 % of the structures of trained compositions stay below, and 95 % of those
    of new ones above, of crystals; the second is the same of molecules side by side, if there are both: a molecular
    crystal of a new compound is nearer to the molecules of the training set than a new crystal is to its crystals, and
    farther than a liquid that was trained on. The third is what the farthest atom of 95 % of the new crystals stays
    below.
    """
    crystals, beside = ([row for row in rows if row["bonding"] == bonding] for bonding in ("network", "molecules"))
    own = {} if len({row["composition_known"] for row in beside}) < 2 else {"molecules": _between(beside)}
    far = float(np.quantile([row["farthest"] for row in crystals if not row["composition_known"]], _MOST))
    return _between(crystals), own, round(far, 2)


def _between(rows: Sequence[Row]) -> float:
    known = [row["distance"] for row in rows if row["composition_known"]]
    new = [row["distance"] for row in rows if not row["composition_known"]]
    return round(float(np.sqrt(np.quantile(known, _MOST) * np.quantile(new, 1.0 - _MOST))), 3)


#: Changes of a mean error (a fraction) below this are none: the last digit of what is reported.
_NO_CHANGE = 1e-5


def unharmed(rows: Sequence[Row]) -> bool:
    """Whether the shift to the valence raises the mean error of no kind."""
    changes: dict[str, list[float]] = {}
    for row in rows:
        changes.setdefault(row["kind"], []).append(row["error"] - row["unshifted"])
    return all(float(np.mean(change)) < _NO_CHANGE for change in changes.values())


def summary(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """By kind: means by entry and by formula, standard errors, SAD, and how often the model beats it, in %."""
    found = {}
    for kind in sorted({row["kind"] for row in rows}):
        own = [row for row in rows if row["kind"] == kind]
        formulas: dict[str, list[float]] = {}
        for row in own:
            formulas.setdefault(row["formula"], []).append(row["error"])
        errors = np.array([row["error"] for row in own])
        known = [row for row in own if row["sad"] is not None]
        found[kind] = {
            "entries": len(own),
            "formulas": len(formulas),
            "error_percent": _percent(errors),
            "standard_error": round(100.0 * float(errors.std(ddof=1) / np.sqrt(len(own))), 3) if len(own) > 1 else None,
            "by_formula_percent": _percent([np.mean(values) for values in formulas.values()]),
            "unshifted_percent": _percent([row["unshifted"] for row in own]),
            "member_percent": _percent([row["members"] for row in own]),
            "sad_percent": _percent([row["sad"] for row in known]) if known else None,
            "below_sad": sum(row["error"] < row["sad"] for row in known),
            "electron_error_percent": _percent([abs(row["electron_error"]) for row in own]),
        }
    return found


def with_tests(rows: Sequence[Row], calibration: Calibration) -> Calibration:
    """The same calibration, whose groups say how many of these test structures their intervals hold."""
    found: dict[str, list[bool]] = {}
    for row in rows:
        said = calibration.expected(signs(row))
        found.setdefault(said.group, []).append(said.low <= 100.0 * row["error"] <= said.high)
    lines = {
        name: replace(line, tested=(len(found[name]), round(float(np.mean(found[name])), 3))) if name in found else line
        for name, line in calibration.groups.items()
    }
    return replace(calibration, groups=lines)


def trust(rows: Sequence[Row], calibration: Calibration) -> dict[str, dict[str, Any]]:
    """How well the expected error ranks and covers the true one: of all, by kind, and by the calibration's group."""
    group = [calibration.group(signs(row)) for row in rows]
    sets = {"all": list(rows)}
    sets |= {kind: [row for row in rows if row["kind"] == kind] for kind in sorted({row["kind"] for row in rows})}
    sets |= {
        f"group {name}": [row for row, own in zip(rows, group, strict=True) if own == name]
        for name in sorted(set(group))
    }
    return {name: _trust(own, calibration) for name, own in sets.items()}


def _trust(rows: Sequence[Row], calibration: Calibration) -> dict[str, Any]:
    errors = np.array([row["error"] for row in rows])
    expected = [calibration.expected(signs(row)) for row in rows]
    inside = [e.low <= 100.0 * error <= e.high for e, error in zip(expected, errors, strict=True)]
    formulas: dict[str, list[bool]] = {}
    for row, held in zip(rows, inside, strict=True):
        formulas.setdefault(row["formula"], []).append(held)
    rank = spearman(np.array([e.percent for e in expected]), errors)
    of_spread = spearman(np.array([row["spread"] for row in rows]), errors)
    return {
        "entries": len(rows),
        "formulas": len({row["formula"] for row in rows}),
        "spearman": None if rank is None else round(rank.rho, 3),
        "spearman_of_spread": None if of_spread is None else round(of_spread.rho, 3),
        "coverage": round(float(np.mean(inside)), 3),
        "coverage_by_formula": round(float(np.mean([np.mean(held) for held in formulas.values()])), 3),
        "high_over_low": round(float(np.exp(np.mean([np.log(e.high / e.low) for e in expected]))), 2),
    }


def _percent(values: Any) -> float:
    return round(100.0 * float(np.mean(values)), 3)
