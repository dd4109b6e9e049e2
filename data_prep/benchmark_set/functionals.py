"""How far four functionals are apart on test structures of benchmark set v1: a summary of the generator's densities.

    python data_prep/open_dft/generate.py functionals -o DIR --count 42
    python -m data_prep.benchmark_set.functionals DIR [-o data_prep/benchmark_set/functionals.json]

For each structure: ε_mad over the functionals (charge3net.analysis.spread), ε_mae of every two of them relative to the
first, and ε_mae of PBE against the density that the set holds, all in %. Means are those of the structures of a kind,
with the standard error, for kinds with two structures or more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from charge3net.analysis.spread import functional_spread, pair_errors
from charge3net.io.files import write_whole
from charge3net.io.packed import decode
from data_prep.benchmark_set.build import BUNDLE, DEMO, KINDS
from data_prep.bundles.bundle import BINARY, read_index
from data_prep.command import make_command

OUT = Path(__file__).resolve().parent / "functionals.json"
REFERENCE = "PBE"


def summary(folder: Path) -> dict[str, Any]:
    """What goes into the JSON file, from every npz in the folder.

    Raises:
        ValueError: for an empty folder, a structure that is not in the set, or files of different functionals.
    """
    committed = _committed()
    rows: list[dict[str, Any]] = []
    settings: set[tuple[str, ...]] = set()
    for path in sorted(folder.glob("*.npz")):
        if path.stem not in committed:
            raise ValueError(f"{path} is no structure of the benchmark set")
        with np.load(path) as file:
            names, density, meta = file["functionals"].tolist(), file["density"], json.loads(str(file["meta"]))
        settings.add((meta["code"], meta["density"], meta["mode"], *names))
        rows.append(_row(path.stem, names, density, *committed[path.stem]))
    if len(settings) != 1:
        raise ValueError(f"{folder} must hold npz files with one list of functionals, found {len(settings)}")
    code, construction, mode, *functionals = settings.pop()
    header = {"code": code, "density": construction, "mode": mode, "functionals": functionals}
    rows.sort(key=lambda row: (KINDS.index(row["kind"]), row["key"]))
    return {**header, "unit": "%", "means": _means(rows), "structures": rows}


def _row(key: str, names: Sequence[str], density: ndarray, record: Mapping[str, Any], bundle: Path) -> dict[str, Any]:
    binary = np.memmap(bundle / BINARY, dtype=np.uint8, mode="r")
    where = record["density"]
    blob = binary[where["offset"] : where["offset"] + where["bytes"]].tobytes()
    stored = decode(blob, tuple(record["shape"]), where["step"])
    own = pair_errors(np.stack([density[names.index(REFERENCE)], stored]), ("computed", "committed"))
    pairs = pair_errors(density, names)
    return {
        "key": key,
        "kind": record["kind"],
        "formula": record["formula"],
        "atoms": len(record["numbers"]),
        "epsilon_mad": round(functional_spread(density), 5),
        "epsilon_mae": {f"{a}-{b}": round(error, 5) for (a, b), error in pairs.items()},
        "epsilon_mae_committed": round(own["computed", "committed"], 5),
    }


def _committed() -> dict[str, tuple[dict[str, Any], Path]]:
    """Record and bundle of every entry; those of the demo set with the kind that they have here."""
    demo = {record["key"]: record for record in read_index(DEMO)[1]}
    entries = {}
    for record in read_index(BUNDLE)[1]:
        there = "from" in record
        entries[record["key"]] = ({**demo[record["key"]], **record}, DEMO) if there else (record, BUNDLE)
    return entries


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    means = {}
    for kind in KINDS:
        values = np.array([row["epsilon_mad"] for row in rows if row["kind"] == kind])
        if len(values) > 1:
            means[kind] = {
                "structures": len(values),
                "epsilon_mad": round(float(values.mean()), 4),
                "standard_error": round(float(values.std(ddof=1) / np.sqrt(len(values))), 4),
                "smallest": float(values.min()),
                "largest": float(values.max()),
            }
    return means


def _report(folder: Path, out: Path) -> str:
    """Write the summary whole or not at all; its table."""
    result = summary(folder)
    write_whole(out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    lines = ["| kind | structures | mean ε_mad | smallest | largest |", "|---|---|---|---|---|"]
    for kind, row in result["means"].items():
        spread = f"{row['epsilon_mad']:.2f} ± {row['standard_error']:.2f} %"
        lines.append(f"| {kind} | {row['structures']} | {spread} | {row['smallest']:.2f} % | {row['largest']:.2f} % |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(_report, __doc__, OUT, arguments)


if __name__ == "__main__":
    sys.exit(main())
