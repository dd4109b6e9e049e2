"""Section of the page of results on angular dependence, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charge3net.report.formatting import (
    NO_VALUE,
    duration,
    estimate,
    fixed,
    listed,
    plus_minus,
    signed,
    table,
    thousands,
)

#: Heading of the section.
TITLE = "Angular dependence"


def section(result: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: trainings, errors, correlations and their noise, both definitions of ζ, two materials, limits."""
    low, high = result["orders"]
    gain = (
        f"Gain of L = {high} over L = {low} against ζ, per test material. Dots: means over seeds; bars: lowest to "
        "highest seed. In the right panel the gain is divided by the error at the lower order. ρ: Spearman's rank "
        "correlation with its 95 % interval, as in the table."
    )
    surfaces = (
        "Isosurface of the DFT density and of both predictions (first seed), coloured by the difference from DFT. "
        "Above: highest ζ; below: lowest ζ of the test materials."
    )
    profiles = (
        "The same two materials. Left: ρ against the distance to the nearest atom. Right: mean absolute error in "
        "shells of 0.1 Å."
    )
    both = [f"![{name}]({pictures[name]})" for name in ("highest_zeta", "lowest_zeta")]
    return "\n\n".join(
        [
            _setting(result),
            _errors(result["groups"], result["orders"]),
            f"![gain]({pictures['gain']})\n\n*{gain}*",
            _correlations(result["groups"]),
            _noise(result["groups"]),
            *_fitted(result, pictures),
            _methods(result),
            f"![methods]({pictures['methods']})\n\n*ζ from spectral gradients and from the published finite "
            "differences.*",
            _extremes(result),
            "\n\n".join([*both, f"*{surfaces}*"]),
            f"![profiles]({pictures['profiles']})\n\n*{profiles}*",
            _limits(result),
        ]
    )


def _setting(result: dict[str, Any]) -> str:
    data, runs = result["data"], result["runs"]
    low, high = result["orders"]
    parameters, rates = ({run["order"]: run[name] for run in runs} for name in ("parameters", "lr"))
    kinds = " of all kinds" if len(result["groups"]) > 1 else ""
    text = (
        "Does a high rotation order help most where the density depends strongly on the direction from the nearest "
        f"atom, that is, where the angular variation ζ is large? ChargE3Net with L = {low} and L = {high} (mul "
        f"{runs[0]['mul']}; {thousands(parameters[low])} and {thousands(parameters[high])} parameters; learning rates "
        f"{rates[low]:g} and {rates[high]:g}), {len({run['seed'] for run in runs})} seeds each, was trained on "
        f"{data['train']} materials{kinds} for {thousands(runs[0]['steps'])} steps of {runs[0]['batch'][0]} × "
        f"{runs[0]['batch'][1]} probe points ({duration(sum(run['seconds'] for run in runs))} in total). Errors are "
        f"those of every voxel of {data['materials']} test materials; the formulas of {data['known_formulas']} of them "
        f"occur in training. Split `{data['split']}` (hash {data['split_hash'][:12]} as trained on), store "
        f"{data['store_hash'][:12]}."
    )
    if data["left_out"]:
        names = ", ".join(f"`{key}`" for key in data["left_out"])
        text += (
            f" {len(data['left_out'])} materials with less than {result['min_volume']:g} Å³ per atom are left out of "
            f"every part ({names})."
        )
    if result["distance"] is not None:
        text += f" ζ is computed from voxels within {result['distance']:g} Å of an atom."
    return text


def _errors(groups: Sequence[Mapping[str, Any]], orders: Sequence[int]) -> str:
    low, high = orders
    head = [
        "materials",
        "number",
        "ζ: mean (range)",
        f"ε(L={low})",
        f"ε(L={high})",
        "medians",
        "SAD",
        f"L={high} better on",
    ]
    rows = []
    for group in groups:
        zeta, atoms = group["zeta"], group["superposition"]
        row = [
            group["name"],
            str(group["count"]),
            estimate(zeta["mean"], zeta["low"], zeta["high"]),
            plus_minus(group["low"]),
            plus_minus(group["high"]),
            f"{fixed(group['low']['median'])}, {fixed(group['high']['median'])}",
            "" if atoms is None else plus_minus(atoms),
            f"{group['helped']}",
        ]
        rows.append(row)
    note = (
        "ε_mae in %, mean over materials ± standard error, averaged over seeds. SAD: superposition of atomic densities."
    )
    return "\n".join([*table(head, rows), "", note])


def _rho(found: Mapping[str, float] | None) -> str:
    return "too few" if found is None else estimate(found["rho"], found["low"], found["high"], sign=True)


def _correlations(groups: Sequence[Mapping[str, Any]]) -> str:
    """Spearman's ρ for each kind and together."""
    head = ["materials", "ζ and gain", "ζ and relative gain", "published ζ and gain"]
    names = ("gain", "relative_gain", "gain_published_zeta")
    lines = table(head, ([group["name"], *(_rho(group[name]) for name in names)] for group in groups))
    known = [group for group in groups if group["gain"] is not None]
    positive = [_name(group) for group in known if group["gain"]["low"] > 0.0]
    negative = [_name(group) for group in known if group["gain"]["high"] < 0.0]
    text = "Spearman's rank correlation ρ with its 95 % interval; gain: ε at the lower order minus ε at the higher one."
    text += f" Significantly positive: {listed(positive) or 'none'}."
    if negative:
        text += f" Significantly negative: {listed(negative)}."
    return "\n".join([*lines, "", text])


def _name(group: Mapping[str, Any]) -> str:
    return "all together" if group["name"] == "all" else str(group["name"])


def _noise(groups: Sequence[Mapping[str, Any]], explained: bool = False) -> str:
    """How well the gain is reproduced by another seed."""
    head = ("materials", "correlation between seeds", "limit", "standard deviation (percentage points)")
    rows = []
    for group in groups:
        found = group["noise"]["gain"]
        if found is not None:
            deviation = fixed(found["median_deviation"])
            rows.append([group["name"], signed(found["agreement"]), fixed(found["ceiling"]), deviation])
    if not rows:
        return "With a single seed the noise of the gain is unknown."
    lines = table(head, rows)
    if not explained:
        lines += [
            "",
            "**Noise of the gain.** Spearman's ρ between the gains of two seeds; the limit that this sets to any "
            "correlation with the mean gain (Spearman–Brown formula and correction for attenuation); standard "
            "deviation of the gain between seeds (median over materials).",
        ]
    return "\n".join(lines)


def _fitted(result: dict[str, Any], pictures: Mapping[str, str]) -> list[str]:
    """The same for training materials; empty if they were not evaluated."""
    if not result["fitted"]:
        return []
    low, high = result["orders"]
    groups = result["fitted_groups"]
    start = (
        "**Training materials.** The error on a new composition has two parts: what the network cannot represent, and "
        "what it could not learn from the training set. Only the first should depend on ζ. The same comparison on "
        f"{len(result['fitted'])} *training* materials shows the first part, together with the effect of short "
        "training."
    )
    caption = f"Gain of L = {high} over L = {low} against ζ, per training material."
    figure = f"![gain_fitted]({pictures['gain_fitted']})\n\n*{caption}*"
    return [start, _errors(groups, result["orders"]), figure, _correlations(groups), _noise(groups, explained=True)]


def _methods(result: dict[str, Any]) -> str:
    head = ("materials", "ζ(published) − ζ(spectral): mean (range)", "rank correlation")
    rows = []
    for group in result["groups"]:
        found, agreement = group["zeta_difference"], group["zeta_agreement"]
        difference = estimate(found["mean"], found["low"], found["high"], 4, sign=True)
        rows.append([group["name"], difference, NO_VALUE if agreement is None else fixed(agreement["rho"], 3)])
    text = (
        "**Two definitions of ζ.** The published code uses finite differences that are one-sided at the faces of the "
        "cell; here gradients are spectral and periodic."
    )
    return "\n".join([text, "", *table(head, rows)])


def _extremes(result: dict[str, Any]) -> str:
    named = {material["key"]: material for material in result["materials"]}
    low, high = result["orders"]
    parts = []
    for extreme in result["extremes"]:
        material = named[extreme["key"]]
        errors = [sum(material[name]) / len(material[name]) for name in ("low", "high")]
        parts.append(
            f"{extreme['which']} ζ, {material['formula']} (`{extreme['key']}`), ζ = {fixed(material['zeta'], 3)}, "
            f"ε(L={low}) = {fixed(errors[0])} %, ε(L={high}) = {fixed(errors[1])} %"
        )
    return f"**Highest and lowest ζ.** Among the test materials: {'; '.join(parts)}."


def _limits(result: dict[str, Any]) -> str:
    low, high = result["orders"]
    parameters = {run["order"]: run["parameters"] for run in result["runs"]}
    text = (
        f"**Limits.** At equal mul L = {low} has {thousands(parameters[low])} parameters, all for scalars, and L = "
        f"{high} has {thousands(parameters[high])}: where ζ is small, more scalars may be worth more than higher "
        "orders."
    )
    if result["data"]["known_formulas"] < result["data"]["materials"]:
        text += (
            " Test materials with formulas that do not occur in training have errors from lack of data, which no "
            "rotation order removes and which enter the gain."
        )
    text += (
        f" Only L = {low} and L = {high} are compared. The intervals treat test materials as independent; those of one "
        "formula are not."
    )
    if len(result["groups"]) > 1:
        text += (
            " The kinds differ in ζ, in size of error and in number, so the correlation of all together mixes "
            "differences between kinds with those within."
        )
    return text
