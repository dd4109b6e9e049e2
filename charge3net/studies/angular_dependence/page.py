"""The part of the page of results on angular dependence, written from the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charge3net.report.formatting import plus_minus, signed, table

#: Heading of the section.
TITLE = "Angular dependence"

#: Spearman's ρ between ζ and the gain that was hoped for.
WANTED = 0.5


def section(result: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: what was trained, the correlations and their noise, both ways to take ζ, the two extreme materials."""
    low, high = result["orders"]
    gain = (
        f"What L = {high} saves over L = {low} against ζ, per test material: dots are means over seeds, bars reach "
        "from the lowest to the highest seed. The right panel divides by the error at the lower order."
    )
    methods = "ζ with spectral gradients and with the published finite differences."
    surfaces = (
        "Isosurface of the DFT density and of both models' (first seed); coloured by the difference from DFT. "
        "Above: highest ζ; below: lowest ζ of the test materials."
    )
    profiles = (
        "The same two materials. Left: ρ against the distance to the nearest atom; right: mean absolute error in "
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
            f"![methods]({pictures['methods']})\n\n*{methods}*",
            _extremes(result),
            "\n\n".join([*both, f"*{surfaces}*"]),
            f"![profiles]({pictures['profiles']})\n\n*{profiles}*",
            _limits(result),
        ]
    )


def _setting(result: dict[str, Any]) -> str:
    data, runs = result["data"], result["runs"]
    low, high = result["orders"]
    seconds = sum(run["seconds"] for run in runs) / 60.0
    seeds = len({run["seed"] for run in runs})
    parameters, rates = ({run["order"]: run[name] for run in runs} for name in ("parameters", "lr"))
    kinds = " of all kinds" if len(result["groups"]) > 1 else ""
    text = (
        f"ChargE3Net with L = {low} and L = {high} (mul {runs[0]['mul']}, {parameters[low]} and {parameters[high]} "
        f"parameters), {seeds} seeds each, trained on {data['train']} materials{kinds} for {runs[0]['steps']} "
        f"steps of {runs[0]['batch'][0]} × {runs[0]['batch'][1]} probes at learning rates of {rates[low]:g} and "
        f"{rates[high]:g} ({seconds:.0f} minutes together, on a shared machine); errors on every voxel of "
        f"{data['materials']} test materials, {data['known_formulas']} of them of a formula that is trained on. Split "
        f"`{data['split']}` (hash {data['split_hash'][:12]} as trained on), store {data['store_hash'][:12]}."
    )
    if data["left_out"]:
        names = ", ".join(f"`{key}`" for key in data["left_out"])
        text += (
            f" Left out of every part are the {len(data['left_out'])} with less than {result['min_volume']:g} Å³ per "
            f"atom ({names}), atoms pressed into each other; `min_volume=null` keeps them."
        )
    if result["distance"] is not None:
        text += f" ζ is taken over voxels within {result['distance']:g} Å of an atom."
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
        "superposition of atoms",
        f"L={high} better on",
    ]
    rows = []
    for group in groups:
        zeta, atoms = group["zeta"], group["superposition"]
        row = [
            group["name"],
            str(group["count"]),
            f"{zeta['mean']:.2f} ({zeta['low']:.2f} … {zeta['high']:.2f})",
            plus_minus(group["low"]),
            plus_minus(group["high"]),
            f"{group['low']['median']:.2f}, {group['high']['median']:.2f}",
            "" if atoms is None else plus_minus(atoms),
            f"{group['helped']}",
        ]
        rows.append(row)
    return "\n".join(table(head, rows)) + "\n\nε_mae in %, mean over materials ± standard error, averaged over seeds."


def _rho(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "too few"
    return f"{signed(found['rho'])} ({signed(found['low'])} … {signed(found['high'])})"


def _correlations(groups: Sequence[Mapping[str, Any]]) -> str:
    """Spearman's ρ per kind and together, and whether what was wanted is reached."""
    head = ["materials", "ζ and gain", "ζ and relative gain", "published ζ and gain"]
    names = ("gain", "relative_gain", "gain_published_zeta")
    lines = table(head, ([group["name"], *(_rho(group[name]) for name in names)] for group in groups))
    reached = _over(groups, "gain")
    relative = _over(groups, "relative_gain")
    text = f"Spearman's ρ with its 95 % interval. Wanted: ρ(ζ, gain) > {WANTED:g}."
    text += f" It is so for {_joined(reached)}" if reached else " It is so for none of them"
    text += f"; with the relative gain for {_joined(relative)}." if relative else "; with the relative gain for none."
    settled = [g["name"] for g in groups if g["gain"] is not None and g["gain"]["low"] > 0.0]
    opposite = [g["name"] for g in groups if g["gain"] is not None and g["gain"]["high"] < 0.0]
    if settled:
        text += f" Positive beyond chance (interval above zero): {_joined(settled)}."
    if opposite:
        text += f" Negative beyond chance: {_joined(opposite)}."
    if not settled:
        text += " Nowhere is the interval above zero."
    return "\n".join([*lines, "", text])


def _over(groups: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    return [group["name"] for group in groups if group[name] is not None and group[name]["rho"] > WANTED]


def _joined(names: Sequence[str]) -> str:
    return ", ".join("all together" if name == "all" else name for name in names)


def _noise(groups: Sequence[Mapping[str, Any]], explained: bool = False) -> str:
    """How far the gain is repeatable."""
    parts = []
    for group in groups:
        found = group["noise"]["gain"]
        if found is not None:
            parts.append(
                f"{_joined([group['name']])}: agreement {signed(found['agreement'])}, so at most "
                f"{found['ceiling']:.2f}; deviation {found['median_deviation']:.2f} points"
            )
    if not parts:
        return "Trained once: how much of the gain is chance is not known."
    if explained:
        return f"Between seeds, {'; '.join(parts)}."
    return (
        "**Noise of the gain.** Training again with another seed gives other gains. Spearman's ρ between the gains "
        "of two seeds, the largest correlation that their mean can be expected to have with anything "
        "(Spearman–Brown, attenuation), and the median over materials of the standard deviation between seeds: "
        f"{'; '.join(parts)}."
    )


def _fitted(result: dict[str, Any], pictures: Mapping[str, str]) -> list[str]:
    """The same on training materials; nothing if they were not evaluated."""
    if not result["fitted"]:
        return []
    low, high = result["orders"]
    groups = result["fitted_groups"]
    start = (
        "**On what was trained on.** The error on a new composition is made of what a network cannot represent and "
        f"of what it could not know; only the first has to do with ζ. Here is the same for {len(result['fitted'])} "
        "*training* materials, whose errors are those of representation and of short training."
    )
    caption = f"What L = {high} saves over L = {low} against ζ, per training material."
    figure = f"![gain_fitted]({pictures['gain_fitted']})\n\n*{caption}*"
    return [start, _errors(groups, result["orders"]), figure, _correlations(groups), _noise(groups, explained=True)]


def _methods(result: dict[str, Any]) -> str:
    parts = []
    for group in result["groups"]:
        found = group["zeta_difference"]
        parts.append(
            f"{_joined([group['name']])}: {signed(found['mean'], 4)} on average ({signed(found['low'], 4)} … "
            f"{signed(found['high'], 4)}; rank correlation of both {group['zeta_agreement']['rho']:.3f})"
            if group["zeta_agreement"] is not None
            else f"{_joined([group['name']])}: {signed(found['mean'], 4)} on average"
        )
    return (
        "**ζ taken in two ways.** The published code differentiates by finite differences that are one-sided at the "
        f"faces of the cell; here gradients are spectral and periodic. ζ(published) − ζ(spectral), {'; '.join(parts)}."
    )


def _extremes(result: dict[str, Any]) -> str:
    named = {material["key"]: material for material in result["materials"]}
    low, high = result["orders"]
    parts = []
    for extreme in result["extremes"]:
        material = named[extreme["key"]]
        errors = [sum(material[name]) / len(material[name]) for name in ("low", "high")]
        parts.append(
            f"{extreme['which']} ζ: {material['formula']} (`{extreme['key']}`), ζ = {material['zeta']:.3f}, "
            f"ε(L={low}) = {errors[0]:.2f} %, ε(L={high}) = {errors[1]:.2f} %"
        )
    return f"**The two extremes.** Of the test materials, {'; '.join(parts)}."


def _limits(result: dict[str, Any]) -> str:
    low, high = result["orders"]
    parameters = {run["order"]: run["parameters"] for run in result["runs"]}
    text = (
        f"*Not shown.* At equal mul L = {low} has {parameters[low]} parameters, all for scalars, and L = {high} "
        f"{parameters[high]}: where ζ is small, more scalars can be worth more than higher orders. These networks are "
        "trained for minutes, not days"
    )
    if result["data"]["known_formulas"] < result["data"]["materials"]:
        text += (
            ": the errors of crystals of rarely seen elements are those of too little data, which no rotation order "
            "repairs, and they enter the gain"
        )
    text += (
        f". Only L = {low} and L = {high} are compared. The intervals take test materials as independent; those of one "
        "formula are not."
    )
    if len(result["groups"]) > 1:
        text += (
            " Together, the kinds differ in ζ, in size of error and in number: that correlation is between kinds as "
            "well as within."
        )
    return text
