"""Section of the page of results on learning curves, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from charge3net.report.formatting import duration, estimate, fixed, listed, percent, table, thousands
from charge3net.studies.learning_curves.summary import combined_error

#: Heading of the section.
TITLE = "Learning curves and rotation order"

_CURVES = (
    "Left: test error against the number of training materials, with standard errors and fitted power laws. Right: "
    "the exponents with 95 % intervals over test materials; small dots are single seeds."
)
_ORDERS = (
    "Reduction of the error from one rotation order to the next, paired over test materials, with 95 % intervals. "
    "Open markers: not significant."
)


def section(result: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: trainings, errors, both figures, comparison of rotation orders, limits."""
    paragraphs = [_setting(result), *_table(result), _figure(pictures, "curves", _CURVES)]
    if result["steps"]:
        paragraphs += [_orders(result), _figure(pictures, "orders", _ORDERS)]
    return "\n\n".join([*paragraphs, _limits(result)])


def _setting(result: dict[str, Any]) -> str:
    data, runs = result["data"], result["runs"]
    batch, seconds = runs[0]["batch"], [run["seconds"] for run in runs]
    sizes = listed(sorted({run["size"] for run in runs}))
    formulas = len(set(data["formulas"]))
    return (
        "How does the error fall with the number of training materials, and with the rotation order L? "
        f"{len(result['curves'])} models were trained on {sizes} materials with {_seeds(result)}, {len(runs)} "
        "trainings in total. Training sets are nested: each contains the smaller ones of the same seed. Every "
        f"training has {_steps(result)} steps of {batch[0]} × {batch[1]} probe points and takes "
        f"{duration(float(np.median(seconds)))} (median; {duration(sum(seconds))} in total). The weights with the "
        f"lowest error on {data['validation']} validation materials are used. Errors are those of every voxel of "
        f"{len(data['keys'])} test materials with {formulas} formulas that do not occur in training. Split "
        f"`{data['split']}` (hash {data['split_hash'][:12]}), store {data['store_hash'][:12]}."
    )


def _seeds(result: dict[str, Any]) -> str:
    counts = sorted({curve["seeds"] for curve in result["curves"]}, reverse=True)
    most = f"{counts[0]} seeds" if counts[0] > 1 else "one seed"
    if len(counts) == 1:
        return most
    few = [curve["model"] for curve in result["curves"] if curve["seeds"] == counts[-1]]
    return f"{most} ({listed(few)}: {counts[-1]})"


def _steps(result: dict[str, Any]) -> str:
    return listed([thousands(steps) for steps in sorted({run["steps"] for run in result["runs"]})])


def _table(result: dict[str, Any]) -> list[str]:
    """Mean ± standard error at each size, and the exponent."""
    sizes = sorted({size for curve in result["curves"] for size in curve["sizes"]})
    head = ["model", "parameters", "lr", *[f"n = {size}" for size in sizes], "exponent b", "b of the seeds"]
    rows = []
    for curve in result["curves"]:
        first = next(run for run in result["runs"] if run["model"] == curve["model"])
        cells = [curve["model"], thousands(first["parameters"]), f"{first['lr']:g}"]
        at = dict(zip(curve["sizes"], zip(curve["mean"], combined_error(curve), strict=True), strict=True))
        cells += [f"{fixed(at[size][0])} ± {fixed(at[size][1])}" if size in at else "" for size in sizes]
        exponent = curve["exponent"]
        cells.append(estimate(exponent["value"], exponent["material_low"], exponent["material_high"], 3))
        rows.append([*cells, ", ".join(fixed(b, 3) for b in exponent["seeds"])])
    note = (
        "ε_mae in %, mean over test materials and seeds ± standard error (the variance over materials and the variance "
        "between seeds are added). b: exponent of ε ∝ n^(−b), with the 95 % interval of a bootstrap over test "
        "materials. lr: learning rate before its schedule."
    )
    atoms = [value for value in result["data"]["superposition_nmae_percent"] if value is not None]
    if atoms:
        best = min((min(curve["mean"]), curve["model"]) for curve in result["curves"])
        note += (
            f" The superposition of atomic densities (SAD) has {fixed(np.mean(atoms))} %, "
            f"{fixed(np.mean(atoms) / best[0], 1)} times the lowest error here ({best[1]}, {fixed(best[0])} %)."
        )
    return ["\n".join(table(head, rows)), note]


def _figure(pictures: Mapping[str, str], name: str, caption: str) -> str:
    return f"![{name}]({pictures[name]})\n\n*{caption}*"


def _orders(result: dict[str, Any]) -> str:
    """In how many comparisons of successive rotation orders the error falls or rises significantly."""
    every = [(step, gain) for step in result["steps"] for gain in step["gains"]]
    lower = [gain for _, gain in every if gain["settled"] and gain["pair"]["mean"] > 0]
    higher = [_named(step, gain) for step, gain in every if gain["settled"] and gain["pair"]["mean"] < 0]
    unclear = [_named(step, gain) for step, gain in every if not gain["settled"]]
    significant = (
        "the paired 95 % interval over materials excludes zero; one seed, so the variation between trainings is not "
        "included"
        if every[0][1]["seed_error"] is None
        else "the paired 95 % interval excludes zero, and the mean is at least twice its standard error between seeds"
    )
    text = (
        f"**Rotation order.** Each L is compared with the one before at every size, material by material. The error is "
        f"significantly lower in {len(lower)} of {len(every)} comparisons ({significant})."
    )
    if higher:
        text += f" It is significantly higher for {'; '.join(higher)}."
    if unclear:
        text += f" Not significant: {'; '.join(unclear)}."
    return f"{text} {_first_to_last(result)}"


def _named(step: Mapping[str, Any], gain: Mapping[str, Any]) -> str:
    pair = gain["pair"]
    low, high = (step[end].split("L=")[-1] for end in ("from", "to"))
    reduction = estimate(pair["mean"], pair["low"], pair["high"], sign=True)
    return f"L = {low} → {high} at n = {gain['size']}, reduction {reduction}"


def _first_to_last(result: dict[str, Any]) -> str:
    """The reduction from the lowest to the highest order, and the share of each step."""
    names = [result["steps"][0]["from"], *[step["to"] for step in result["steps"]]]
    means = {curve["model"]: np.array(curve["mean"]) for curve in result["curves"]}
    whole = means[names[0]] - means[names[-1]]
    shares = [
        f"{step['from'].split('L=')[-1]} → {step['to'].split('L=')[-1]}: "
        f"{percent(np.mean((means[step['from']] - means[step['to']]) / whole))}"
        for step in result["steps"]
    ]
    lower = int(np.sum(whole > 0))
    return (
        f"The mean error of {names[-1]} is lower than that of {names[0]} at {lower} of {len(whole)} sizes. Share of "
        f"each step in this reduction, averaged over sizes: {', '.join(shares)}."
    )


def _limits(result: dict[str, Any]) -> str:
    runs = result["runs"]
    smallest, largest = min(run["size"] for run in runs), max(run["size"] for run in runs)
    seen = runs[0]["steps"] * runs[0]["batch"][0]
    return (
        f"**Limits.** The number of steps is the same for every size: {_steps(result)} steps are "
        f"{seen / smallest:.0f} epochs of {smallest} materials and {seen / largest:.0f} of {largest}, so the error for "
        "large training sets may be limited by training time rather than by data. Networks of a lower L have more "
        "parameters at equal mul. Test materials of the same formula are similar, so intervals over materials are "
        "somewhat too narrow. Baselines differ in size and learning rate; their errors do not rank the architectures."
    )
