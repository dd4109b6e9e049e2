"""Section of the page of results on charge transfer, written from the result alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from charge3net.analysis.statistics import paired_difference
from charge3net.report.formatting import estimate, fixed, listed, percent, plus_minus, signed, span, table, thousands
from charge3net.studies.charge_transfer.measure import ATOMS

#: Heading of the section.
TITLE = "Charge transfer"


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: pairs and trainings, errors, totals, comparisons, limits."""
    near = f"within {result['radius']:g} Å (%)"
    head = ["", "ε_Δq, all atoms (%)", near, "ε_Δρ, cell (%)", near, "mean error of Δq (e)", "ε_mae of the cells (%)"]
    lines = [
        _setting(result),
        "",
        *table(head, (_row(name, model) for name, model in result["models"].items())),
        "",
        "Means over the pairs ± standard error; in brackets the standard deviation between seeds. ε_Δq = Σ|Δq̂ − Δq| / "
        "Σ|Δq| over the atoms that stay, with Bader charges of each method's own density; ε_Δρ is the same for "
        "ρ(before) − ρ(after) over voxels. Predicting no change gives 100 %. "
        "SAD: superposition of atomic densities.",
        "",
        f"![Charge changes, predicted against DFT]({pictures['changes']})",
        "",
        _totals(result),
        "",
        f"![Total charge changes by kind of atom]({pictures['totals']})",
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


def _setting(result: Mapping[str, Any]) -> str:
    data, runs, pairs = result["data"], result["runs"], result["pairs"]
    first = runs[0]
    seeds = {name: len(model["runs"]) for name, model in result["models"].items() if name != ATOMS}
    rates = {run["name"].split()[0]: run["lr"] for run in runs}
    networks = listed(
        [f"{name} ({count} seed{'s' * (count > 1)}, learning rate {rates[name]:g})" for name, count in seeds.items()]
    )
    removed = "/".join(sorted({pair["removed"] for pair in pairs}))
    formulas = Counter(pair["formula"] for pair in pairs)
    named = ", ".join(formula if count == 1 else f"{count} of {formula}" for formula, count in formulas.items())
    return (
        f"Where does the charge go when one {removed} atom is removed and all other atoms stay in place? {len(pairs)} "
        f"pairs of cells ({named}; test part of `{data['split']}`, hash {data['split_hash'][:8]}). ChargE3Net "
        f"{networks}, each trained for {thousands(first['steps'])} steps of {first['batch'][0]} × {first['batch'][1]} "
        f"probe points on {data['trained_on']['cathodes']} other cells and {data['trained_on']['others']} further "
        f"crystals ({span([run['seconds'] / 60.0 for run in runs])} min per run), total density only. Of the atoms "
        f"that stay, {span([pair['near_atoms'] for pair in pairs])} are within {result['radius']:g} Å of the vacancy."
    )


def _label(name: str) -> str:
    return "SAD" if name == ATOMS else name


def _row(name: str, model: Mapping[str, Any]) -> list[str]:
    def cell(key: str) -> str:
        spread = model["seed_spread"][key]
        return plus_minus(model[key], 1) + ("" if spread is None else f" ({fixed(spread, 1)})")

    errors = map(cell, ("error", "near_error", "density_error", "near_density_error"))
    return [_label(name), *errors, fixed(model["electrons_off"], 4), plus_minus(model["nmae"])]


def _totals(result: Mapping[str, Any]) -> str:
    """Total charge changes by kind of atom, DFT and predicted."""
    models = result["models"]
    removed = np.mean([pair["target"]["removed"] for pair in result["pairs"]])
    rows = []
    for kind, values in next(iter(models.values()))["totals"].items():
        predicted = [signed(np.mean(model["totals"][kind]["predicted"])) for model in models.values()]
        rows.append([kind, signed(np.mean(values["dft"])), *predicted])
    text = (
        f"The Bader volume of the removed atom holds {fixed(removed)} electrons in DFT (mean over pairs). Its other "
        "valence electrons were on the atoms that stay, which lose them. ΣΔq in electrons, mean over pairs:"
    )
    return "\n".join([text, "", *table(("", "DFT", *map(_label, models)), rows)])


def _comparison(models: Mapping[str, Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> str:
    """Highest against lowest order, and every order against SAD, pair by pair."""
    names = [name for name in models if name != ATOMS]
    sentences = []
    for first, second in ((names[-1], names[0]), *((name, ATOMS) for name in names)):
        if first == second or second not in models or len(models[first]["pairs"]) < 2:
            continue
        own, other = (np.array(models[name]["of_pairs"]["error"]) for name in (first, second))
        pair = paired_difference(own, other)
        sentences.append(
            f"{first} minus {_label(second)}: {estimate(pair.mean, pair.low, pair.high, 0, sign=True)}, smaller on "
            f"{pair.wins} of {pair.count} pairs."
        )
    if not sentences:
        return "There are too few pairs or models for a paired comparison."
    text = (
        "Differences of ε_Δq in percentage points, paired, means over seeds (the 95 % interval is over pairs; the "
        f"standard deviation between seeds is in the table): {' '.join(sentences)}"
    )
    if len({pair["formula"] for pair in pairs}) < len(pairs):
        text += " Pairs of the same composition are not independent, so the intervals are somewhat too narrow."
    return text


def _scale(result: Mapping[str, Any]) -> str:
    """Size of the change compared with the errors, and the training errors."""
    change = np.mean([pair["density_change"] for pair in result["pairs"]])
    errors = ", ".join(f"{_label(name)} {plus_minus(model['nmae'])} %" for name, model in result["models"].items())
    runs = [run for run in result["runs"] if run["loss"] == "normalised_l1" and run["last_losses"]]
    text = (
        f"Removing the atom changes the DFT density by ∫|Δρ|/∫ρ = {fixed(change)} %, its own electrons included; ε_mae "
        f"of the cells is {errors}. The transfer is predicted well only if the errors of the two cells cancel or are "
        "well below the change."
    )
    if runs:
        fitted = ", ".join(
            f"{run['name']} {percent(run['last_losses'], 1)} and {fixed(run['validation_nmae_percent'], 1)} %"
            for run in runs
        )
        text += f" ε_mae on the training probe points at the end, and on the validation cells: {fitted}."
    return text


def _volumes(result: Mapping[str, Any]) -> str:
    lost = sorted({symbol for pair in result["pairs"] for symbol in pair["without_maximum"]})
    electrons = ", ".join(f"{chemical_symbols[int(z)]} {count}" for z, count in result["valence"].items())
    elsewhere = max(pair["astray"] for pair in result["pairs"])
    atoms = "every atom has a maximum" if not lost else f"some {listed(lost)} have no maximum and go to a neighbour"
    valence = {chemical_symbols[int(z)]: count for z, count in result["valence"].items()}
    off = [
        abs(method["electrons"][0] - method["electrons"][1] - valence[pair["removed"]])
        for pair in result["pairs"]
        for name, method in pair["methods"].items()
        if name != ATOMS
    ]
    return (
        f"Valence electrons in these densities: {electrons}. Bader volumes are found with Slater cores added "
        f"(docs/studies.md): {atoms}; maxima away from nuclei hold at most {fixed(elsewhere, 3)} e. The number of "
        "electrons of a predicted density is not fixed: the difference between the two cells deviates from the "
        f"valence of the removed atom by {fixed(np.mean(off), 3)} e on average and {fixed(np.max(off), 3)} e at most."
    )
