"""Time and memory against the number of atoms: supercells of two crystals, atoms encoded and a grid read."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charge3net.analysis.power_law import PowerLaw, fit_power_law
from charge3net.errors import InputError
from charge3net.models.registry import label
from charge3net.studies.cache import cached
from charge3net.studies.scaling.measure import CRYSTALS, DISPLACED, Measurement, measure, unit_cell
from charge3net.studies.text import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charge3net.studies.scaling.figures import Growth

#: What is fitted: name → what a measurement says of it.
QUANTITIES = {
    "seconds": "processor time (s)",
    "neighbours": "neighbour search (s)",
    "encoding": "encoding atoms (s)",
    "reading": "reading the grid (s)",
    "megabytes": "memory above imports and model (MB)",
}

_NAMES = {"charge3net": label("charge3net", {"lmax": 4}), "schnet": label("schnet", {}), "painn": label("painn", {})}


@dataclass
class Config:
    """Settings of the study.

    Attributes:
        crystals: of :data:`charge3net.studies.scaling.measure.CRYSTALS`.
        sizes: numbers of atoms for ChargE3Net, about; the supercells nearest to a cube are taken.
        others: architectures measured beside it.
        other_sizes: numbers of atoms for those.
        spacing: of the grid, Å.
        repeats: of every measurement, each in a new process.
        fit_from: smallest structure (atoms) that the exponents are fitted to; below, constant costs show.
    """

    crystals: list[str] = field(default_factory=lambda: list(CRYSTALS))
    sizes: list[int] = field(default_factory=lambda: [160, 640, 1300, 2500, 5000, 10_000, 20_000])
    others: list[str] = field(default_factory=lambda: ["schnet", "painn"])
    other_sizes: list[int] = field(default_factory=lambda: [300, 800, 2000])
    spacing: float = 0.6
    repeats: int = 3
    fit_from: int = 250


def run(config: Config, work: Path) -> dict[str, Any]:
    """Measure what is missing, then fit."""
    if config.repeats < 1 or config.spacing <= 0 or not config.sizes or not config.crystals:
        raise InputError("the study of size needs crystals, sizes, repeats ≥ 1 and a spacing > 0; look at --show")
    for crystal in config.crystals:
        unit_cell(crystal)
    found = [_measured(*one, config.spacing, work) for one in _plan(config)]
    return {
        "measurements": [asdict(one) | {"seconds": one.seconds} for one in found],
        "fits": _fits(found, config.fit_from),
        "fit_from": config.fit_from,
        "spacing": config.spacing,
        "repeats": config.repeats,
        "seeds": {"weights": 0, "displacements": 0},
    }


def _plan(config: Config) -> Iterable[tuple[str, str, int, int]]:
    """(architecture, crystal, atoms, repeat); repeats outermost, so that a busy hour does not hit one size alone."""
    for repeat in range(config.repeats):
        for crystal in config.crystals:
            for atoms in config.sizes:
                yield "charge3net", crystal, atoms, repeat
            for architecture in config.others:
                for atoms in config.other_sizes:
                    yield architecture, crystal, atoms, repeat


def _measured(architecture: str, crystal: str, atoms: int, repeat: int, spacing: float, work: Path) -> Measurement:
    """From its file, or measured in a new process and kept there."""
    path = work / f"spacing_{spacing:g}" / f"{architecture}-{crystal}-{atoms}-{repeat}.json"

    def measured() -> dict[str, Any]:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(measure, architecture, crystal, atoms, spacing, repeat).result()
        what = f"{found.atoms} atoms, {found.points} points, {found.seconds:.1f} s"
        print(f"{architecture} {crystal}: {what}", flush=True)
        return asdict(found)

    return Measurement(**cached(path, measured))


def _fits(found: list[Measurement], fit_from: int) -> list[dict[str, Any]]:
    """Exponents per model and crystal, of the medians over the repeats."""
    fits = []
    for architecture, crystal in dict.fromkeys((one.architecture, one.crystal) for one in found):
        rows = [asdict(one) | {"seconds": one.seconds} for one in found]
        rows = [row for row in rows if (row["architecture"], row["crystal"]) == (architecture, crystal)]
        if len({row["atoms"] for row in rows if row["atoms"] >= fit_from}) < 3:
            continue
        laws = {name: _law(rows, name, fit_from) for name in QUANTITIES}
        alone = [_law([row for row in rows if row["repeat"] == i], "seconds", fit_from) for i in _repeated(rows)]
        single = [law["exponent"] for law in alone if law is not None]
        fits.append({"architecture": architecture, "crystal": crystal, "single": single, **laws})
    return fits


def _repeated(rows: list[dict[str, Any]]) -> list[int]:
    return sorted({row["repeat"] for row in rows})


def _law(rows: list[dict[str, Any]], name: str, fit_from: int) -> dict[str, Any] | None:
    """None where a small structure took no memory of its own."""
    x, y, _, _ = _series(rows, name)
    keep = x >= fit_from
    return asdict(fit_power_law(x[keep], y[keep])) if (y[keep] > 0).all() else None


def _series(rows: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sizes; median, smallest and largest over the repeats."""
    sizes = sorted({row["atoms"] for row in rows})
    values = [np.array([row[name] for row in rows if row["atoms"] == size]) for size in sizes]
    reduced = [np.array([how(one) for one in values]) for how in (np.median, np.min, np.max)]
    return np.array(sizes, dtype=np.float64), reduced[0], reduced[1], reduced[2]


def figures(result: Mapping[str, Any]) -> dict[str, Figure]:
    """Time and memory against the number of atoms."""
    from charge3net.studies.scaling.figures import growth

    panels = {QUANTITIES[name]: _growths(result, name) for name in ("seconds", "megabytes")}
    parts = {QUANTITIES[name]: _growths(result, name, "charge3net") for name in ("encoding", "reading")}
    return {"size": growth(panels, "atoms"), "parts": growth(parts, "atoms")}


def _growths(result: Mapping[str, Any], name: str, only: str | None = None) -> list[Growth]:
    from charge3net.studies.scaling.figures import Growth

    laws = {
        (fit["architecture"], fit["crystal"]): PowerLaw(**fit[name]) for fit in result["fits"] if fit[name] is not None
    }
    crystals = list(dict.fromkeys(row["crystal"] for row in result["measurements"]))
    drawn = []
    for i, architecture in enumerate(dict.fromkeys(row["architecture"] for row in result["measurements"])):
        for j, crystal in enumerate(crystals):
            rows = [r for r in result["measurements"] if (r["architecture"], r["crystal"]) == (architecture, crystal)]
            if rows and only in (None, architecture):
                law = laws.get((architecture, crystal))
                title, look = f"{_NAMES[architecture]}, {crystal}", (i if only is None else j, j)
                drawn.append(Growth(title, *_series(rows, name), law, float(result["fit_from"]), look))
    return drawn


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
        who = [_NAMES[fit["architecture"]], fit["crystal"], f"{least} … {most}"]
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
    found = [
        (_NAMES[fit["architecture"]], fit["crystal"], PowerLaw(**fit["seconds"])) for fit in fits if fit["seconds"]
    ]
    if not found:
        return "Too few sizes for exponents."
    above = [f"{model} on {crystal}" for model, crystal, law in found if law.exponent > 1.05]
    unsure = [f"{model} on {crystal}" for model, crystal, law in found if law.exponent <= 1.05 < law.high]
    text = "Wanted was an exponent of the time of at most 1.05: "
    text += f"not reached by {', '.join(above)}." if above else "reached by all."
    return text + (f" The interval reaches beyond it for {', '.join(unsure)}." if unsure else "")
