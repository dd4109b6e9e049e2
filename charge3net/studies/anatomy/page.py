"""Section of the page of results on the anatomy of the error, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from charge3net.report.formatting import (
    NO_VALUE,
    duration,
    estimate,
    fixed,
    listed,
    percent,
    plus_minus,
    signed,
    table,
    thousands,
)

#: Heading of the section.
TITLE = "Anatomy of the error"


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: models, errors, spread of functionals, error by element, distance and density, in space."""
    groups = result["groups"]
    head = ("", "structures", "ε_mae, mean ± s.e. (%)", "between seeds", "median", "SAD", "SAD / model")
    lines = [
        "How large is the error of every test structure, and where is it: around which elements, how far from an "
        "atom, at which density?",
        "",
        *(_models(name, group) for name, group in groups.items()),
        "",
        *table(head, (_row(name, group) for name, group in groups.items())),
        "",
        "SAD: superposition of atomic densities.",
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
        "Predicted − DFT (first seed) of the best, median and worst structure of each group; red: too high, blue: too "
        "low. The isosurfaces enclose 30 % of the error of their structure, so their levels differ.",
        "",
        *(f"![Error in space, {_plain(name)}]({pictures[f'surfaces_{name}']})" for name in groups),
        "",
        _volumes(groups),
    ]
    return "\n".join(lines)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _models(name: str, group: Mapping[str, Any]) -> str:
    """Test structures of a group, and the models that predict them."""
    models = group["models"]
    first, where = models[0], models[0]["trained_with"]
    seeds = listed([model["seed"] for model in models])
    times = listed([duration(model["seconds"]) for model in models if model["seconds"]])
    missing = [f"`{key}`" for key in group["left_out"]]
    left_out = f" Left out, as in training: {', '.join(missing)}." if missing else ""
    return (
        f"* **{_plain(name)}**: test part of `{group['split']}` (hash {group['split_hash'][:8]}). Model: "
        f"{first['name']} with {thousands(first['parameters'])} parameters, seed{'s' * (len(models) > 1)} {seeds}, "
        f"trained for {thousands(first['steps'])} steps of {first['batch'][0]} × {first['batch'][1]} probe points on "
        f"the {where['materials']} training materials of `{where['split']}` (hash {where['split_hash'][:8]}), "
        f"{times}.{left_out}"
    )


def _row(name: str, group: Mapping[str, Any]) -> list[str]:
    summary = group["summary"]
    spread = NO_VALUE if summary["seed_spread"] is None else f"± {fixed(summary['seed_spread'])}"
    baseline = ratio = NO_VALUE
    if "baseline" in summary:
        baseline = plus_minus(summary["baseline"])
        ratio = plus_minus({"mean": summary["ratio"], "standard_error": summary["ratio_error"]}, 1)
    errors = [plus_minus(summary["nmae"]), spread, fixed(summary["median"])]
    return [_plain(name), str(summary["nmae"]["count"]), *errors, baseline, ratio]


def _spread(result: Mapping[str, Any]) -> list[str]:
    """Comparison with ε_mad, group by group, over the structures where it is known."""
    if not any("spread" in group["summary"] for group in result["groups"].values()):
        return ["ε_mad, the spread of density functionals, is known for none of these structures.", ""]
    head = ("", "structures", "ε_mae (%)", "ε_mad (%)", "ε_mae − ε_mad", "ε_mae below ε_mad on")
    rows = []
    for name, group in result["groups"].items():
        found = group["summary"].get("spread")
        if found is not None:
            count, errors = found["mad"]["count"], [plus_minus(found["nmae"]), plus_minus(found["mad"])]
            rows.append([_plain(name), str(count), *errors, _difference(found), f"{found['below']} of {count}"])
    return [
        f"ε_mad is the spread of the densities of {listed(result['functionals']['functionals'])}. "
        "It was computed for some of the test structures; both columns refer to these, and the difference is given "
        "with its 95 % interval:",
        "",
        *table(head, rows),
        "",
    ]


def _difference(found: Mapping[str, Any]) -> str:
    """ε_mae − ε_mad with its interval; a single structure has none."""
    if found["difference"] is None:
        return signed(found["nmae"]["mean"] - found["mad"]["mean"])
    mean, low, high = found["difference"]
    return estimate(mean, low, high, sign=True)


def _worse(name: str, group: Mapping[str, Any]) -> str:
    """A group with larger errors than those of SAD."""
    summary, models = group["summary"], group["models"]
    own, atoms = (np.array([one[key] for one in group["structures"]]) for key in ("nmae", "baseline"))
    text = (
        f"For {_plain(name)} the error of the model is larger than that of SAD ({fixed(summary['nmae']['mean'], 1)} "
        f"% against {fixed(summary['baseline']['mean'], 1)} %; it is smaller for {int((own < atoms).sum())} of "
        f"{len(own)}). "
    )
    losses = [model["last_losses"] for model in models if model["loss"] == "normalised_l1" and model["last_losses"]]
    if losses:
        text += (
            "The last training losses, ε_mae on probe points of training materials of all kinds, are "
            f"{percent(np.mean(losses), 1)} on average: the model fits its training materials better than new ones."
        )
    return text.rstrip() + "\n"


def _elements(groups: Mapping[str, Any]) -> str:
    """Elements of lowest and highest error."""
    found = []
    for name, group in groups.items():
        order = sorted(group["elements"], key=lambda z: group["elements"][z]["mean"])
        found.append(f"{_plain(name)}: {_element(group, order[0])} to {_element(group, order[-1])}")
    return (
        "**Elements.** Error in the Bader volumes of an element (of the DFT density), in % of the electrons there, "
        "pooled over structures, with the standard error over structures. The number below a symbol counts the "
        f"structures with this element; a single structure has no error bar. Lowest and highest: {'; '.join(found)}."
    )


def _element(group: Mapping[str, Any], z: str) -> str:
    row = dict(group["elements"][z])
    if row["structures"] < 2:
        row["standard_error"] = None
    return f"{chemical_symbols[int(z)]} ({plus_minus(row)} %)"


def _distances(groups: Mapping[str, Any]) -> str:
    rows = []
    for name, group in groups.items():
        profile = group["distance"]
        middle = (np.array(profile["edges"][1:]) + np.array(profile["edges"][:-1])) / 2.0
        rows.append(
            [_plain(name), *(fixed(_half(middle, np.array(profile[key])), 1) for key in ("share", "electrons"))]
        )
    head = ("", "half of the error within (Å)", "half of the electrons within (Å)")
    return "\n".join(["**Distance to the nearest atom**, in shells of 0.1 Å.", "", *table(head, rows)])


def _half(middle: np.ndarray, share: np.ndarray) -> float:
    """Where the cumulative sum passes one half."""
    return float(middle[np.searchsorted(np.cumsum(share), 0.5 * share.sum())]) + 0.05


def _densities(groups: Mapping[str, Any]) -> str:
    rows = []
    for name, group in groups.items():
        profile = group["density"]
        edges = np.array(profile["edges"])
        low, high = edges[1:] <= 0.1 + 1e-9, edges[:-1] >= 1.0 - 1e-9
        shares = [np.array(profile[key])[part].sum() for part in (low, high) for key in ("share", "electrons")]
        rows.append([_plain(name), *map(percent, shares)])
    head = ("", "error below 0.1 e/Å³", "electrons", "error above 1 e/Å³", "electrons")
    return "\n".join(["**Density.** Share of the error and of the electrons.", "", *table(head, rows)])


def _volumes(groups: Mapping[str, Any]) -> str:
    """What limits the Bader volumes."""
    lost: dict[str, list[int]] = {}
    for group in groups.values():
        for z, row in group["elements"].items():
            counts = lost.setdefault(chemical_symbols[int(z)], [0, 0])
            counts[0] += row["without_maximum"]
            counts[1] += row["atoms"]
    named = [f"{symbol} {missing} of {atoms}" for symbol, (missing, atoms) in lost.items() if missing]
    share = max(group["astray"] for group in groups.values())
    return (
        "**Bader volumes** are those of the density with Slater cores added; integrals are those of the density "
        "itself (docs/studies.md). Atoms without a maximum, whose volume goes to a neighbour: "
        f"{', '.join(named) or 'none'}. Volumes of maxima away from nuclei go to the nearest atom; they hold at most "
        f"{percent(share, 1)} of the electrons of a structure."
    )
