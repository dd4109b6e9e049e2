"""The page section of the scaling study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from charge3net.analysis.power_law import PowerLaw
from charge3net.report.formatting import table
from charge3net.studies.scaling.measure import DISPLACED
from charge3net.studies.scaling.summary import NAMES

#: Heading of the section.
TITLE = "Time and memory against size"


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """What was measured, the exponents, the figures."""
    rows, spacing = result["measurements"], result["spacing"]
    largest = max((row for row in rows if row["architecture"] == "charge3net"), key=lambda row: row["atoms"])
    text = [
        f"Supercells nearest to a cube, atoms displaced by {DISPLACED} Å and in random order, no symmetry used; models "
        f"of published size with random weights; a grid of {spacing:g} Å (every size of a crystal has the same points "
        "per atom). Each measurement is a process of its own that has read one unit cell before, on one thread. "
        "**Times are processor times** of a machine shared with other work: waiting is left out, but a core whose "
        f"caches others use is slower. {_repeats(result)} Memory is the largest resident memory above that of imports, "
        "model and unit cell; state and grid are part of it.",
        "",
        f"Exponents are fitted to the medians of structures of {result['fit_from']} atoms and more, with 95 % "
        "intervals from the scatter about the line.",
        "",
        *_table(result),
        "",
        f"The largest: {largest['atoms']} atoms of {largest['crystal']} and {largest['points']} points. "
        f"{_verdict(result['fits'])}",
        "",
        f"![time and memory against atoms]({pictures['size']})",
        "",
        f"![encoding and reading against atoms, ChargE3Net]({pictures['parts']})",
        "",
        "Points are medians with bars from the smallest to the largest repeat, lines the fits.",
    ]
    return "\n".join(text)


def _table(result: Mapping[str, Any]) -> list[str]:
    head = ("model", "crystal", "atoms", "time exponent", "repeats alone", "encoding", "reading", "memory exponent")
    shown = []
    for fit in result["fits"]:
        rows = [row for row in result["measurements"] if all(row[k] == fit[k] for k in ("architecture", "crystal"))]
        most = max(row["atoms"] for row in rows)
        seconds, megabytes = (
            float(np.median([row[name] for row in rows if row["atoms"] == most])) for name in ("seconds", "megabytes")
        )
        time, *laws = (_interval(fit[name]) for name in ("seconds", "encoding", "reading", "megabytes"))
        alone = f"{min(fit['single']):.2f} … {max(fit['single']):.2f}"
        least = min(row["atoms"] for row in rows if row["atoms"] >= result["fit_from"])
        sizes = [f"{1e3 * seconds / most:.2f}", f"{megabytes:.0f}"]
        who = [NAMES[fit["architecture"]], fit["crystal"], f"{least} … {most}"]
        shown.append([*who, time, alone, *laws, *sizes])
    return [*table((*head, "ms/atom ¹", "MB ¹"), shown), "", "¹ of the largest structure, median"]


def _interval(law: Mapping[str, Any] | None) -> str:
    if law is None:
        return "—"
    return f"{law['exponent']:.2f} ({law['low']:.2f} … {law['high']:.2f})"


def _repeats(result: Mapping[str, Any]) -> str:
    """How far the repeats differ."""
    groups: dict[tuple[str, str, int], list[float]] = {}
    for row in result["measurements"]:
        groups.setdefault((row["architecture"], row["crystal"], row["atoms"]), []).append(row["seconds"])
    if result["repeats"] < 2:
        return "Nothing was repeated."
    apart = [max(group) / min(group) - 1.0 for group in groups.values()]
    return (
        f"Of {result['repeats']} repeats the slowest took {np.median(apart):.0%} longer than the fastest in the "
        f"median, {max(apart):.0%} at most."
    )


def _verdict(fits: list[dict[str, Any]]) -> str:
    """Whether the wanted exponent of 1.05 is reached."""
    found = [(NAMES[fit["architecture"]], fit["crystal"], PowerLaw(**fit["seconds"])) for fit in fits if fit["seconds"]]
    if not found:
        return "Too few sizes for exponents."
    above = [f"{model} on {crystal}" for model, crystal, law in found if law.exponent > 1.05]
    unsure = [f"{model} on {crystal}" for model, crystal, law in found if law.exponent <= 1.05 < law.high]
    text = "Wanted was an exponent of the time of at most 1.05: "
    text += f"not reached by {', '.join(above)}." if above else "reached by all."
    return text + (f" The interval reaches beyond it for {', '.join(unsure)}." if unsure else "")
