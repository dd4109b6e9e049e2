"""Section of the page of results on restarts, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charge3net.report.formatting import estimate, fixed, listed, percent, plus_minus, rounded, table, thousands
from charge3net.studies.restart.measure import EXACT, OWN, SAD, TUNED

_OWN = {".gth": f"{OWN}: its own start, whose atoms are cruder, since .gth files hold none; "}

#: Heading of the section.
TITLE = "Restarts of pw.x"


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: what was run, steps and work, energies and bands, the law, what was wanted."""
    summary = result["summary"]
    lines = [_setting(result), "", *_tuning(result["tuning"]), ""]
    for name, found in summary["sets"].items():
        lines += [*_tables(name, found, result), "", _against_tuned(found, summary["middle"]), ""]
    lines += [
        "Saved: 1 − Σ(start) / Σ(SAD), of steps, FFTs and time, with 95 % intervals of a bootstrap over compositions. "
        "Slowed: structures that take more steps than from SAD. FFTs are of wavefunctions, time is processor time with "
        "the prediction included. Energies and bands without SCF are of one diagonalisation in the density's potential "
        "(Harris–Foulkes functional); bands: mean |Δε| of the occupied ones; gap: mean |Δ| of the smallest difference "
        "over the mesh." + _few(summary["sets"]),
        "",
        *_sizes(summary["sizes"]),
        "",
        f"![SCF steps against the error of the start]({pictures['law']})",
        "",
        _law(result),
        "",
        f"![Energies without self-consistency]({pictures['energies']})",
        "",
        _energies(result),
    ]
    return "\n".join(lines)


def _few(sets: Mapping[str, Any], enough: int = 8) -> str:
    """A warning about sets of few compositions."""
    few = [f"{name} ({found['compositions']})" for name, found in sets.items() if found["compositions"] < enough]
    return f" Too few compositions for these intervals to mean much: {listed(few)}." if few else ""


def _setting(result: Mapping[str, Any]) -> str:
    data, runs = result["data"], result["runs"]
    networks = listed([f"{name} ({len(members)} seed{'s' * (len(members) > 1)})" for name, members in runs.items()])
    first = next(iter(runs.values()))[0]
    left_out = sum(data["left_out"].values())
    return (
        f"How many steps does pw.x save when it starts from a prediction, with no result of the structure known? "
        f"GTH-PBE pseudopotentials ({result['extension']} files); {networks}, trained for "
        f"{thousands(first['steps'])} steps of {first['batch'][0]} × {first['batch'][1]} probe points on "
        f"{data['trained_on']} densities of {data['formulas']} compositions. "
        f"Test structures with an element that no training structure has are left out ({left_out}). SAD: "
        f"superposed atoms of the same pseudopotentials with diago_thr_init = 1d-2, pw.x's threshold for an atomic "
        f"start, and diago_david_ndim = 2, pw.x's own; {_OWN.get(result['extension'], '')}{EXACT}: the converged "
        f"density."
    )


def _tuning(tuning: Mapping[str, Any]) -> list[str]:
    """The choice of the diagonalisation."""
    head = [
        "diago_thr_init",
        "diago_david_ndim",
        *(f"{start}: {what}" for start in ("SAD", tuning["name"]) for what in ("steps", "FFTs")),
    ]
    rows = [
        [
            f"{row['threshold']:g}",
            str(row["ndim"]),
            *(cell for start in ("SAD", "model") for cell in _cells(row[start])),
        ]
        for row in tuning["rows"]
    ]
    chosen = (
        f"The threshold of the first diagonalisation and the size of Davidson's basis were chosen on "
        f"{tuning['structures']} validation structures of {tuning['compositions']} compositions, by the FFTs of "
        f"wavefunctions of all runs: {_way(tuning['model'])} for predictions and for the exact density, "
        f"{_way(tuning['SAD'])} for superposed atoms (“{TUNED}”)."
    )
    return [chosen, "", *table(head, rows)]


def _way(chosen: Mapping[str, Any]) -> str:
    return f"{chosen['threshold']:g} and {chosen['ndim']}"


def _cells(found: Mapping[str, Any]) -> list[str]:
    return [fixed(found["steps"]), thousands(found["transforms"])]


def _tables(name: str, found: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    thresholds, middle = result["thresholds"], result["summary"]["middle"]
    counts = f"{found['structures']} structures, {found['compositions']} compositions"
    heads = [f"steps to {threshold:.0e}" for threshold in thresholds]
    shown = sorted({0, middle})
    head = [f"{name} ({counts})", "ε_mae (%)", *heads, *(f"saved at {thresholds[i]:.0e} (%)" for i in shown), "slowed",
            "FFTs saved (%)", "time saved (%)"]  # fmt: skip
    second = [f"{name}: without SCF", "energy, mean (meV per atom)", "median", "largest", "bands (meV)", "gap (meV)"]
    rows = [_steps(start, values, shown) for start, values in found["starts"].items()]
    errors = [
        [
            start, rounded(values["energy_without_scf"]["mean"]), rounded(values["energy_without_scf"]["median"]),
            rounded(values["energy_without_scf"]["largest"]), rounded(values["bands"]["mean"]),
            rounded(values["gap"]["mean"]),
        ]
        for start, values in found["starts"].items()
        if "bands" in values and start != EXACT
    ]  # fmt: skip
    return [*table(head, rows), "", *table(second, errors)]


def _against_tuned(found: Mapping[str, Any], middle: int) -> str:
    """What the last model saves where SAD starts with its best diagonalisation too."""
    name = list(found["starts"])[-1]
    start = found["starts"][name]
    steps = _saved(start["saved_steps_tuned"][middle])
    work, time = (_saved(start[f"saved_{key}_tuned"]) for key in ("transforms", "seconds"))
    return f"Against “{TUNED}”, {name} saves {steps} % of the steps, {work} % of the FFTs and {time} % of the time."


def _steps(start: str, values: Mapping[str, Any], shown: Sequence[int]) -> list[str]:
    error = "" if "nmae" not in values else rounded(values["nmae"]["mean"])
    steps = ["" if one is None else plus_minus(one) for one in values["steps"]]
    if start == SAD:
        return [start, error, *steps, *("0" for _ in shown), "", "0", "0"]
    fewer = [_saved(values["saved_steps"][i]) for i in shown]
    work = [_saved(values[f"saved_{key}"]) for key in ("transforms", "seconds")]
    return [start, error, *steps, *fewer, percent(values["slowed"][shown[-1]]), *work]


def _sizes(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Does work fall further in larger cells?"""
    names = list(found[0]["starts"])
    head = ["atoms", "structures", *(f"{name}: {what} saved (%)" for name in names for what in ("FFTs", "time"))]
    rows = [
        [
            " to ".join(map(str, sorted(set(one["atoms"])))), str(one["structures"]),
            *(_saved(one["starts"][name][f"saved_{key}"]) for name in names for key in ("transforms", "seconds")),
        ]
        for one in found
    ]  # fmt: skip
    return table(head, rows)


def _saved(found: Mapping[str, Any] | None) -> str:
    return "" if found is None else estimate(found["value"], found["low"], found["high"], 1)


def _law(result: Mapping[str, Any]) -> str:
    fit, threshold = result["summary"]["law"], result["thresholds"][result["summary"]["middle"]]
    return (
        f"Steps to {threshold:.0e} Ry ≈ {fixed(fit['constant'])} + {fixed(fit['slope'])}·log₁₀(ε_mae/%) over "
        f"{fit['count']} predictions (r = {fixed(fit['correlation'])}). The published {result['published']:g} % are "
        f"{fixed(fit['published_steps'])} steps here ({TUNED}: {fixed(fit['sad_steps'])}); for that this law asks an "
        f"ε_mae of {rounded(fit['published_nmae'], 2)} %. That work used VASP, another set of materials and the true "
        "augmentation charges."
    )


def _energies(result: Mapping[str, Any]) -> str:
    largest = max(
        values["largest_energy_difference"]
        for found in result["summary"]["sets"].values()
        for values in found["starts"].values()
    )
    return f"Converged energies of all starts agree to {rounded(largest, 2)} Ry."
