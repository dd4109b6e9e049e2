"""Section of the page of results on new compositions, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from charge3net.report.formatting import (
    NO_VALUE,
    duration,
    estimate,
    fixed,
    percent,
    plus_minus,
    signed,
    span,
    table,
    thousands,
)
from charge3net.studies.new_compositions.figures import in_words

#: Heading of the section.
TITLE = "New compositions"

#: Labels of the models whose sizes are not the published ones.
_DEEPDFT = {"SchNet", "PaiNN"}

_ERRORS = (
    "Mean over formulas with its standard error; small dots: single seeds. Filled: equal steps; open: equal processor "
    "time."
)
_FORMULAS = "Left: models against the number of training formulas of crystals. Right: every kind of test structure."
_ORDERS = "Mean over structures against the rotation order, relative to the lowest."
_GAIN = "Gain of the highest rotation order over the lowest against ζ, per structure. Linear within ±0.5."
_TRUST = "The shipped model: error of the mean of its members against their spread, test structures."


def section(result: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: data, tables, pairs, learning curve, rotation orders, calibration, limits."""
    paragraphs = [_setting(result), _tests(result)]
    for name, heading in (("equal_steps", "**Equal steps.**"), ("equal_time", "**Equal time.**")):
        if result["tables"][name]:
            paragraphs += _table(result, name, heading)
    paragraphs += [*_seeds(result), *_time(result)]
    paragraphs += [_figure(pictures, "errors", _ERRORS), *_pairs(result)]
    if result["fractions"]:
        paragraphs += [*_fractions(result), _figure(pictures, "formulas", _FORMULAS)]
    if result["orders"]:
        paragraphs += [*_orders(result), _figure(pictures, "orders", _ORDERS)]
    if result["gains"]:
        paragraphs += [_gains(result), _figure(pictures, "gain", _GAIN)]
    if result["calibration"]:
        paragraphs += [*_trust(result["calibration"]), _figure(pictures, "trust", _TRUST)]
    return "\n\n".join([*paragraphs, _limits(result)])


def _figure(pictures: Mapping[str, str], name: str, caption: str) -> str:
    return f"![{name}]({pictures[name]})\n\n*{caption}*"


def _setting(result: Mapping[str, Any]) -> str:
    data, runs = result["data"], result["runs"]
    batch = runs[0]["batch"]
    networks = len({row["network"] for row in runs})
    seconds = [run["processor_seconds"] for run in runs]
    spent = "" if None in seconds else f", {duration(sum(seconds))} of processor time"
    known = all(kind["known_formulas"] == len(kind["keys"]) for kind in result["kinds"].values())
    question = (
        "How well does a model know new distortions of crystals that it was trained on?"
        if known
        else "Which model is right about compositions that no training structure has?"
    )
    return (
        f"{question} {networks} models were trained on the same {data['train']} structures of {data['formulas']} "
        f"formulas, all kinds together, with {batch[0]} × {batch[1]} probe points a step and the loss "
        f"`{runs[0]['loss']}`: "
        f"{len(runs)} trainings{spent}. The weights with the lowest error on {data['validation']} validation "
        "structures are used. No setting of a model was chosen on the test structures; each model was evaluated on "
        f"them when its training had ended. Split `{data['split']}` (hash {data['split_hash'][:12]}), "
        f"store {data['store_hash'][:12]}."
    )


def _tests(result: Mapping[str, Any]) -> str:
    head = ["test", "structures", "formulas", "of a training formula", "left out", "SAD", "SAD by formula"]
    rows = []
    for name, kind in result["kinds"].items():
        sad = result["sad"][name]
        cells = [
            in_words(name),
            len(kind["keys"]),
            len(set(kind["formulas"])),
            kind["known_formulas"],
            kind["left_out"],
        ]
        means = [NO_VALUE] * 2 if sad is None else [plus_minus(sad["entry"]), plus_minus(sad["formula"])]
        if sad is not None and sad["entry"]["count"] < len(kind["keys"]):
            means[0] += f" (of {sad['entry']['count']})"
        rows.append([*map(str, cells), *means])
    note = (
        "Left out: structures that training or validation hold, and formulas that `compositions` of the test "
        "leaves out (`new`: known ones, `known`: new ones). Formulas are reduced (CH₂ for C₂H₄ and C₃H₆). SAD: "
        "ε_mae of the superposition of the DFT code's atoms in %, mean ± standard error."
    )
    return "\n".join(table(head, rows)) + f"\n\n{note}"


def _table(result: Mapping[str, Any], name: str, heading: str) -> list[str]:
    rows = result["tables"][name]
    text = (
        f"{heading} ε_mae in % over every voxel: mean over structures ± standard error; behind it the mean over "
        "formulas. First the mean over seeds of each structure is taken."
    )
    return [text, "\n".join(_errors_table(result, rows, ["seeds", "steps", "lr", "time"], _training_cells))]


def _training_cells(row: Mapping[str, Any]) -> list[str]:
    time = NO_VALUE if row["processor_seconds"] is None else duration(row["processor_seconds"])
    return [str(len(row["seeds"])), thousands(row["steps"]), f"{row['lr']:g}", time]


def _seeds(result: Mapping[str, Any]) -> list[str]:
    """Single seeds, of the first kind by structure."""
    first = next(iter(result["kinds"]))
    parts = [
        f"{row['label']} {', '.join(fixed(error) for error in row['kinds'][first]['seeds'])}"
        for row in result["tables"]["equal_steps"]
        if len(row["seeds"]) > 1
    ]
    return [f"**Seeds.** Means over {in_words(first)} of single seeds, in %: {'; '.join(parts)}."] if parts else []


def _time(result: Mapping[str, Any]) -> list[str]:
    """Processor time of a step, and how far the table of equal steps is one of equal time."""
    rows = [row for row in result["tables"]["equal_steps"] if row["steps"] and row["processor_seconds"] is not None]
    each = {row["network"]: 1e3 * row["processor_seconds"] / row["steps"] for row in rows}
    own = each.get(result["reference"])
    if own is None or len(rows) < 2:
        return []
    steps = ", ".join(f"{row['label']} {fixed(each[row['network']], 0)} ms" for row in rows)
    near = [time for time in each.values() if 0.5 < time / own < 2.0]
    text = f"**Time.** Processor time of a step on one thread, median over seeds: {steps}."
    if len(near) > 1:
        text += (
            f" Of the {len(near)} models within a factor of 2 of {_label(result, result['reference'])} the slowest "
            f"takes {fixed(max(near) / min(near), 1)} times the time of the fastest, so equal steps are about equal "
            "time for these."
        )
    return [text]


def _label(result: Mapping[str, Any], network: str) -> str:
    return next(row["label"] for rows in result["tables"].values() for row in rows if row["network"] == network)


def _errors_table(
    result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], more: Sequence[str], cells: Any
) -> list[str]:
    """A row for each model: what ``cells`` gives, then every kind by structure and by formula."""
    kinds = list(result["kinds"])
    head = ["model", *more, *map(in_words, kinds), "crystals below SAD" if kinds[0] == "crystals" else "below SAD"]
    first = kinds[0]
    lines = []
    for row in rows:
        errors = [
            f"{plus_minus(row['kinds'][kind]['entry'])}; {fixed(row['kinds'][kind]['formula']['mean'])}"
            for kind in kinds
        ]
        below = f"{row['kinds'][first]['below_sad']} of {row['kinds'][first]['with_sad']}"
        lines.append([row["label"], *cells(row), *errors, below])
    return table(head, lines)


def _pairs(result: Mapping[str, Any]) -> list[str]:
    sentences = []
    for name, words in (("equal_steps", "equal steps"), ("equal_time", "equal time")):
        for kind, pair in result["pairs"].get(name, {}).items():
            one = pair["entry"]
            formula = pair["formula"]
            by = (
                ""
                if formula is None
                else f", by formula {estimate(formula['mean'], formula['low'], formula['high'], sign=True)}"
            )
            sentences.append(
                f"* {in_words(kind)}, {words}: {estimate(one['mean'], one['low'], one['high'], sign=True)} by "
                f"structure{by}; better on {pair['better']} of {one['count']}"
            )
    if not sentences:
        return []
    own, other = (_label(result, result[name]) for name in ("reference", "compared"))
    text = f"**{own} against {other}**, paired: how much lower its error is, in percentage points with 95 % intervals."
    return [text, "\n".join(sentences)]


def _fractions(result: Mapping[str, Any]) -> list[str]:
    every = result["data"]["crystal_formulas"]
    rows = sorted(result["fractions"], key=lambda row: (row["label"], row["fraction"]))
    text = (
        f"**Formulas.** The same models with a part of the {every} training formulas of crystals; molecules and "
        "liquids stay whole."
    )
    lines = _errors_table(
        result, rows, ["formulas", "seeds"], lambda row: [f"{every * row['fraction']:.0f}", str(len(row["seeds"]))]
    )
    return [text, "\n".join(lines), *_doublings(result)]


def _doublings(result: Mapping[str, Any]) -> list[str]:
    """What each doubling of the formulas does to the reference, by formula."""
    own = sorted(
        (row for row in result["fractions"] if row["network"] == result["reference"]), key=lambda row: row["fraction"]
    )
    if len(own) < 2:
        return []
    doublings = np.log2(own[-1]["fraction"] / own[0]["fraction"])
    parts = []
    for kind in result["kinds"]:
        low, high = (row["kinds"][kind]["formula"]["mean"] for row in (own[0], own[-1]))
        change = (high / low) ** (1.0 / doublings) - 1.0
        parts.append(f"{in_words(kind)} {signed(100.0 * change, 0)} %")
    return [
        f"Change of the error of {own[0]['label']} for each doubling of these formulas, by formula, from the fewest to "
        f"all: {', '.join(parts)}."
    ]


def _orders(result: Mapping[str, Any]) -> list[str]:
    rows = sorted(result["orders"], key=lambda row: row["order"])
    text = "**Rotation orders** at equal mul, steps and learning rate."
    lines = _errors_table(
        result, rows, ["parameters", "seeds"], lambda row: [thousands(row["parameters"]), str(len(row["seeds"]))]
    )
    return [text, "\n".join(lines)]


def _gains(result: Mapping[str, Any]) -> str:
    parts = []
    for kind, found in result["gains"].items():
        low, high = found["orders"]
        rho, formulas = found["rho"], found["rho_by_formula"]
        if rho is None:
            continue
        by = (
            ""
            if formulas is None
            else f", by formula {estimate(formulas['rho'], formulas['low'], formulas['high'], sign=True)}"
        )
        parts.append(
            f"* {in_words(kind)}: ρ(ζ, gain from L = {low} to {high}) = "
            f"{estimate(rho['rho'], rho['low'], rho['high'], sign=True)}{by}; mean gain {plus_minus(found['mean'])}, "
            f"better on {found['helped']} of {found['mean']['count']}"
        )
    return "\n".join(parts)


def _trust(calibration: Mapping[str, Any]) -> list[str]:
    head = ["test", "structures", "formulas", "ε_mae", "by formula", "SAD", "below SAD", "rank correlation", "coverage"]
    rows, together = [], []
    for part, kinds in calibration["summary"].items():
        trust = calibration["trust"][part]
        rows += [
            _trusted(kind if part == "test" else f"{kind} of other sets", kinds[kind], trust[kind]) for kind in kinds
        ]
        every = trust["all"]
        words = (calibration.get("set") or "benchmark set v2") if part == "test" else "other sets"
        rank = NO_VALUE if every["spearman"] is None else fixed(every["spearman"])
        together.append(f"{words} ({every['entries']}): {rank}, {percent(every['coverage'])}")
    text = (
        "**Calibration of the shipped model** (`data_prep/shipped_models/release.py`): what its expected error, which "
        "follows from the spread of its members and was calibrated on validation structures, says about test "
        "structures. Rank correlation: Spearman's, of the expected with the true error. Coverage: of the 90 % "
        f"interval. All kinds together, {'; '.join(together)}."
    )
    return [text, "\n".join(table(head, rows))]


def _trusted(name: str, found: Mapping[str, Any], trust: Mapping[str, Any]) -> list[str]:
    known, rank = found["sad_percent"], trust["spearman"]
    return [
        in_words(name),
        str(found["entries"]),
        str(found["formulas"]),
        fixed(found["error_percent"]),
        fixed(found["by_formula_percent"]),
        NO_VALUE if known is None else fixed(known),
        NO_VALUE if known is None else str(found["below_sad"]),
        NO_VALUE if rank is None else fixed(rank),
        percent(trust["coverage"]),
    ]


def _limits(result: Mapping[str, Any]) -> str:
    seeds = span([len(row["seeds"]) for rows in result["tables"].values() for row in rows])
    labels = {row["label"] for rows in result["tables"].values() for row in rows}
    small = "SchNet and PaiNN have the sizes of the demo, not the published ones. " if labels & _DEEPDFT else ""
    return (
        f"**Limits.** Seeds of a model: {seeds}; standard errors take structures, or formulas, as independent, and "
        f"leave out the spread between seeds, which the figure shows. {small}Learning rates are those that "
        "docs/studies.md gives. Mesh of k points: two meshes differ by up to 0.4 % in crystals with a small gap "
        "(`data_prep/open_dft/k_points.json`), a floor under every error."
    )
