"""The part of the page of results on learning curves, written from the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from charge3net.report.formatting import signed, table
from charge3net.studies.learning_curves.summary import combined_error

#: Heading of the section.
TITLE = "Learning curves and rotation order"

_CURVES = (
    "Left: test error against the number of training materials; bars: standard error; lines: fitted power laws. "
    "Right: their exponents with 95 % intervals over test materials; small dots: each seed alone."
)
_ORDERS = (
    "What each rotation order saves over the one before, in pairs over test materials, with 95 % intervals; "
    "open markers are not settled."
)


def section(result: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: what was trained on what, both figures, the comparison of rotation orders, what is not shown."""
    paragraphs = [_setting(result), *_table(result), _figure(pictures, "curves", _CURVES)]
    if result["steps"]:
        paragraphs += [_orders(result), _figure(pictures, "orders", _ORDERS)]
    return "\n\n".join([*paragraphs, _limits(result)])


def _setting(result: dict[str, Any]) -> str:
    data, runs = result["data"], result["runs"]
    steps = sorted({run["steps"] for run in runs})
    batch = runs[0]["batch"]
    sizes = ", ".join(map(str, sorted({run["size"] for run in runs})))
    seconds = [run["seconds"] for run in runs]
    formulas = len(set(data["formulas"]))
    return (
        f"{len(runs)} trainings: {len(result['curves'])} models × training sets of {sizes} materials (nested: a "
        f"smaller one is part of every larger one of its seed) × {_seeds(result)}; {_listed(steps)} steps of "
        f"{batch[0]} × {batch[1]} probes for every one, {np.median(seconds):.0f} s each (median; "
        f"{sum(seconds) / 60:.0f} minutes together, on a shared machine). Validation ({data['validation']} materials) "
        f"chooses the best of the weights; errors are those of {len(data['keys'])} test materials of {formulas} "
        f"formulas that are not trained on, on every voxel. Split `{data['split']}` (hash {data['split_hash'][:12]}), "
        f"store {data['store_hash'][:12]}."
    )


def _seeds(result: dict[str, Any]) -> str:
    counts = sorted({curve["seeds"] for curve in result["curves"]}, reverse=True)
    if len(counts) == 1:
        return f"{counts[0]} seeds" if counts[0] > 1 else "one seed"
    few = [curve["model"] for curve in result["curves"] if curve["seeds"] == counts[-1]]
    return f"{counts[0]} seeds ({', '.join(few)}: {counts[-1]})"


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _table(result: dict[str, Any]) -> list[str]:
    """Mean ± standard error at each size, and the exponent."""
    sizes = sorted({size for curve in result["curves"] for size in curve["sizes"]})
    head = ["model", "parameters", "lr", *[f"n = {size}" for size in sizes], "exponent b", "b of the seeds"]
    rows = []
    for curve in result["curves"]:
        first = next(run for run in result["runs"] if run["model"] == curve["model"])
        cells = [curve["model"], f"{first['parameters']:,}".replace(",", " "), f"{first['lr']:g}"]
        at = dict(zip(curve["sizes"], zip(curve["mean"], combined_error(curve), strict=True), strict=True))
        cells += [f"{at[size][0]:.2f} ± {at[size][1]:.2f}" if size in at else "" for size in sizes]
        exponent = curve["exponent"]
        interval = f"({exponent['material_low']:.3f} … {exponent['material_high']:.3f})"
        cells += [f"{exponent['value']:.3f} {interval}", ", ".join(f"{b:.3f}" for b in exponent["seeds"])]
        rows.append(cells)
    atoms = [value for value in result["data"]["superposition_nmae_percent"] if value is not None]
    note = (
        "ε_mae in %, mean over test materials and seeds ± standard error (spread over materials and between seeds, "
        "added in squares). b: of ε ∝ n^(−b), with the 95 % interval of a bootstrap over test materials. lr: learning "
        "rate before its schedule."
    )
    if atoms:
        best = min((min(curve["mean"]), curve["model"]) for curve in result["curves"])
        note += (
            f" The superposition of atoms has {np.mean(atoms):.2f} %: {np.mean(atoms) / best[0]:.1f} times the lowest "
            f"error here ({best[1]}, {best[0]:.2f} %)."
        )
    return ["\n".join(table(head, rows)), note]


def _figure(pictures: Mapping[str, str], name: str, caption: str) -> str:
    return f"![{name}]({pictures[name]})\n\n*{caption}*"


def _orders(result: dict[str, Any]) -> str:
    """How many steps in rotation order lower the error beyond its error bar."""
    every = [(step, gain) for step in result["steps"] for gain in step["gains"]]
    good = [gain for _, gain in every if gain["settled"] and gain["pair"]["mean"] > 0]
    worse = [_named(step, gain) for step, gain in every if gain["settled"] and gain["pair"]["mean"] < 0]
    open_ones = [_named(step, gain) for step, gain in every if not gain["settled"]]
    alone = every[0][1]["seed_error"] is None
    beyond = (
        "the paired 95 % interval over materials leaves zero out; trained once, so the chance of a training is not "
        "in it"
        if alone
        else "the paired 95 % interval leaves zero out, and the mean is at least twice its standard error between seeds"
    )
    text = (
        f"**Rotation order.** Each L beside the one before, material by material, at every size: in {len(good)} of "
        f"{len(every)} comparisons the error falls beyond its error bar ({beyond})."
    )
    if len(good) == len(every):
        return f"{text} The error falls with L at every size, as wanted."
    text += " Wanted was all of them."
    if worse:
        text += f" It rises beyond its error bar for {'; '.join(worse)}."
    if open_ones:
        text += f" Not settled: {'; '.join(open_ones)}."
    return f"{text} {_first_to_last(result)}"


def _named(step: Mapping[str, Any], gain: Mapping[str, Any]) -> str:
    pair = gain["pair"]
    low = step["from"].split("L=")[-1]
    return (
        f"L = {low} → {step['to'].split('L=')[-1]} at n = {gain['size']} "
        f"(saves {signed(pair['mean'])}; {signed(pair['low'])} … {signed(pair['high'])})"
    )


def _first_to_last(result: dict[str, Any]) -> str:
    """The whole way from the lowest to the highest order, and which step saves most."""
    names = [result["steps"][0]["from"], *[step["to"] for step in result["steps"]]]
    means = {curve["model"]: np.array(curve["mean"]) for curve in result["curves"]}
    whole = means[names[0]] - means[names[-1]]
    shares = [
        f"{step['from'].split('L=')[-1]} → {step['to'].split('L=')[-1]}: "
        f"{100 * np.mean((means[step['from']] - means[step['to']]) / whole):.0f} %"
        for step in result["steps"]
    ]
    lower = int(np.sum(whole > 0))
    return (
        f"From {names[0]} to {names[-1]} the mean error is lower at {lower} of {len(whole)} sizes; the steps' shares "
        f"of what is saved, averaged over sizes: {', '.join(shares)}."
    )


def _limits(result: dict[str, Any]) -> str:
    runs = result["runs"]
    steps = _listed(sorted({run["steps"] for run in runs}))
    smallest, largest = min(run["size"] for run in runs), max(run["size"] for run in runs)
    seen = runs[0]["steps"] * runs[0]["batch"][0]
    return (
        f"*Not shown.* These are short trainings of small networks, {steps} steps whatever the size: a set of "
        f"{smallest} is seen {seen / smallest:.0f} times, one of {largest} {seen / largest:.0f} times, and the curves "
        "flatten where time rather than data is short. At equal mul a lower L has more parameters. Test materials of "
        "one formula resemble each other, so intervals over materials are rather too narrow. Baselines have other "
        "sizes and learning rates; their place says nothing about their architecture at full size."
    )
