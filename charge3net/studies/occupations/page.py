"""Section of the page of results on density matrices, written from the result alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charge3net.report.formatting import plus_minus, rounded, table
from charge3net.studies.occupations.measure import MEAN, NEUTRAL, PREDICTED

#: Heading of the section.
TITLE = "PAW density matrices"

_SOURCES = (NEUTRAL, MEAN, PREDICTED)


def section(result: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Markdown: what was trained, errors by order and element, starts of GPAW, limits."""
    parts = [_setting(result), *_errors(result), f"![Error of D by order]({pictures['orders']})"]
    return "\n\n".join([*parts, *_starts(result), _limits(result)])


def _setting(result: Mapping[str, Any]) -> str:
    entries, formulas, training = result["data"]["entries"], result["data"]["formulas"], result["training"]
    weights, left_out = result["model"]["weights"][:12], result["data"]["left_out"]["test"]
    return (
        "How well can the atomic density matrices D of PAW calculations be predicted, and what is a start from them "
        f"worth? A head on the atom features of `{result['model']['name']}` (weights {weights}, not changed) was "
        f"trained for {training['steps']} steps of {training['batch']} crystals on {entries['train']} crystals of "
        f"{formulas['train']} formulas; the last weights are used, nothing was chosen by validation. Tested on "
        f"{entries['test']} crystals of {formulas['test']} other formulas ({left_out} with an "
        f"element that no training crystal has are left out). One seed. When a test crystal is turned, "
        f"the predicted D turns with it up to {result['turned']:.0e} of its largest part with L > 0."
    )


def _errors(result: Mapping[str, Any]) -> list[str]:
    from ase.data import chemical_symbols

    found = result["summary"]["errors"]
    head = ["L", "neutral atoms", "mean of the element", "predicted"]
    rows = [[order, *(rounded(one[name]) for name in _SOURCES)] for order, one in found["orders"].items()]
    rows.append(["all", *(rounded(found["all"][name]) for name in _SOURCES)])
    by_element = [
        [chemical_symbols[int(z)], str(one["atoms"]), *(rounded(one[name]) for name in _SOURCES)]
        for z, one in found["elements"].items()
    ]
    text = (
        "Root mean square over atoms of ‖ΔD‖ (electrons; all numbers of D, both triangles). The mean of the element "
        "is that of L = 0 over training atoms. The prediction is better than it for "
        f"{found['better_than_mean']} of {found['structures']} crystals."
    )
    return [text, "\n".join(table(head, rows)), "\n".join(table(["element", "atoms", *head[1:]], by_element))]


def _starts(result: Mapping[str, Any]) -> list[str]:
    found, count = result["summary"]["starts"], len(result["calculations"])
    if not found:
        return ["No calculation was started from these matrices." + _lost(result)]
    text = (
        f"GPAW started {count} test crystals from each pair of density and D: wavefunctions are converged in the "
        "fixed potential, which gives the energy without self-consistency (mean |ΔE| against the converged one); then "
        "the loop goes on, and its iterations are counted. `atoms` is GPAW's own start."
    )
    text += _lost(result)
    rows = [[*_names(name), plus_minus(one["energy"]), plus_minus(one["iterations"], 1)] for name, one in found.items()]
    return [text, "\n".join(table(["density", "D", "ΔE (meV/atom)", "iterations"], rows))]


def _lost(result: Mapping[str, Any]) -> str:
    lost = result.get("not_converged")
    return f" Left out, since GPAW did not converge from one of the starts: {', '.join(lost)}." if lost else ""


def _names(start: str) -> tuple[str, str]:
    density, _, source = start.partition("-")
    return (density, source) if source else (start, start)


def _limits(result: Mapping[str, Any]) -> str:
    formulas = result["data"]["formulas"]["test"]
    return (
        f"**Limits.** {formulas} test formulas are few, and copies of one formula are alike. Sums over spins, one "
        f"code, its PBE setups. Orders above {result['training']['lmax']} are not predicted. GPAW was run without "
        "spin only."
    )
