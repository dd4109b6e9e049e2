"""The page's part on the anatomy of the error, from its result alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from charge3net.report.formatting import plus_minus, table

#: Heading of the section.
TITLE = "Anatomy of the error"


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Its part of the page in Markdown; ``pictures``: name of a figure → its file."""
    groups = result["groups"]
    head = ("", "structures", "ε_mae, mean ± s.e. (%)", "between seeds", "median", "superposition of atoms", "ratio")
    lines = [
        "How large the error of every test structure is, and where in it the error sits: around which element, how "
        "far "
        "from an atom, at which density.",
        "",
        *(_models(name, group) for name, group in groups.items()),
        "",
        *table(head, (_row(name, group) for name, group in groups.items())),
        "",
        *_spread(result),
        *(_worse(name, group) for name, group in groups.items() if (group["summary"].get("ratio") or 1.0) < 1.0),
        f"![Errors of all test structures]({pictures['errors']})",
        "",
        _elements(groups),
        "",
        f"![Error by element]({pictures['elements']})",
        "",
        _distances(groups),
        "",
        f"![Error by distance to the nearest atom]({pictures['distances']})",
        "",
        _densities(groups),
        "",
        f"![Error by density]({pictures['densities']})",
        "",
        "The best, median and worst structure of each group: predicted − true of the first seed, red too much, "
        "blue too "
        "little. 30 % of a structure's error lies inside its surfaces, so their levels differ.",
        "",
        *(f"![Error in space, {name}]({pictures[f'surfaces_{name}']})" for name in groups),
        "",
        _volumes(groups),
    ]
    return "\n".join(lines)


def _models(name: str, group: Mapping[str, Any]) -> str:
    """Who predicted a group, trained on what."""
    models = group["models"]
    first = models[0]
    seeds = ", ".join(str(model["seed"]) for model in models)
    minutes = ", ".join(f"{model['seconds'] / 60:.0f}" for model in models if model["seconds"])
    where = first["trained_with"]
    missing = [f"`{key}`" for key in group["left_out"]]
    left_out = f" Left out, as they were of training: {', '.join(missing)}." if missing else ""
    return (
        f"* **{name.replace('_', ' ')}**: test part of `{group['split']}` ({group['split_hash'][:8]}), predicted by "
        f"{first['name']} with {first['parameters']:,} parameters, seed{'s' * (len(models) > 1)} {seeds}, trained "
        f"for "
        f"{first['steps']} steps of {first['batch'][0]} × {first['batch'][1]} probes on the {where['materials']} "
        f"training materials of `{where['split']}` ({where['split_hash'][:8]}), {minutes} min.{left_out}"
    )


def _row(name: str, group: Mapping[str, Any]) -> list[str]:
    summary = group["summary"]
    spread = "–" if summary["seed_spread"] is None else f"± {summary['seed_spread']:.2f}"
    baseline, ratio = "–", "–"
    if "baseline" in summary:
        baseline = plus_minus(summary["baseline"])
        ratio = f"{summary['ratio']:.1f} ± {summary['ratio_error'] or 0.0:.1f}"
    errors = [plus_minus(summary["nmae"]), spread, f"{summary['median']:.2f}"]
    return [name.replace("_", " "), str(summary["nmae"]["count"]), *errors, baseline, ratio]


def _spread(result: Mapping[str, Any]) -> list[str]:
    """Comparison with ε_mad, group by group, over the structures where it is known."""
    names = ", ".join(result["functionals"]["functionals"])
    if not any("spread" in group["summary"] for group in result["groups"].values()):
        return [_verdict(result["groups"]), ""]
    head = ("", "structures", "ε_mae (%)", "ε_mad (%)", "ε_mae − ε_mad", "model closer than functionals are")
    rows = []
    for name, group in result["groups"].items():
        found = group["summary"].get("spread")
        if found is not None:
            count, errors = found["mad"]["count"], [plus_minus(found["nmae"]), plus_minus(found["mad"])]
            closer = f"{found['below']} of {count}"
            rows.append([name.replace("_", " "), str(count), *errors, _difference(found), closer])
    return [
        f"The spread between functionals, ε_mad over {names}, on those of the test structures for which it was "
        f"computed; "
        "both columns are of the same structures, the difference has its 95 % interval:",
        "",
        *table(head, rows),
        "",
        _verdict(result["groups"]),
        "",
    ]


def _verdict(groups: Mapping[str, Any]) -> str:
    """What was wanted of this study, and whether it was reached."""
    best = max(groups, key=lambda name: groups[name]["summary"].get("ratio") or 0.0)
    ratio = groups[best]["summary"].get("ratio") or 0.0
    reached = "reached" if ratio >= 8.0 else "**not reached**"
    text = (
        "Wanted was a best model 8 times closer than the superposition of atoms on the liquid or the molecules: "
        f"{reached}, the best ratio here is {ratio:.1f} ({best.replace('_', ' ')}). "
    )
    compared = {name: g["summary"]["spread"] for name, g in groups.items() if "spread" in g["summary"]}
    if not compared:
        return text + "ε_mad is known for none of these structures."
    below = [name.replace("_", " ") for name, found in compared.items() if (found["difference"] or [0] * 3)[2] < 0.0]
    if below:
        return text + f"ε_mae below ε_mad was wanted on at least one set: reached on {' and '.join(below)}."
    nearest = min(compared, key=lambda name: compared[name]["nmae"]["mean"] / compared[name]["mad"]["mean"])
    factor = compared[nearest]["nmae"]["mean"] / compared[nearest]["mad"]["mean"]
    return text + (
        f"ε_mae below ε_mad was wanted on at least one set: **not reached**; nearest are {nearest.replace('_', ' ')}, "
        f"{factor:.1f} times ε_mad. Semilocal functionals with the same atomic data lie close together, which makes "
        "this a hard mark."
    )


def _difference(found: Mapping[str, Any]) -> str:
    """ε_mae − ε_mad with its interval; one structure has none."""
    if found["difference"] is None:
        return f"{found['nmae']['mean'] - found['mad']['mean']:+.2f}"
    mean, low, high = found["difference"]
    return f"{mean:+.2f} ({low:+.2f} … {high:+.2f})"


def _worse(name: str, group: Mapping[str, Any]) -> str:
    """What is known of a group on which superposed atoms are better than the model."""
    summary, models = group["summary"], group["models"]
    own, atoms = (np.array([one[key] for one in group["structures"]]) for key in ("nmae", "baseline"))
    text = (
        f"On {name.replace('_', ' ')} the model is further from DFT than superposed atoms are "
        f"({summary['nmae']['mean']:.1f} % "
        f"against {summary['baseline']['mean']:.1f} %; it is closer on {int((own < atoms).sum())} of {len(own)}). "
    )
    losses = [model["last_losses"] for model in models if model["loss"] == "normalised_l1" and model["last_losses"]]
    if losses:
        text += (
            f"It fits what it was trained on: its last losses, which are ε_mae on probes of training materials of "
            f"all kinds, are "
            f"{100 * np.mean(losses):.1f} % in the mean. As far as this tells, it is new compositions that fail: "
            f"whole formulas are "
            f"held out. "
        )
    return text + "\n"


def _elements(groups: Mapping[str, Any]) -> str:
    """Best and worst elements."""
    found = []
    for name, group in groups.items():
        order = sorted(group["elements"], key=lambda z: group["elements"][z]["mean"])
        low, high = order[0], order[-1]
        found.append(f"{name.replace('_', ' ')} from {_element(group, low)} to {_element(group, high)}")
    return (
        "**Elements.** Error inside the Bader volumes of an element (of the DFT density), in % of the electrons "
        "there, "
        "pooled over structures, with the standard error over structures. The number below a symbol counts the "
        f"structures that hold it; where it is 1 there is no error bar. {'; '.join(found)}."
    )


def _element(group: Mapping[str, Any], z: str) -> str:
    row = group["elements"][z]
    return f"{chemical_symbols[int(z)]} ({plus_minus(row)} %)"


def _distances(groups: Mapping[str, Any]) -> str:
    parts = []
    for name, group in groups.items():
        profile = group["distance"]
        middle = (np.array(profile["edges"][1:]) + np.array(profile["edges"][:-1])) / 2.0
        share, electrons = np.array(profile["share"]), np.array(profile["electrons"])
        parts.append(
            f"{name.replace('_', ' ')} half of the error within {_half(middle, share):.1f} Å (half of the electrons "
            f"within {_half(middle, electrons):.1f} Å)"
        )
    return "**Distance to the nearest atom**, in shells of 0.1 Å: " + "; ".join(parts) + "."


def _densities(groups: Mapping[str, Any]) -> str:
    parts = []
    for name, group in groups.items():
        profile = group["density"]
        edges, share, electrons = (np.array(profile[key]) for key in ("edges", "share", "electrons"))
        low = edges[1:] <= 0.1 + 1e-9
        high = edges[:-1] >= 1.0 - 1e-9
        parts.append(
            f"{name.replace('_', ' ')} {100 * share[low].sum():.0f} % below 0.1 e/Å³ and "
            f"{100 * share[high].sum():.0f} % "
            f"above 1 e/Å³ (of the electrons {100 * electrons[low].sum():.0f} % and "
            f"{100 * electrons[high].sum():.0f} %)"
        )
    return "**Density.** Of the error lie in " + "; ".join(parts) + "."


def _volumes(groups: Mapping[str, Any]) -> str:
    """What is to be known of these Bader volumes."""
    lost: dict[str, list[int]] = {}
    for group in groups.values():
        for z, row in group["elements"].items():
            counts = lost.setdefault(chemical_symbols[int(z)], [0, 0])
            counts[0] += row["without_maximum"]
            counts[1] += row["atoms"]
    named = [f"{symbol} {missing} of {atoms}" for symbol, (missing, atoms) in lost.items() if missing]
    astray = max(group["astray"] for group in groups.values())
    text = ", ".join(named) if named else "none"
    return (
        "These are smooth valence densities: Bader volumes are those of the density with Slater cores added, "
        "integrals "
        "those of the density itself (docs/studies.md). Atoms that have no maximum all the same, whose part goes "
        "to a "
        f"neighbour: {text}. Maxima away from every nucleus, in bonds mostly, go to the nearest atom; they hold at "
        f"most "
        f"{100 * astray:.1f} % of a structure's electrons."
    )


def _half(middle: np.ndarray, share: np.ndarray) -> float:
    """Where the running sum passes one half."""
    return float(middle[np.searchsorted(np.cumsum(share), 0.5 * share.sum())]) + 0.05
