"""Make a shipped model from trained runs: their checkpoints, a calibration, errors on the test entries.

    python -m data_prep.shipped_models.release NAME RUN... --data DIR

DIR is what ``data_prep.shipped_models.store`` made, RUN are the run folders of several seeds. The calibration is fitted
on the validation entries; the test entries are evaluated once, for the errors in ``release.json`` and for
``NAME.json`` beside this file, which holds both parts structure by structure.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charge3net import Predictor, Store, load_model, save_model
from charge3net.analysis.statistics import spearman
from charge3net.data.splits import read_split
from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.predict.uncertainty import Calibration, mean_and_spread, relative_spread
from charge3net.pretrained.releases import FOLDER, RELEASE
from data_prep.bundles.bundle import read_index
from data_prep.bundles.unpack import BUNDLES
from data_prep.shipped_models.store import SETS

HERE = Path(__file__).resolve().parent


def evaluate(members: Sequence[Predictor], store: Store, key: str) -> dict[str, Any]:
    """Errors (fractions) of the members, of their mean and of the superposition of atoms, and the relative spread."""
    entry = store[key]
    truth = entry.density()
    predictions = [member.predict(entry.geometry, grid=truth.grid) for member in members]
    total = float(np.abs(truth.total).sum(dtype=np.float64))
    each = [float(np.abs(one.total - truth.total).sum(dtype=np.float64)) / total for one in predictions]
    mean, spread = mean_and_spread(predictions)
    baseline = entry.baseline
    electrons = truth.electrons()
    return {
        "key": key,
        "formula": entry.geometry.formula,
        "members": [round(error, 6) for error in each],
        "error": round(float(np.abs(mean[0] - truth.total).sum(dtype=np.float64)) / total, 6),
        "spread": round(relative_spread(spread[0], mean[0]), 6),
        "electron_error": round(float(mean[0].sum(dtype=np.float64) * truth.grid.voxel_volume) / electrons - 1.0, 6),
        "sad": None
        if baseline is None
        else round(float(np.abs(baseline - truth.total).sum(dtype=np.float64)) / total, 6),
    }


def kinds() -> dict[str, str]:
    """Key → kind of all entries of the sets."""
    records = [record for name in SETS for record in read_index(BUNDLES[name])[1]]
    return {record["key"]: record.get("kind", "crystals") for record in records}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By kind: means by entry and by formula, standard errors, SAD, and how often the model beats it, in %."""
    found = {}
    for kind in sorted({row["kind"] for row in rows}):
        own = [row for row in rows if row["kind"] == kind]
        formulas: dict[str, list[float]] = {}
        for row in own:
            formulas.setdefault(row["formula"], []).append(row["error"])
        errors = np.array([row["error"] for row in own])
        known = [row for row in own if row["sad"] is not None]
        found[kind] = {
            "entries": len(own),
            "formulas": len(formulas),
            "error_percent": round(100.0 * float(errors.mean()), 3),
            "standard_error": round(100.0 * float(errors.std(ddof=1) / np.sqrt(len(own))), 3) if len(own) > 1 else None,
            "by_formula_percent": round(100.0 * float(np.mean([np.mean(v) for v in formulas.values()])), 3),
            "member_percent": round(100.0 * float(np.mean([row["members"] for row in own])), 3),
            "sad_percent": round(100.0 * float(np.mean([row["sad"] for row in known])), 3) if known else None,
            "below_sad": sum(row["error"] < row["sad"] for row in known),
            "electron_error_percent": round(100.0 * float(np.mean([abs(row["electron_error"]) for row in own])), 3),
        }
    return found


def trust(rows: Sequence[Mapping[str, Any]], calibration: Calibration) -> dict[str, Any]:
    """How well the expected error ranks and covers the true one."""
    spreads, errors = np.array([row["spread"] for row in rows]), np.array([row["error"] for row in rows])
    expected = [calibration.expected(spread) for spread in spreads]
    inside = [e.low <= 100.0 * error <= e.high for e, error in zip(expected, errors, strict=True)]
    rank = spearman(spreads, errors)
    correlation = None if rank is None else round(rank.rho, 3)
    return {"entries": len(rows), "spearman": correlation, "coverage": round(float(np.mean(inside)), 3)}


def make(name: str, runs: Sequence[Path], data: Path) -> dict[str, Any]:
    """Write the release; returns what is known of its errors.

    Raises:
        InputError: for a missing run, store or split.
    """
    store, split, kind_of = Store(data / "store"), read_split(data / "split.json"), kinds()
    members = [Predictor.from_checkpoint(run) for run in runs]
    parts = {}
    for part in ("validation", "test"):
        parts[part] = [{**evaluate(members, store, key), "kind": kind_of[key]} for key in getattr(split, part)]
        print(part, json.dumps(summary(parts[part])), flush=True)
    rows = parts["validation"]
    calibration = Calibration.fit([row["spread"] for row in rows], [row["error"] for row in rows])
    trusted = {"all": trust(parts["test"], calibration)}
    for kind in sorted({row["kind"] for row in parts["test"]}):
        trusted[kind] = trust([row for row in parts["test"] if row["kind"] == kind], calibration)
    counts = Counter(int(z) for key in split.train for z in set(store[key].geometry.numbers.tolist()))
    tables = {part: summary(found) for part, found in parts.items()}
    release = {
        "summary": f"Δ-learning on fitted atoms, mean of {len(members)} seeds: crystals of {len(counts)} elements, "
        "molecules of H C N O, liquid ethylene carbonate",
        "density": "PBE valence density of GPAW's PAW setups (gpaw-data 1.2.1), total density only",
        "elements": {str(z): counts[z] for z in sorted(counts)},
        "members": [f"seed{number}" for number in range(len(members))],
        "errors": {kind: found["error_percent"] for kind, found in tables["test"].items()},
        "calibration": calibration.to_json(),
    }
    for number, run in enumerate(runs):
        model, card = load_model(run)
        save_model(FOLDER / name / f"seed{number}", model, card)
    write_whole(FOLDER / name / RELEASE, json.dumps(release, indent=1, ensure_ascii=False) + "\n")
    record = {"summary": tables, "uncertainty_on_test": trusted, "calibration": calibration.to_json(), **parts}
    write_whole(HERE / f"{name}.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return {"summary": tables, "uncertainty_on_test": trusted}


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(make(options.name, options.runs, options.data), indent=1))
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
