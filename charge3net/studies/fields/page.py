"""The study of derivatives on the page of results: curves for its figure, tables and sentences from its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from charge3net.analysis.metrics import Average
from charge3net.analysis.statistics import paired_difference
from charge3net.report.formatting import plus_minus, table
from charge3net.studies.fields.measure import LONG_WAVES
from charge3net.studies.fields.summary import ORDERS

#: Heading of the section.
TITLE = "Derivatives of the density"

#: Row of the table of errors → (key in ``errors``, factor, decimals).
_ROWS = {
    "ρ, relative L1 (%)": ("density", 100.0, 2),
    "∇ρ, relative L1 (%)": ("gradient", 100.0, 2),
    "∇∇ρ, relative L1 (%)": ("hessian", 100.0, 1),
    "λ₁, relative L1 (%)": ("lambda1", 100.0, 1),
    "λ₂, relative L1 (%)": ("lambda2", 100.0, 1),
    "λ₃, relative L1 (%)": ("lambda3", 100.0, 1),
    "sign of λ₂ as of DFT (% of points)": ("sign", 100.0, 1),
    "IRI, relative L1 (%)": ("iri", 100.0, 1),
    "DORI, mean absolute difference": ("dori", 1.0, 3),
    "overlap of the regions IRI < 1 (%)": ("iri_region", 100.0, 1),
    "overlap of the regions DORI > 0.9 (%)": ("dori_region", 100.0, 1),
    "ρ not positive (% of points)": ("not_positive", 100.0, 2),
}

#: Keys of what is no error.
_HIGHER_IS_BETTER = ("sign", "iri_region", "dori_region")


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page section in Markdown; ``pictures``: name of a figure → its file."""
    text = [*_what(result), "", *_table(result), "", *_reference(result), "", *_differences(result), ""]
    text += [f"![errors of derivatives]({pictures['errors']})", ""]
    for i, packed in enumerate(result["slices"]):
        text += [
            f"{packed['key']} ({packed['formula']}), the plane in which most atoms lie; white lines: IRI = 1, "
            "DORI = 0.9; grey: ρ below the floor, or not positive:",
            "",
            f"![slices of {packed['key']}]({pictures[f'slice_{i + 1}']})",
            "",
        ]
    return "\n".join([*text, *_each(result)])


def _what(result: Mapping[str, Any]) -> list[str]:
    model, data, protocol = result["model"], result["data"], result["protocol"]
    training, sizes = model["training"], model["hyperparameters"]
    size = f", mul = {sizes['mul']}" if "mul" in sizes else ""
    trained = ""
    if {"step", "batch", "seed"} <= set(training):
        batch = " × ".join(map(str, training["batch"]))
        trained = f", {training['step']} steps of {batch} probes, seed {training['seed']}"
    if "train_size" in model["data"]:
        trained += f", {model['data']['train_size']} training structures"
    split = f", {data['part']} part of split {data['split_hash'][:10]}" if data["split_hash"] else ""
    count = len(result["structures"])
    lines = [
        f"{model['name']}{size}{trained}. {count} structures of store {data['store']} ({data['store_hash'][:10]})"
        f"{split}, up to {protocol['points']} random voxels each (seed {protocol['seed']}) where the DFT density is "
        f"above {protocol['floor']:g} e/Å³. The model's derivatives by automatic differentiation, those of the DFT "
        "density and of the superposition of atoms by Fourier transform of their grids. Means ± standard errors "
        "over structures:"
    ]
    if data["warnings"]:
        lines = [lines[0].replace(" Means ±", f" Mind: {'; '.join(data['warnings'])}. Means ±")]
    return lines


def _table(result: Mapping[str, Any]) -> list[str]:
    """Columns: every point by automatic differentiation; what the grid holds of it; its long waves alone."""
    model = result["model"]["name"]
    columns = {
        model: ("errors", "model"),
        f"{model}, from its values on the grid": ("errors_of_grid", "model"),
        "superposition of atoms": ("errors", "superposition"),
        f"long waves: {model}": ("errors_of_long_waves", "model"),
        "long waves: superposition": ("errors_of_long_waves", "superposition"),
    }
    rows = []
    for name, (key, factor, decimals) in _ROWS.items():
        cells = [
            _average([factor * one[how][who][key] for one in result["structures"] if who in one[how]], decimals)
            for how, who in columns.values()
        ]
        rows.append([name, *cells])
    return [
        *table(["", *columns], rows),
        "",
        "*From its values on the grid*: derivatives of the waves that the grid holds of the model, as for DFT. "
        f"*Long waves*: both densities without their waves beyond {100 * LONG_WAVES:.0f} % of the grid's limit. "
        + _where_the_error_is(result),
        "",
        *_against_superposition(result),
    ]


def _against_superposition(result: Mapping[str, Any]) -> list[str]:
    """What the model does better and worse, in pairs over structures."""
    having = [one["errors"] for one in result["structures"] if "superposition" in one["errors"]]
    if len(having) < 2:
        return []
    sorted_in: dict[str, list[str]] = {"better": [], "worse": [], "no different": []}
    for name, (key, _, _) in _ROWS.items():
        if key == "not_positive":
            continue
        model, atoms = (np.array([one[who][key] for one in having]) for who in ("model", "superposition"))
        difference = paired_difference(model, atoms)
        better = (difference.mean < 0) != (key in _HIGHER_IS_BETTER)
        place = ("better" if better else "worse") if difference.settled else "no different"
        sorted_in[place].append(name.split(" (")[0].split(",")[0])
    found = [f"{place} in {', '.join(names)}" for place, names in sorted_in.items() if names]
    return [
        f"By automatic differentiation the model is, against the superposition of atoms, {'; '.join(found)} (95 % "
        f"intervals of the differences in pairs, {len(having)} structures)."
    ]


def _where_the_error_is(result: Mapping[str, Any]) -> str:
    """How much of the Hessian's error is in short waves."""
    whole, grid, long = (
        Average.of(100.0 * one[how]["model"]["hessian"] for one in result["structures"]).mean
        for how in ("errors", "errors_of_grid", "errors_of_long_waves")
    )
    text = (
        f"The error of the Hessian is {whole:.0f} %, {grid:.0f} % without what the grid cannot hold, and {long:.0f} % "
    )
    text += "in the long waves: "
    if long < 0.6 * whole:
        return text + "most of it sits in short waves. They are a small part of ρ, and ρ is all that was trained on."
    return text + "it sits in long and short waves alike."


def _average(values: Sequence[float], decimals: int) -> str:
    found = Average.of(values)
    return plus_minus(asdict(found), decimals) if found.count else "—"


def _reference(result: Mapping[str, Any]) -> list[str]:
    """How sharp the reference is, and where the model jumps."""
    beyond = {
        what: _average([100.0 * one["beyond_resolved"][what] for one in result["structures"]], 1) for what in ORDERS
    }
    lines = [
        "How far the reference itself can be trusted: without the waves beyond 80 % of its grid's limit the DFT "
        f"density changes by {beyond['density']} %, its gradient by {beyond['gradient']} %, its Hessian by "
        f"{beyond['hessian']} % (relative L1): that much "
        "depends on the grid and the plane-wave cutoff of the DFT calculation."
    ]
    places, medians, largest = _over(result, "jumps", "places", "median", "largest")
    if medians:
        lines.append(
            "The network is not continuous: an atom that crosses the cutoff leaves with a jump. At "
            f"{sum(places)} random places of cutoff spheres with a density above the floor the jump is "
            f"{100 * np.median(medians):.1f} % of the density (median, of the median structure), "
            f"{100 * max(largest):.0f} % at most. The derivatives above are those of the smooth pieces."
        )
    return lines


def _differences(result: Mapping[str, Any]) -> list[str]:
    checks = [one["differences"] for one in result["structures"] if "gradient" in one["differences"]]
    if not checks:
        return ["No point was left for finite differences."]
    kept, across, near = (sum(c[name] for c in checks) for name in ("points", "across_cutoff", "near_atom"))
    worst: Callable[[str], float] = lambda what: max(c[what]["largest"] for c in checks)  # noqa: E731
    return [
        f"Automatic against finite differences of the same model (float64, central, fourth order, step "
        f"{checks[0]['step']:g} Å) at {kept} points: the largest difference is {worst('gradient'):.0e} of the largest "
        f"gradient of the structure, {worst('hessian'):.0e} of the largest Hessian. Left out were {across} points from "
        f"which a difference would reach across a cutoff sphere and {near} within 0.1 Å of an atom."
    ]


def _each(result: Mapping[str, Any]) -> list[str]:
    """A line per structure, folded."""
    head = ("structure", "atoms", "points", "ρ %", "∇ρ %", "∇∇ρ %", "sign λ₂ %", "IRI %", "s")
    rows = []
    for one in result["structures"]:
        errors = one["errors"]["model"]
        numbers = [100 * errors[name] for name in ("density", "gradient", "hessian", "sign", "iri")]
        cells = [f"{number:.1f}" for number in numbers]
        rows.append([one["key"], str(one["atoms"]), str(one["points"]), *cells, f"{one['seconds']:.0f}"])
    return ["<details><summary>Every structure</summary>", "", *table(head, rows), "", "</details>"]


def _over(result: Mapping[str, Any], group: str, *names: str) -> list[list[Any]]:
    return [[one[group][name] for one in result["structures"] if name in one[group]] for name in names]
