"""The shipped baseline: fitted atoms alone, from a training run of them.

    python -m data_prep.shipped_models.atoms NAME RUN --data DIR

DIR is what ``data_prep.shipped_models.store`` made; RUN is a run of ``charge3net train experiment=delta
model=fitted_atoms`` with its store and split. The test entries are evaluated once, for the errors in ``release.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from charge3net import Predictor, Store, load_model, save_model
from charge3net.data.splits import Split, read_split
from charge3net.errors import InputError
from charge3net.evaluation.calibrate import training_set
from charge3net.evaluation.materials import evaluate
from charge3net.io.files import write_whole
from charge3net.models.fitted_atoms import FittedAtoms
from charge3net.pretrained.releases import FOLDER, RELEASE
from data_prep.shipped_models.release import DENSITY, kinds, make_release


def make(name: str, runs: Sequence[Path], data: Path) -> dict[str, float]:
    """Write the release; returns kind → mean ε_mae in % of the test entries.

    Raises:
        InputError: for a missing run, store or split, another model, or several runs.
    """
    if len(runs) != 1:
        raise InputError(f"the atoms are those of one run, found {len(runs)}; fitted atoms do not depend on a seed")
    run = runs[0]
    model, card = load_model(run)
    if not isinstance(model, FittedAtoms):
        raise InputError(f"{run} holds a model {model.architecture}; give a run of model=fitted_atoms")
    store, split = Store(data / "store"), read_split(data / "split.json")
    counts = training_set(model, [store[key].geometry for key in split.train]).elements
    errors = errors_by_kind(Predictor.from_checkpoint(run), store, split, kinds())
    folder = FOLDER / name
    save_model(folder / "atoms", model, card)
    release = {
        "summary": f"fitted atoms of {len(counts)} elements, superposed: the baseline without a network",
        "density": DENSITY,
        "elements": {str(z): counts[z] for z in counts},
        "members": ["atoms"],
        "errors": errors,
        "electrons": None,
        "calibration": {},
        "baseline": True,
    }
    write_whole(folder / RELEASE, json.dumps(release, indent=1, ensure_ascii=False) + "\n")
    return errors


def errors_by_kind(predictor: Predictor, store: Store, split: Split, kind_of: Mapping[str, str]) -> dict[str, float]:
    """Kind → mean ε_mae in % over the test entries."""
    found: dict[str, list[float]] = {}
    for material in evaluate(predictor, store, split.test):
        found.setdefault(kind_of[material.key], []).append(material.total.nmae)
    return {kind: round(float(np.mean(values)), 3) for kind, values in sorted(found.items())}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return make_release(__doc__, make, arguments)


if __name__ == "__main__":
    sys.exit(main())
