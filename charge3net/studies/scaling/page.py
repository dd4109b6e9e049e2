"""Section of the page of results on scaling with size, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from charge3net.report.formatting import NO_VALUE, estimate, fixed, interval, percent, table, thousands
from charge3net.studies.scaling.measure import DISPLACED
from charge3net.studies.scaling.summary import model_name

#: Heading of the section.
TITLE = "Time and memory against size"


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: what was measured, the exponents, the figures."""
    rows = result["measurements"]
    largest = max((row for row in rows if row["architecture"] == "charge3net"), key=lambda row: row["atoms"])
    text = [
        "How do the time and memory of a prediction grow with the number of atoms? Supercells close to a cube, with "
        f"atoms displaced by {DISPLACED} Å and in random order; no symmetry is used. Models of published size with "
        f"random weights; a grid spacing of {result['spacing']:g} Å, with the same number of points per atom for "
        "every size of a crystal. Each measurement is a process of its own on one thread that has evaluated one unit "
        "cell before. Times are processor times: they exclude waiting, but not contention for caches. "
        f"{_repeats(result)} Memory is the largest resident memory minus that of imports, model and unit cell; it "
        "includes the encoded atoms and the grid.",
        "",
        f"Exponents are fitted to the medians of structures with at least {result['fit_from']} atoms; the 95 % "
        "intervals come from the scatter about the line.",
        "",
        *_table(result),
        "",
        f"The largest structure has {thousands(largest['atoms'])} atoms of {largest['crystal']} and "
        f"{thousands(largest['points'])} grid points.",
        "",
        f"![time and memory against the number of atoms]({pictures['size']})",
        "",
        f"![encoding of the atoms and evaluation of the grid, ChargE3Net]({pictures['parts']})",
        "",
        "*Points: medians, with bars from the smallest to the largest repeat; lines: the fits.*",
    ]
    return "\n".join(text)


def _table(result: Mapping[str, Any]) -> list[str]:
    head = ("model", "crystal", "atoms", "time exponent", "single repeats", "encoding", "grid", "memory exponent")
    shown = []
    for fit in result["fits"]:
        rows = [row for row in result["measurements"] if all(row[k] == fit[k] for k in ("architecture", "crystal"))]
        most = max(row["atoms"] for row in rows)
        seconds, megabytes = (
            float(np.median([row[name] for row in rows if row["atoms"] == most])) for name in ("seconds", "megabytes")
        )
        time, *laws = (_exponent(fit[name]) for name in ("seconds", "encoding", "reading", "megabytes"))
        alone = interval(min(fit["single"]), max(fit["single"])) if fit["single"] else NO_VALUE
        least = min(row["atoms"] for row in rows if row["atoms"] >= result["fit_from"])
        first = [model_name(fit["architecture"]), fit["crystal"], f"{thousands(least)} … {thousands(most)}"]
        shown.append([*first, time, alone, *laws, fixed(1e3 * seconds / most), fixed(megabytes, 0)])
    if not shown:
        return ["No model was measured at three sizes, so there are no exponents."]
    return [*table((*head, "ms/atom ¹", "MB ¹"), shown), "", "¹ of the largest structure, median over repeats"]


def _exponent(law: Mapping[str, Any] | None) -> str:
    return NO_VALUE if law is None else estimate(law["exponent"], law["low"], law["high"])


def _repeats(result: Mapping[str, Any]) -> str:
    """How much the repeats differ."""
    if result["repeats"] < 2:
        return "Nothing was repeated."
    groups: dict[tuple[str, str, int], list[float]] = {}
    for row in result["measurements"]:
        groups.setdefault((row["architecture"], row["crystal"], row["atoms"]), []).append(row["seconds"])
    apart = [max(group) / min(group) - 1.0 for group in groups.values()]
    return (
        f"The slowest of {result['repeats']} repeats took {percent(np.median(apart))} longer than the fastest (median "
        f"over structures; at most {percent(max(apart))})."
    )
