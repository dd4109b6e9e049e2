"""The study of spin in words, from its numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from charge3net.report.formatting import table
from charge3net.studies.spin.summary import GROUPS, SIGNED, UNSIGNED, WITH_TRAINED, atom_moments, chosen, variant_name

#: Heading of the section.
TITLE = "Spin"


def section(result: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """Its part of the page of results."""
    parts = [_what(result), _table(result), _pairs(result), _sign(result), _moments(result)]
    parts[1:1] = [f"![errors of total density and magnetisation by group]({pictures['errors']})"]
    parts.append(f"![predicted against DFT moments]({pictures['moments']})")
    parts.append(_alike(result))
    if "maps" in pictures:
        parts.append(f"![magnetisation on a plane: DFT, predicted, difference]({pictures['maps']})")
    return "\n\n".join(part for part in parts if part)


def _what(result: dict[str, Any]) -> str:
    data, first = result["data"], result["variants"][0]
    model, training = first["training"]["model"], first["training"]
    seconds = [s for variant in result["variants"] for s in variant["training_seconds"]]
    cases = [case for case in first["cases"][0] if case["group"] in GROUPS]
    parameters = ", ".join(
        f"{v['parameters']} and {v['training']['optim']['lr']:g} (L = {v['lmax']})"
        for v in result["variants"]
        if v["loss"] == UNSIGNED
    )
    none = [case["key"] for case in cases if case["alignment"] == "none"]
    text = (
        f"ChargE3Net with two channels (mul = {model['mul']}, {model['num_interactions']} layers, reduced from the "
        f"published 500), total density and collinear magnetisation m = up − down, trained on {len(data['train'])} "
        f"spin-polarised crystals of two to four atoms (metals, alloys, Heusler compounds, rock salts; split "
        f"`{data['split_hash'][:12]}`) for {first['steps']} steps of {training['data']['batch_size']} structures × "
        f"{training['data']['probes']} probes, {min(seconds):.0f} to {max(seconds):.0f} s each on a shared CPU; seeds "
        f"{', '.join(map(str, first['seeds']))}; parameters and learning rates: {parameters}. "
        f"Tested on {len(cases)} structures: distorted copies of compositions that were trained on, and every copy of "
        f"{len(data['unseen_formulas'])} compositions that were not ({', '.join(data['unseen_formulas'])}). The last "
        "weights are used; nothing was chosen by an error."
    )
    if none:
        text += f" Without moments in DFT, and left out of the errors of m: {', '.join(none)}."
    return text + (
        " An SCF loop ends with m or −m as it was started, and a structure fixes neither: errors of m are those of the "
        "better sign, and so is the loss, structure by structure (`unsigned_l1`)."
    )


def _table(result: dict[str, Any]) -> str:
    head = ("model", "structures", "ε_mae total", "superposition", "ε_mae of m", "parallel", "antiparallel")
    names = ("total", "baseline", "unsigned", "unsigned parallel", "unsigned antiparallel")
    rows = []
    for variant, row in zip(result["variants"], result["averages"], strict=True):
        for group, title in WITH_TRAINED.items():
            rows.append([variant_name(variant), title, *(_cell(row[group][name]) for name in names)])
    return "\n".join(table(head, rows)) + (
        "\n\nIn %, mean over structures (of the mean over seeds) ± standard error over structures; in brackets the "
        "number of structures." + _verdict(result)
    )


def _verdict(result: dict[str, Any]) -> str:
    """How test errors compare with those of training and of the superposition of atoms."""
    sentences, smallest = [], np.inf
    for row, variant in zip(result["averages"], result["variants"], strict=True):
        tested = [row[group] for group in GROUPS if row[group]["total"]]
        if variant["loss"] != UNSIGNED or not tested:
            continue
        times = [found["total"]["mean"] / row["trained"]["total"]["mean"] for found in tested]
        worse = [found for found in tested if found["baseline"] and found["total"]["mean"] > found["baseline"]["mean"]]
        smallest = min(smallest, *times)
        sentences.append(
            f"{variant_name(variant)}: ε_mae of the total density is {min(times):.1f} to {max(times):.1f} times that "
            f"of the training structures, above that of the superposition of atoms in {len(worse)} of {len(tested)} "
            "groups"
        )
    lesson = (
        " The training structures are learned and do not suffice, probably because one cell or two of each composition "
        "show a network few distances between atoms and few surroundings of each element. What follows is what this "
        "set allows, and no measure of the method."
    )
    return "\n\n" + "; ".join(sentences) + "." + (lesson if 3.0 < smallest < np.inf else "")


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    error = found["standard_error"]
    spread = "" if error is None else f" ± {error:.2g}"
    return f"{found['mean']:.3g}{spread} ({found['structures']})"


def _pairs(result: dict[str, Any]) -> str:
    orders = [variant["lmax"] for variant in result["variants"] if variant["loss"] == UNSIGNED]
    sentences = []
    for row in result["pairs"]:
        name = "the total density" if row["error"] == "total" else "m"
        verdict = "not settled" if row["low"] < 0.0 < row["high"] else "lower" if row["mean"] < 0.0 else "higher"
        sentences.append(
            f"{name}, {GROUPS[row['group']]}: {row['mean']:+.2f} % ({row['low']:+.2f} … {row['high']:+.2f}; lower on "
            f"{row['wins']} of {row['count']}), {verdict}"
        )
    if not sentences:
        return ""
    return (
        f"**L = {orders[-1]} against L = {orders[0]}**, differences of ε_mae structure by structure with 95 % "
        f"intervals: " + "; ".join(sentences) + ". Structures of one composition are no independent draws, so the "
        "intervals are narrower than they should be."
    )


def _sign(result: dict[str, Any]) -> str:
    tables = dict(zip(map(variant_name, result["variants"]), result["averages"], strict=True))
    signed = [row for row in result["averages"] if row["loss"] == SIGNED]
    if not signed:
        return ""
    free = tables[f"L = {signed[0]['lmax']}"]
    parts = []
    for group, title in WITH_TRAINED.items():
        for alignment in ("parallel", "antiparallel"):
            one, other = (row[group][f"unsigned {alignment}"] for row in (signed[0], free))
            if one and other:
                parts.append(f"{title}, {alignment}: {_cell(one)} against {_cell(other)} %")
    return (
        "**The sign.** The antiparallel crystals were started with a random global sign, the parallel ones up. Trained "
        f"with the plain loss (`l1`, {len(signed_seeds(result))} seeds) L = {signed[0]['lmax']} has, against the loss "
        "up to the sign, and again judged up to the sign: "
        + "; ".join(parts)
        + ". Where these overlap nothing is shown."
    )


def signed_seeds(result: dict[str, Any]) -> list[int]:
    """Seeds of the trainings with the sign."""
    return [seed for variant in result["variants"] if variant["loss"] == SIGNED for seed in variant["seeds"]]


def _moments(result: dict[str, Any]) -> str:
    sentences = []
    for variant in result["variants"]:
        if variant["loss"] != UNSIGNED:
            continue
        parts = []
        for group, title in GROUPS.items():
            true, predicted = atom_moments(variant["cases"], chosen(group))
            if len(true):
                errors = np.abs(predicted - true).mean(axis=1)
                parts.append(f"{_over_seeds(errors)} μ_B ({title}, {len(true)} atoms)")
        cells = [[c for c in cases if c["group"] in GROUPS] for cases in variant["cases"]]
        errors = np.array([np.mean([abs(c["cell"][1] - c["cell"][0]) for c in cases]) for cases in cells])
        sentences.append(
            f"{variant_name(variant)} is wrong by {' and '.join(parts)} per atom, by {_over_seeds(errors)} μ_B per cell"
        )
    return (
        "**Moments** of V, Cr, Mn, Fe, Co and Ni atoms in spheres of 1.2 Å, and of cells, mean |predicted − DFT| ± "
        f"spread between seeds: {'; '.join(sentences)}. Bars in the figure go from the lowest to the highest seed."
    )


def _over_seeds(errors: np.ndarray) -> str:
    spread = f" ± {errors.std(ddof=1):.2g}" if len(errors) > 1 else ""
    return f"{errors.mean():.3g}{spread}"


def _alike(result: dict[str, Any]) -> str:
    best = [variant for variant in result["variants"] if variant["loss"] == UNSIGNED][-1]
    cases = [case for case in best["cases"][0] if case["group"] == "alike"]
    if not cases:
        return ""
    rows = []
    for case in sorted(cases, key=lambda case: case["key"]):
        true, predicted = (" ".join(f"{m:+.2f}" for m in moments[:2]) for moments in case["atoms"])
        error = "" if case["unsigned"] is None else f"{case['unsigned']:.0f} %"
        rows.append([case["key"], true, predicted, error])
    lines = table(("structure", "DFT", "predicted", "ε_mae of m"), rows)
    return (
        "**What no such network can tell.** In an antiferromagnet whose two sublattices are alike, the operation that "
        "exchanges them turns m into −m but leaves the structure, and with it everything that an equivariant network "
        "computes from it, unchanged: the predicted m has the symmetry of the structure and is equal on both. Nearly "
        "so after a small distortion, because the network is continuous. These crystals were therefore neither trained "
        "on nor counted above; moments of their two metal atoms in μ_B, "
        f"{variant_name(best)}, seed {best['seeds'][0]}:\n\n" + "\n".join(lines) + "\n\nA moment there is what was "
        "learned from other crystals, with one sign for both sites. To predict such states the pattern "
        "of signs must be part of the input; this model has no place for it."
    )
