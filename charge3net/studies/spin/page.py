"""Section of the page of results on spin, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from charge3net.analysis.moments import RADIUS
from charge3net.report.formatting import estimate, listed, percent, rounded, signed, span, table, thousands
from charge3net.studies.spin.summary import (
    GROUPS,
    MAGNETIC,
    SIGNED,
    UNSIGNED,
    WITH_TRAINED,
    atom_moments,
    chosen,
    variant_name,
)

#: Heading of the section.
TITLE = "Spin"


def section(result: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: trainings, errors, comparison of rotation orders, the sign, moments, equivalent sublattices."""
    parts = [
        _setting(result),
        f"![errors of total density and magnetisation by group]({pictures['errors']})",
        _table(result),
        _pairs(result),
        _sign(result),
        _moments(result),
        f"![predicted against DFT moments]({pictures['moments']})",
        _alike(result),
    ]
    if "maps" in pictures:
        parts.append(f"![magnetisation on a plane: DFT, predicted, difference]({pictures['maps']})")
    return "\n\n".join(part for part in parts if part)


def _setting(result: dict[str, Any]) -> str:
    data, first = result["data"], result["variants"][0]
    model, training = first["training"]["model"], first["training"]
    seconds = [s for variant in result["variants"] for s in variant["training_seconds"]]
    cases = [case for case in first["cases"][0] if case["group"] in GROUPS]
    sizes = listed(
        [
            f"L = {v['lmax']} ({thousands(v['parameters'])} parameters, learning rate {v['training']['optim']['lr']:g})"
            for v in result["variants"]
            if v["loss"] == UNSIGNED
        ]
    )
    none = [f"`{case['key']}`" for case in cases if case["alignment"] == "none"]
    text = (
        "How well does a network with two channels predict the total density and the collinear magnetisation m = up − "
        f"down? ChargE3Net with mul = {model['mul']} and {model['num_interactions']} layers, {sizes}, was trained on "
        f"{len(data['train'])} structures (split `{data['split_hash'][:12]}`) for {thousands(first['steps'])} steps of "
        f"{training['data']['batch_size']} structures × {training['data']['probes']} probe points ({span(seconds)} s "
        f"each), seeds {listed(first['seeds'])}. It was tested on {len(cases)} structures: new distortions of training "
        f"compositions, and {len(data['unseen_formulas'])} new compositions ({', '.join(data['unseen_formulas'])}). "
        "The weights of the last step are used, so no error was used to choose a model."
    )
    if none:
        text += f" Without moments in DFT, and left out of the errors of m: {', '.join(none)}."
    return text + (
        " A DFT calculation converges to m or −m depending on its start, and the structure determines neither. Errors "
        "of m are therefore those of the better sign of each structure, and so is the loss (`unsigned_l1`)."
    )


def _table(result: dict[str, Any]) -> str:
    head = ("model", "structures", "ε_mae total", "SAD", "ε_mae of m", "parallel", "antiparallel")
    names = ("total", "baseline", "unsigned", "unsigned parallel", "unsigned antiparallel")
    rows = []
    for variant, row in zip(result["variants"], result["averages"], strict=True):
        for group, title in WITH_TRAINED.items():
            rows.append([variant_name(variant), title, *(_cell(row[group][name]) for name in names)])
    note = (
        "In %, mean over structures (of the mean over seeds) ± standard error over structures; in brackets the number "
        f"of structures. SAD: superposition of atomic densities. {_compared(result)}"
    )
    return "\n".join([*table(head, rows), "", note.rstrip()])


def _compared(result: dict[str, Any]) -> str:
    """Test errors against those of training structures and of SAD."""
    sentences = []
    for row, variant in zip(result["averages"], result["variants"], strict=True):
        tested = [row[group] for group in GROUPS if row[group]["total"]]
        if variant["loss"] != UNSIGNED or not tested:
            continue
        times = [found["total"]["mean"] / row["trained"]["total"]["mean"] for found in tested]
        worse = [found for found in tested if found["baseline"] and found["total"]["mean"] > found["baseline"]["mean"]]
        sentences.append(
            f"{variant_name(variant)}: the error of the total density is {span(times, 1)} times that of the training "
            f"structures, and larger than that of SAD in {len(worse)} of {len(tested)} groups."
        )
    return " ".join(sentences)


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    error = found["standard_error"]
    spread = "" if error is None else f" ± {rounded(error, 2)}"
    return f"{rounded(found['mean'])}{spread} ({found['structures']})"


def _pairs(result: dict[str, Any]) -> str:
    orders = [variant["lmax"] for variant in result["variants"] if variant["loss"] == UNSIGNED]
    sentences = []
    for row in result["pairs"]:
        name = "total density" if row["error"] == "total" else "m"
        verdict = "not significant" if row["low"] < 0.0 < row["high"] else "lower" if row["mean"] < 0.0 else "higher"
        sentences.append(
            f"{name}, {GROUPS[row['group']]}: {estimate(row['mean'], row['low'], row['high'], sign=True)}, lower for "
            f"{row['wins']} of {row['count']}, {verdict}"
        )
    if not sentences:
        return ""
    return (
        f"**L = {orders[-1]} against L = {orders[0]}.** Differences of ε_mae in percentage points, paired over "
        f"structures, with 95 % intervals: {'; '.join(sentences)}. Structures of one composition are not independent, "
        "so the intervals are somewhat too narrow."
    )


def _sign(result: dict[str, Any]) -> str:
    averages = dict(zip(map(variant_name, result["variants"]), result["averages"], strict=True))
    signed_rows = [row for row in result["averages"] if row["loss"] == SIGNED]
    if not signed_rows:
        return ""
    free = averages[f"L = {signed_rows[0]['lmax']}"]
    rows = []
    for group, title in WITH_TRAINED.items():
        for alignment in ("parallel", "antiparallel"):
            cells = [row[group][f"unsigned {alignment}"] for row in (signed_rows[0], free)]
            if all(cells):
                rows.append([f"{title}, {alignment}", *map(_cell, cells)])
    seeds = [seed for variant in result["variants"] if variant["loss"] == SIGNED for seed in variant["seeds"]]
    text = (
        f"**The sign.** L = {signed_rows[0]['lmax']} was also trained with the plain loss (`l1`, {len(seeds)} seeds), "
        "with the sign of the DFT calculation. Errors of m in %, again of the better sign:"
    )
    return "\n".join([text, "", *table(("structures", "`l1`", "`unsigned_l1`"), rows)])


def _moments(result: dict[str, Any]) -> str:
    rows = []
    for variant in result["variants"]:
        if variant["loss"] != UNSIGNED:
            continue
        cells = []
        for group in GROUPS:
            true, predicted = atom_moments(variant["cases"], chosen(group))
            errors = np.abs(predicted - true)
            cells.append(f"{_over_seeds(errors.mean(axis=1))} ({len(true)})" if len(true) else "")
        tested = [[c for c in cases if c["group"] in GROUPS] for cases in variant["cases"]]
        errors = np.array([np.mean([abs(c["cell"][1] - c["cell"][0]) for c in cases]) for cases in tested])
        rows.append([variant_name(variant), *cells, _over_seeds(errors)])
    elements = listed([chemical_symbols[z] for z in MAGNETIC])
    text = (
        f"**Moments.** Mean |predicted − DFT| in μ_B ± standard deviation between seeds, for atoms of {elements} in "
        f"spheres of {RADIUS:g} Å (in brackets their number) and for cells. Bars in the figure: lowest to highest seed."
    )
    head = ("model", *(f"atoms, {title}" for title in GROUPS.values()), "cells")
    return "\n".join([text, "", *table(head, rows)])


def _over_seeds(errors: np.ndarray) -> str:
    return rounded(errors.mean()) + (f" ± {rounded(errors.std(ddof=1), 2)}" if len(errors) > 1 else "")


def _alike(result: dict[str, Any]) -> str:
    best = [variant for variant in result["variants"] if variant["loss"] == UNSIGNED][-1]
    cases = [case for case in best["cases"][0] if case["group"] == "alike"]
    if not cases:
        return ""
    rows = []
    for case in sorted(cases, key=lambda case: case["key"]):
        true, predicted = (" ".join(signed(m) for m in moments[:2]) for moments in case["atoms"])
        error = "" if case["unsigned"] is None else percent(case["unsigned"] / 100.0)
        rows.append([case["key"], true, predicted, error])
    lines = "\n".join(table(("structure", "DFT", "predicted", "ε_mae of m"), rows))
    return (
        "**Equivalent sublattices.** In some antiferromagnets an operation exchanges the two sublattices and leaves "
        "the structure unchanged, while it turns m into −m. An equivariant network computes m from the structure "
        "alone, so its m has the symmetry of the structure and is equal on both sublattices; after a small distortion "
        "it is nearly equal, because the prediction changes little. To predict such states the pattern of signs must "
        "be part of the input, which this model does not support. These structures are not part of the training set "
        f"or of the errors above. Moments of their first two atoms in μ_B, {variant_name(best)}, seed "
        f"{best['seeds'][0]}:\n\n{lines}"
    )
