"""Make an ensemble of several trained models that says how large its error will be.

  charge3net calibrate runs/seed0 runs/seed1 runs/seed2 --data store --split split.json -o runs/ensemble
  charge3net predict POSCAR --model runs/ensemble -o CHGCAR

The models are trainings of one kind with different seeds (seed=0, seed=1, …). The folder has a copy of each, and a
calibration: from the spread between their predictions, and what else shows without the true density, to an expected
error with a 90 % interval. It is fitted on the validation part; the test part says how well it holds.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``charge3net calibrate``."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="run folders, checkpoints or names, two or more")
    parser.add_argument("--data", required=True, metavar="STORE", help="the store that they were trained on")
    parser.add_argument("--split", required=True, metavar="FILE", help="the split that they were trained with")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="new folder; what --model takes later")
    parser.add_argument("--device", help="cpu, cuda, …; default: a GPU if there is one")


def run(args: argparse.Namespace) -> int:
    """Predict, fit, write, say what was found."""
    from charge3net.checkpoints import load_card
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.evaluation.calibrate import calibrate
    from charge3net.predict.named import members_of
    from charge3net.predict.predictor import PredictionWarning

    store, split = Store(args.data), read_split(args.split)
    split.check(store.keys())
    for model in (path for name in args.models for path in members_of(name).paths):
        known = load_card(model).data.get("split_hash")
        if known != split.hash:
            what = "is not known" if known is None else "is another one"
            print(
                f"charge3net calibrate: warning: {model}: the split of its training {what}; the expected errors will "
                "be too small if it was trained on validation structures of this one",
                file=sys.stderr,
            )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PredictionWarning)
        found = calibrate(args.models, store, split, Path(args.output), device=args.device, progress=print)
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"charge3net calibrate: warning: {message}", file=sys.stderr)
    line = next(iter(found.calibration.groups.values()))
    print(
        f"calibrated on {line.structures} structures of {line.formulas} formulas, ε_mae {found.validation:.3g} %; "
        f"interval: from {100 * _factor(line.below):.0f} to {100 * _factor(line.above):.0f} % of the expected error"
    )
    if found.test is not None:
        rank = "" if found.rank is None else f", rank correlation {found.rank:+.2f}"
        print(f"test part: ε_mae {found.test:.3g} %, {100 * (found.held or 0):.0f} % within the interval{rank}")
    print(f"the number of electrons is {'shifted to the valence' if found.shifted else 'left as predicted'}")
    print(f"written to {args.output}")
    return 0


def _factor(logarithm: float) -> float:
    from math import exp

    return exp(logarithm)
