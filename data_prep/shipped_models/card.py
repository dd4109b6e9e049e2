"""The card of a shipped model: data, elements, errors by kind and by group of elements, where not to use it.

    python -m data_prep.shipped_models.card NAME

Writes ``NAME.md`` beside this file, from the release and ``NAME.json`` (:mod:`data_prep.shipped_models.release`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula

from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.pretrained.releases import Release, shipped_releases

HERE = Path(__file__).resolve().parent
FUNCTIONALS = HERE.parent / "benchmark_set" / "functionals.json"

_NOT_FOR = """\
* Densities of other codes or potentials: it predicts what GPAW's PAW setups hold, and near nuclei every set differs.
* Magnetisation: it has none. Crystals of magnetic elements were computed spin-polarised where the sets say so.
* Charged cells, electric fields, excited states: the structure is all that it sees.
* Surfaces, defects, amorphous solids, molecules of other elements than H C N O: not tested.
* Forces, energies, core properties: it has no such output."""


def groups_of(formula: str) -> list[str]:
    """The groups of elements that a formula holds; nonmetals only if there is nothing else."""
    numbers = {chemical_symbols.index(symbol) for symbol in Formula(formula).count()}
    found = [name for name, members in _GROUPS.items() if numbers & members]
    return found or ["nonmetals only"]


def _ranges(*ends: tuple[int, int]) -> frozenset[int]:
    return frozenset(z for first, last in ends for z in range(first, last + 1))


_GROUPS = {
    "alkali and alkaline earth metals": _ranges((3, 4), (11, 12), (19, 20), (37, 38), (55, 56)),
    "transition metals, Zn, Cd, Hg": _ranges((21, 30), (39, 48), (72, 80)),
    "lanthanides": _ranges((57, 71)),
    "metals and semimetals of the p block": _ranges((5, 5), (13, 14), (31, 33), (49, 52), (81, 83)),
}


def card(release: Release, record: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    elements = " ".join(f"{chemical_symbols[z]} {count}" for z, count in sorted(release.elements.items()))
    return "\n\n".join(
        [
            f"# The shipped model `{release.name}`",
            f"Made by `python -m data_prep.shipped_models.card {release.name}`; numbers are those of the "
            f"release and of `{release.name}.json`.",
            f"**What.** {release.summary}. Density: {release.density}.",
            f"**Elements**, with the number of training structures that hold them: {elements}.",
            "**Errors by kind**, on structures that were used for nothing else: ε_mae in %, mean over structures ± "
            "standard error, and mean over formulas. SAD is the superposition of the code's atoms; ε_mad is how far "
            "four functionals (PBE, LDA, revPBE, RPBE) are apart on structures of the kind "
            "(`data_prep/benchmark_set/functionals.json`).",
            _by_kind(record),
            "**Errors by group of elements**, on all test crystals; a crystal counts in every group that it holds.",
            _by_group([*record["test"], *record["others"]]),
            "**Where not to use it.**",
            _NOT_FOR,
            "How certain one prediction is: [docs/predict.md](../../docs/predict.md#how-certain-is-a-prediction).",
        ]
    )


def _by_kind(record: Mapping[str, Any]) -> str:
    apart = json.loads(FUNCTIONALS.read_text(encoding="utf-8"))["means"]
    lines = ["| kind | structures | formulas | ε_mae | by formula | SAD | below SAD | ε_mad |", "|" + "---|" * 8]
    for part in ("test", "others"):
        for kind, found in record["summary"][part].items():
            known = [row for row in record[part] if row["kind"] == kind and row["sad"] is not None]
            functional = f"{apart[kind]['epsilon_mad']:.2f}" if kind in apart else ""
            lines.append(
                f"| {kind} | {found['entries']} | {found['formulas']} | {found['error_percent']:.2f} ± "
                f"{found['standard_error']:.2f} | {found['by_formula_percent']:.2f} | {found['sad_percent']:.2f} | "
                f"{found['below_sad']} of {len(known)} | {functional} |"
            )
    return "\n".join(lines)


def _by_group(rows: Sequence[Mapping[str, Any]]) -> str:
    crystals = [row for row in rows if row["kind"] not in ("molecules", "liquids")]
    lines = ["| crystals with | structures | formulas | ε_mae | SAD |", "|" + "---|" * 5]
    for group in (*_GROUPS, "nonmetals only"):
        own = [row for row in crystals if group in groups_of(row["formula"])]
        if own:
            errors = np.array([100.0 * row["error"] for row in own])
            sad = 100.0 * np.mean([row["sad"] for row in own if row["sad"] is not None])
            formulas = len({row["formula"] for row in own})
            error = f" ± {errors.std(ddof=1) / np.sqrt(len(own)):.2f}" if len(own) > 1 else ""
            lines.append(f"| {group} | {len(own)} | {formulas} | {errors.mean():.2f}{error} | {sad:.2f} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    name = parser.parse_args(arguments).name
    try:
        if name not in (releases := shipped_releases()):
            raise InputError(f"{name}: no such shipped model; there are {', '.join(releases)}")
        record = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
        write_whole(HERE / f"{name}.md", card(releases[name], record) + "\n")
    except (InputError, OSError) as error:
        parser.error(str(error))
    print(HERE / f"{name}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
