"""Section of the page of results on derivatives of the density, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from charge3net.analysis.metrics import Average
from charge3net.analysis.statistics import paired_difference
from charge3net.report.formatting import NO_VALUE, fixed, listed, percent, plus_minus, table, thousands
from charge3net.studies.fields.measure import LONG_WAVES, NEAR_ATOM, RESOLVED
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
    "sign of λ₂ correct (% of points)": ("sign", 100.0, 1),
    "IRI, relative L1 (%)": ("iri", 100.0, 1),
    "DORI, mean absolute difference": ("dori", 1.0, 3),
    "overlap of the regions IRI < 1 (%)": ("iri_region", 100.0, 1),
    "overlap of the regions DORI > 0.9 (%)": ("dori_region", 100.0, 1),
    "ρ not positive (% of points)": ("not_positive", 100.0, 2),
}

#: Keys of quantities that are no errors.
_HIGHER_IS_BETTER = ("sign", "iri_region", "dori_region")


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: what was compared, the errors, the reference, finite differences, slices."""
    text = [*_setting(result), "", *_table(result), "", *_reference(result), "", *_differences(result), ""]
    text += [f"![errors of derivatives]({pictures['errors']})", ""]
    for i, packed in enumerate(result["slices"]):
        text += [
            f"{packed['key']} ({packed['formula']}), plane through most atoms. White lines: IRI = 1, DORI = 0.9; "
            f"grey: ρ below {packed['floor']:g} e/Å³ or not positive.",
            "",
            f"![slices of {packed['key']}]({pictures[f'slice_{i + 1}']})",
            "",
        ]
    return "\n".join([*text, *_each(result)])


def _setting(result: Mapping[str, Any]) -> list[str]:
    model, data, protocol = result["model"], result["data"], result["protocol"]
    training, sizes = model["training"], model["hyperparameters"]
    facts = [model["name"]] + ([f"mul = {sizes['mul']}"] if "mul" in sizes else [])
    if {"step", "batch", "seed"} <= set(training):
        batch = " × ".join(map(str, training["batch"]))
        facts += [f"{thousands(training['step'])} steps of {batch} probe points", f"seed {training['seed']}"]
    if "train_size" in model["data"]:
        facts.append(f"{model['data']['train_size']} training structures")
    split = f", {data['part']} part of split {data['split_hash'][:10]}" if data["split_hash"] else ""
    text = (
        "How accurate are the derivatives of a predicted density, and the fields that are made of them? Model: "
        f"{', '.join(facts)}. Data: {len(result['structures'])} structures of `{data['store']}` (hash "
        f"{data['store_hash'][:10]}){split}; up to {thousands(protocol['points'])} random voxels of each (seed "
        f"{protocol['seed']}) with a DFT density above {protocol['floor']:g} e/Å³. Derivatives of the model are from "
        f"automatic differentiation; those of DFT and of the superposition of atomic densities (SAD) from the "
        "Fourier transform of their grids."
    )
    if data["warnings"]:
        text += f" Note: {'; '.join(data['warnings'])}."
    return [f"{text} Means ± standard errors over structures:"]


def _table(result: Mapping[str, Any]) -> list[str]:
    """All points by automatic differentiation; what the grid holds of the model; long wavelengths alone."""
    model = result["model"]["name"]
    columns = {
        model: ("errors", "model"),
        f"{model}, from its grid": ("errors_of_grid", "model"),
        "SAD": ("errors", "superposition"),
        f"long waves: {model}": ("errors_of_long_waves", "model"),
        "long waves: SAD": ("errors_of_long_waves", "superposition"),
    }
    rows = []
    for name, (key, factor, decimals) in _ROWS.items():
        cells = [
            _average([factor * one[how][method][key] for one in result["structures"] if method in one[how]], decimals)
            for how, method in columns.values()
        ]
        rows.append([name, *cells])
    return [
        *table(["", *columns], rows),
        "",
        "*From its grid*: spectral derivatives of the model's values on the DFT grid, as for DFT. *Long waves*: both "
        f"densities without plane waves beyond {percent(LONG_WAVES)} of the grid's limit. "
        f"{_where_the_error_is(result)}",
        "",
        *_against_sad(result),
    ]


def _against_sad(result: Mapping[str, Any]) -> list[str]:
    """Quantities that the model predicts better or worse than SAD, paired over structures."""
    having = [one["errors"] for one in result["structures"] if "superposition" in one["errors"]]
    if len(having) < 2:
        return []
    sorted_in: dict[str, list[str]] = {"better": [], "worse": [], "not significantly different": []}
    for name, (key, _, _) in _ROWS.items():
        if key == "not_positive":
            continue
        model, atoms = (np.array([one[method][key] for one in having]) for method in ("model", "superposition"))
        difference = paired_difference(model, atoms)
        better = (difference.mean < 0) != (key in _HIGHER_IS_BETTER)
        place = ("better" if better else "worse") if difference.settled else "not significantly different"
        sorted_in[place].append(name.split(" (")[0].split(",")[0].removesuffix(" correct"))
    found = "; ".join(f"{place} in {listed(names)}" for place, names in sorted_in.items() if names)
    return [
        f"Compared with SAD, the model (automatic differentiation) is {found} (95 % intervals of paired differences "
        f"over {len(having)} structures)."
    ]


def _where_the_error_is(result: Mapping[str, Any]) -> str:
    """How much of the Hessian's error is at short wavelengths."""
    whole, grid, long = (
        Average.of(100.0 * one[how]["model"]["hessian"] for one in result["structures"]).mean
        for how in ("errors", "errors_of_grid", "errors_of_long_waves")
    )
    text = (
        f"The error of the Hessian is {fixed(whole, 0)} %, {fixed(grid, 0)} % from the grid and {fixed(long, 0)} % for "
        "long waves: "
    )
    if long < 0.6 * whole:
        return text + "most of it is at short wavelengths, which are a small part of ρ, the only training target."
    return text + "it is at long and short wavelengths alike."


def _average(values: Sequence[float], decimals: int) -> str:
    found = Average.of(values)
    return plus_minus(asdict(found), decimals) if found.count else NO_VALUE


def _reference(result: Mapping[str, Any]) -> list[str]:
    """Uncertainty of the reference, and discontinuities of the model."""
    beyond = {
        what: _average([100.0 * one["beyond_resolved"][what] for one in result["structures"]], 1) for what in ORDERS
    }
    lines = [
        f"The reference depends on its grid and plane-wave cutoff: without plane waves beyond {percent(RESOLVED)} of "
        f"the grid's limit the DFT density changes by {beyond['density']} %, its gradient by {beyond['gradient']} %, "
        f"its Hessian by {beyond['hessian']} % (relative L1)."
    ]
    places, medians, largest = _over(result, "jumps", "places", "median", "largest")
    if medians:
        lines.append(
            f"The network is discontinuous where an atom crosses the cutoff. At {thousands(sum(places))} random points "
            f"of cutoff spheres the density jumps by {percent(np.median(medians), 1)} (median of the medians of "
            f"structures), at most by {percent(max(largest))}. The derivatives above exclude these jumps."
        )
    return lines


def _differences(result: Mapping[str, Any]) -> list[str]:
    checks = [one["differences"] for one in result["structures"] if "gradient" in one["differences"]]
    if not checks:
        return ["No point was left for finite differences."]
    used, across, near = (sum(c[name] for c in checks) for name in ("points", "across_cutoff", "near_atom"))
    gradient, hessian = (max(c[what]["largest"] for c in checks) for what in ("gradient", "hessian"))
    return [
        "Check of automatic differentiation against finite differences of the same model (float64, central, fourth "
        f"order, step {checks[0]['step']:g} Å) at {used} points: the largest deviation is {gradient:.0e} of the "
        f"largest gradient of the structure and {hessian:.0e} of the largest Hessian. Excluded: {across} points whose "
        f"differences cross a cutoff sphere, {near} points within {NEAR_ATOM:g} Å of an atom."
    ]


def _each(result: Mapping[str, Any]) -> list[str]:
    """A row per structure, folded."""
    head = ("structure", "atoms", "points", "ρ (%)", "∇ρ (%)", "∇∇ρ (%)", "sign of λ₂ (%)", "IRI (%)", "time (s)")
    rows = []
    for one in result["structures"]:
        errors = one["errors"]["model"]
        cells = [fixed(100 * errors[name], 1) for name in ("density", "gradient", "hessian", "sign", "iri")]
        rows.append([one["key"], str(one["atoms"]), thousands(one["points"]), *cells, fixed(one["seconds"], 0)])
    return ["<details><summary>Every structure</summary>", "", *table(head, rows), "", "</details>"]


def _over(result: Mapping[str, Any], group: str, *names: str) -> list[list[Any]]:
    return [[one[group][name] for one in result["structures"] if name in one[group]] for name in names]
