"""The page's part on charge transfer, from its result alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from charge3net.analysis.statistics import paired_difference
from charge3net.report.formatting import plus_minus, signed, table
from charge3net.studies.charge_transfer.measure import ATOMS

#: Heading of the section.
TITLE = "Charge transfer"


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Its part of the page in Markdown; ``pictures``: name of a figure → its file."""
    near = f"within {result['radius']:g} Å (%)"
    head = ["", "ε_Δq, all atoms (%)", near, "ε_Δρ, cell (%)", near, "mean error of Δq (e)", "ε_mae of the cells (%)"]
    lines = [
        _what(result),
        "",
        *table(head, (_row(name, model) for name, model in result["models"].items())),
        "",
        "Means over the pairs ± standard error (in brackets: standard deviation between seeds). ε_Δq = Σ|Δq̂ − Δq| "
        "/ Σ|Δq| over the "
        "atoms that stay, with Bader charges of each method's own density; ε_Δρ the same of ρ(before) − ρ(after) "
        "over "
        "voxels. Predicting no change gives 100 %. These are our definitions: the text of the published Eq. 3 "
        "could not be had.",
        "",
        f"![Charge changes, predicted against DFT]({pictures['changes']})",
        "",
        _totals(result),
        "",
        f"![Totals over metals and oxygen]({pictures['totals']})",
        "",
        _comparison(result["models"], result["pairs"]),
        "",
        _scale(result),
        "",
        f"![Errors]({pictures['errors']})",
        "",
        _volumes(result),
    ]
    return "\n".join(lines)


def _what(result: Mapping[str, Any]) -> str:
    data, runs, pairs = result["data"], result["runs"], result["pairs"]
    first = runs[0]
    minutes = [run["seconds"] / 60.0 for run in runs]
    near = [pair["near_atoms"] for pair in pairs]
    seeds = {name: len(model["runs"]) for name, model in result["models"].items() if name != ATOMS}
    rates = {run["name"].split()[0]: run["lr"] for run in runs}
    networks = ", ".join(
        f"{name} ({count} seed{'s' * (count > 1)}, learning rate {rates[name]:g})" for name, count in seeds.items()
    )
    removed = sorted({pair["removed"] for pair in pairs})
    formulas = Counter(pair["formula"] for pair in pairs)
    named = ", ".join(formula if count == 1 else f"{count} of {formula}" for formula, count in formulas.items())
    return (
        f"{len(pairs)} cathode cells before and after one {'/'.join(removed)} atom is taken out, everything else "
        f"in its place "
        f"({named}; test part of `{data['split']}`, "
        f"{data['split_hash'][:8]}). "
        f"Compositions of their metals are not trained on. ChargE3Net {networks}, each trained for "
        f"{first['steps']} steps "
        f"of {first['batch'][0]} × {first['batch'][1]} probes on {data['trained_on']['cathodes']} other cathode "
        f"cells and "
        f"{data['trained_on']['others']} crystals ({_range(minutes)} min a run), total "
        f"density only. "
        f"{_range(near)} of the atoms that stay are within {result['radius']:g} Å of the vacancy."
    )


def _row(name: str, model: Mapping[str, Any]) -> list[str]:
    def cell(key: str) -> str:
        spread = model["seed_spread"][key]
        return plus_minus(model[key], 1) + ("" if spread is None else f" ({spread:.1f})")

    errors = map(cell, ("error", "near_error", "density_error", "near_density_error"))
    return [name, *errors, f"{model['electrons_off']:.4f}", plus_minus(model["nmae"], 2)]


def _totals(result: Mapping[str, Any]) -> str:
    """Where the electron goes, DFT and predicted."""
    pairs = result["pairs"]
    taken = np.array([pair["target"]["removed"] for pair in pairs])
    sums: dict[str, dict[str, float]] = {}
    for name, model in result["models"].items():
        for kind, values in model["totals"].items():
            of_kind = sums.setdefault(kind, {"DFT": float(np.mean(values["dft"]))})
            of_kind[name] = float(np.mean(values["predicted"]))
    rows = "; ".join(
        f"{kind} " + ", ".join(f"{who} {signed(value)}" for who, value in found.items()) for kind, found in sums.items()
    )
    return (
        f"The lithium atom has {taken.mean():.2f} of its one electron in its own Bader volume (DFT, mean over "
        f"pairs). What it had "
        f"given away is missing afterwards. ΣΔq in electrons, mean over pairs: {rows}."
    )


def _comparison(models: Mapping[str, Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> str:
    """Highest against lowest order, and every order against superposed atoms, pair by pair."""
    names = [name for name in models if name != ATOMS]
    sentences = []
    for first, second in ((names[-1], names[0]), *((name, ATOMS) for name in names)):
        if first == second or second not in models or len(models[first]["pairs"]) < 2:
            continue
        own, other = (np.array(models[name]["of_pairs"]["error"]) for name in (first, second))
        pair = paired_difference(own, other)
        interval = f"{signed(pair.low, 0)} … {signed(pair.high, 0)}"
        sentences.append(
            f"{first} minus {second}: {signed(pair.mean, 0)} % ({interval}), smaller on {pair.wins} of {pair.count}."
        )
    if not sentences:
        return "Too few pairs or models for a comparison in pairs."
    text = (
        "ε_Δq in pairs, means over seeds (95 % interval over pairs alone; compare the spread between seeds in the "
        "table): " + " ".join(sentences)
    )
    if len({pair["formula"] for pair in pairs}) < len(pairs):
        text += " Pairs of one composition are no independent draws: the intervals are rather too narrow."
    return text


def _scale(result: Mapping[str, Any]) -> str:
    """How small the change is beside the errors, and what the trainings say."""
    change = np.mean([pair["density_change"] for pair in result["pairs"]])
    errors = ", ".join(f"{name} {plus_minus(model['nmae'], 2)} %" for name, model in result["models"].items())
    runs = [run for run in result["runs"] if run["loss"] == "normalised_l1" and run["last_losses"]]
    text = (
        f"The density of DFT changes by ∫|Δρ|/∫ρ = {change:.2f} % when the atom is taken out, its own electron "
        f"included; ε_mae of the cells is {errors}. A prediction is of use for the transfer only where its errors in "
        f"the two cells cancel, or are well below that."
    )
    if runs:
        fitted = ", ".join(
            f"{run['name']} {100 * run['last_losses']:.1f} % and {run['validation_nmae_percent']:.1f} %" for run in runs
        )
        text += f" ε_mae on the training probes at the end, and on the validation cells: {fitted}."
        if all(run["validation_nmae_percent"] > 200 * run["last_losses"] for run in runs):
            text += f" {result['data']['trained_on']['cathodes']} cathode cells are fitted, but too few to learn from."
    return text


def _volumes(result: Mapping[str, Any]) -> str:
    lost = sorted({symbol for pair in result["pairs"] for symbol in pair["without_maximum"]})
    held = ", ".join(f"{chemical_symbols[int(z)]} {electrons}" for z, electrons in result["valence"].items())
    astray = max(pair["astray"] for pair in result["pairs"])
    atoms = (
        "every atom has its maximum"
        if not lost
        else f"there is no maximum at some {_and(lost)}, which belong to a neighbour"
    )
    off = [
        abs(method["electrons"][0] - method["electrons"][1] - 1.0)
        for pair in result["pairs"]
        for name, method in pair["methods"].items()
        if name != ATOMS
    ]
    return (
        f"Valence electrons in these densities: {held}. Volumes are found with Slater cores added "
        f"(docs/studies.md): {atoms}; maxima "
        f"away from nuclei hold at most {astray:.3f} e. A network does not know how many electrons a cell has: "
        f"what its two "
        f"cells differ by is off from one electron by {np.mean(off):.3f} e in the mean, {np.max(off):.3f} at most."
    )


def _range(values: Sequence[int] | Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


def _and(words: Sequence[str]) -> str:
    return " and ".join(words)
