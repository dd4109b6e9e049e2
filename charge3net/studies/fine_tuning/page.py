"""Section of the page of results on fine-tuning, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from charge3net.report.formatting import duration, estimate, fixed, listed, table, thousands
from charge3net.studies.fine_tuning.summary import SCRATCH, TUNED

#: Heading of the section.
TITLE = "Fine-tuning"

_CAPTION = (
    "Test error against the number of new training structures: mean over test entries and seeds (lines), single seeds "
    "(small dots)."
)


def section(result: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: trainings, errors, figure, rates, limits."""
    figure = f"![curves]({pictures['curves']})\n\n*{_CAPTION}*"
    return "\n\n".join([_setting(result), *_errors(result), figure, _rates(result), _limits(result)])


def _setting(result: dict[str, Any]) -> str:
    data, runs, source = result["data"], result["runs"], result["source"]
    batch, seconds = runs[0]["batch"], [run["seconds"] for run in runs]
    return (
        "How many structures of a new kind of material does a trained model need, and what is gained over training "
        f"from fresh weights? `{source['name']}` (weights {source['weights'][:12]}) was trained further on "
        f"{listed(result['curves'][TUNED]['sizes'])} structures, and the same architecture was trained on them from "
        f"scratch: {thousands(runs[0]['steps'])} steps of {batch[0]} × {batch[1]} probe points each, "
        f"{duration(float(np.median(seconds)))} (median; {len(runs)} trainings, {duration(sum(seconds))} in total). "
        f"Training sets are nested. The weights with the lowest error on {data['validation']} validation structures "
        f"are used; with fine-tuning, those before the first step are among them. Errors are those of every voxel of "
        f"{len(data['keys'])} test structures with {len(set(data['formulas']))} formulas. Split `{data['split']}`, "
        f"store {data['store_hash'][:12]}."
    )


def _errors(result: dict[str, Any]) -> list[str]:
    curves, source = result["curves"], result["source"]
    sizes = curves[TUNED]["sizes"]
    head = ["ε_mae (%)", "N = 0", *(f"N = {size}" for size in sizes)]
    names = {TUNED: f"from {source['name']}", SCRATCH: "from scratch"}
    atoms = [value for value in result["data"]["superposition_nmae_percent"] if value is not None]
    untrained = {
        TUNED: fixed(float(np.mean(source["nmae_percent"]))),
        SCRATCH: f"{fixed(float(np.mean(atoms)))} (SAD)" if atoms else "",
    }
    rows = [[names[start], untrained[start], *_cells(curves[start])] for start in (TUNED, SCRATCH)]
    gains = [estimate(g["pair"]["mean"], g["pair"]["low"], g["pair"]["high"], sign=True) for g in result["gains"]]
    rows.append(["difference", "", *gains])
    text = (
        f"Mean over test structures and seeds, ± standard error{_of_seeds(curves[TUNED])}. The difference is in "
        "percentage points, in pairs, with its 95 % interval over structures."
    )
    if source["seen"] and curves[TUNED]["mean_unseen"] is not None:
        text += (
            f" The model was trained on {listed(source['seen'])} in another cell; without the test structures of this "
            f"formula the errors are {_slashed(curves[TUNED]['mean_unseen'])} and "
            f"{_slashed(curves[SCRATCH]['mean_unseen'])} %."
        )
    return ["\n".join(table(head, rows)), text]


def _cells(curve: Mapping[str, Any]) -> list[str]:
    error = np.square(np.array(curve["material_error"], dtype=float))
    if curve["seed_spread"] is not None:
        error = error + np.square(np.array(curve["seed_spread"])) / len(curve["seeds"])
    return [f"{fixed(mean)} ± {fixed(one)}" for mean, one in zip(curve["mean"], np.sqrt(error), strict=True)]


def _of_seeds(curve: Mapping[str, Any]) -> str:
    if curve["seed_spread"] is None:
        return " over structures"
    return " (the variance over structures and the variance between seeds are added)"


def _slashed(values: Sequence[float]) -> str:
    return " / ".join(fixed(value) for value in values)


def _rates(result: dict[str, Any]) -> str:
    parts = []
    for start, name in ((TUNED, "fine-tuning"), (SCRATCH, "from scratch")):
        tried = ", ".join(f"{r['lr']:g}: {fixed(r['validation_nmae_percent'])} %" for r in result["rates"][start])
        parts.append(f"{name} {tried}; {result['curves'][start]['lr']:g} is used")
    return f"**Learning rates**, with their errors on validation: {'. '.join(parts)}."


def _limits(result: dict[str, Any]) -> str:
    seeds = len({run["seed"] for run in result["runs"]})
    how_many = f"{seeds} seeds" if seeds > 1 else "a single seed"
    return (
        f"**Limits.** One kind of material, {how_many}, one number of steps: a longer "
        "training from scratch may come closer. The rate was chosen at one size and used at all. Test structures of "
        "the same formula are similar, so intervals over structures are somewhat too narrow."
    )
