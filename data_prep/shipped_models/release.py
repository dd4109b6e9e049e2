"""Make a shipped model from trained runs: their checkpoints, a calibration, errors on the test entries.

    python -m data_prep.shipped_models.release NAME RUN... --data DIR

DIR is what ``data_prep.shipped_models.store`` made, RUN are the run folders of several seeds. The calibration is fitted
on entries that nothing was trained on: the validation part, and those of other sets whose formula is not in the test
part. The test entries, and those of the other sets, are evaluated once, for the errors in ``release.json`` and for
``NAME.json`` beside this file, which holds all parts structure by structure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from charge3net import Predictor, Store, load_model, save_model
from charge3net.data.splits import Split, read_split
from charge3net.data.store import StoreEntry
from charge3net.errors import InputError
from charge3net.evaluation.calibrate import SURROUNDINGS, judge, training_set
from charge3net.io.files import write_whole
from charge3net.predict.calibration import Calibration
from charge3net.predict.ensemble import EnsemblePredictor
from charge3net.predict.trust import TrainingSet
from charge3net.pretrained.releases import FOLDER, RELEASE
from data_prep.bundles.bundle import read_index
from data_prep.bundles.unpack import BUNDLES
from data_prep.shipped_models.store import OTHERS, SET, SETS
from data_prep.shipped_models.tables import boundaries_of, signs, signs_of, summary, trust, unharmed, with_tests

HERE = Path(__file__).resolve().parent

#: Which density the shipped models predict.
DENSITY = "PBE valence density of GPAW's PAW setups (gpaw-data 1.2.1), total density only"


def evaluate(ensemble: EnsemblePredictor, entry: StoreEntry, kind: str, composition_known: bool) -> dict[str, Any]:
    """Errors (fractions) of the members, of their mean and of the superposition of atoms, and the signs of both."""
    found = judge(ensemble, entry)
    return {
        "key": entry.key,
        "kind": kind,
        "formula": found.formula,
        "composition_known": composition_known,
        "members": [round(error, 6) for error in found.members],
        "unshifted": round(found.error, 6),
        "error": round(found.shifted, 6),
        "electron_error": None if found.signs.electron_error is None else round(found.signs.electron_error, 6),
        "sad": None if found.superposed is None else round(found.superposed, 6),
        **signs_of(found),
    }


def others(
    folder: Path, store: Store, split: Split, elements: Iterable[int]
) -> dict[str, list[tuple[StoreEntry, str]]]:
    """Entries of the other sets that may calibrate or test: ``more_validation`` and ``others``, each with its kind.

    Left out are entries that the model's sets hold as well, and those with an element that was not trained on. Those of
    a formula in the test part calibrate nothing.
    """
    tested, known = {store[key].geometry.formula for key in split.test}, set(elements)
    found: dict[str, list[tuple[StoreEntry, str]]] = {"more_validation": [], "others": []}
    for name, kind in OTHERS.items():
        other, parts = Store(folder / name / "store"), read_split(folder / name / "split.json")
        for key in sorted({*parts.train, *parts.validation, *parts.test} - set(store.keys())):
            entry = other[key]
            if not set(entry.geometry.numbers.tolist()) <= known:
                continue
            if key in parts.test:
                found["others"].append((entry, kind))
            elif kind != "cathodes" and entry.geometry.formula not in tested:
                found["more_validation"].append((entry, kind))
    return found


def kinds() -> dict[str, str]:
    """Key → kind of all entries of the sets."""
    records = [record for name in SETS for record in read_index(BUNDLES[name])[1]]
    return {record["key"]: record.get("kind", "crystals") for record in records}


def make(name: str, runs: Sequence[Path], data: Path) -> dict[str, Any]:
    """Write the release; returns what is known of its errors.

    Raises:
        InputError: for a missing run, store or split.
    """
    store, split, kind_of = Store(data / "store"), read_split(data / "split.json"), kinds()
    members = [Predictor.from_checkpoint(run) for run in runs]
    trained = training_set(members[0].model, [store[key].geometry for key in split.train])
    ensemble = EnsemblePredictor(members, None, trained)
    formulas = {store[key].geometry.formula for key in split.train}
    entries = others(data / "others", store, split, trained.elements)
    entries |= {part: [(store[key], kind_of[key]) for key in getattr(split, part)] for part in ("validation", "test")}
    parts = {}
    for part in ("validation", "more_validation", "test", "others"):
        parts[part] = [
            evaluate(ensemble, entry, kind, entry.geometry.formula in formulas) for entry, kind in entries[part]
        ]
        print(part, json.dumps(summary(parts[part])), flush=True)
    rows = parts["validation"] + parts["more_validation"]
    boundary, own_boundary, far = boundaries_of(rows)
    shifted = unharmed(rows)
    for row in (row for part in parts.values() for row in part):
        row["error"] = row["error"] if shifted else row["unshifted"]
    calibration = Calibration.fit(
        [signs(row) for row in rows],
        [row["error"] for row in rows],
        [row["formula"] for row in rows],
        boundary,
        own_boundary,
    )
    calibration = with_tests(parts["test"] + parts["others"], calibration)
    record = {
        "set": SET,
        "summary": {part: summary(found) for part, found in parts.items()},
        "uncertainty": {part: trust(found, calibration) for part, found in parts.items()},
        "calibration": calibration.to_json(),
        **parts,
    }
    write(name, runs, trained, record, far, "valence" if shifted else None)
    return {key: value for key, value in record.items() if key not in parts}


def write(
    name: str, runs: Sequence[Path], trained: TrainingSet, record: Mapping[str, Any], far: float, electrons: str | None
) -> None:
    """The folder of the release, and the record of its errors."""
    folder, counts = FOLDER / name, trained.elements
    for number, run in enumerate(runs):
        model, card = load_model(run)
        save_model(folder / f"seed{number}", model, card)
    assert trained.surroundings is not None
    trained.surroundings.save(folder / SURROUNDINGS)
    release = {
        "summary": f"Δ-learning on fitted atoms, mean of {len(runs)} seeds: crystals of {len(counts)} elements, "
        "molecules of H C N O, liquid ethylene carbonate",
        "density": DENSITY,
        "elements": {str(z): counts[z] for z in counts},
        "members": [f"seed{number}" for number in range(len(runs))],
        "errors": {kind: found["error_percent"] for kind, found in record["summary"]["test"].items()},
        "electrons": electrons,
        "surroundings": {
            "file": SURROUNDINGS,
            "sha256": hashlib.sha256((folder / SURROUNDINGS).read_bytes()).hexdigest(),
            "far": far,
        },
        "calibration": record["calibration"],
    }
    write_whole(folder / RELEASE, json.dumps(release, indent=1, ensure_ascii=False) + "\n")
    write_whole(HERE / f"{name}.json", record_text(record))


def record_text(record: Mapping[str, Any]) -> str:
    """JSON with a line for every structure."""
    blocks = []
    for key, value in record.items():
        rows = [json.dumps(row, ensure_ascii=False) for row in value] if isinstance(value, list) else None
        text = json.dumps(value, indent=1) if rows is None else "[\n" + ",\n".join(rows) + "\n]"
        blocks.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def make_release(
    description: str | None,
    make: Callable[[str, Sequence[Path], Path], Mapping[str, Any]],
    arguments: Sequence[str] | None,
) -> int:
    """Command line ``NAME RUN... --data DIR``: what ``make`` returns is printed as JSON. Returns the exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(make(options.name, options.runs, options.data), indent=1))
    except InputError as error:
        parser.error(str(error))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return make_release(__doc__, make, arguments)


if __name__ == "__main__":
    sys.exit(main())
