"""How the predictions of an ensemble are best put together: validation errors of several rules, of all and of three.

    python -m data_prep.shipped_models.store -o DIR --molecules MOLECULES
    python -m benchmarks.ensemble_mean DIR [RUN...] [--out FILE]

For the members of the shipped model, unless RUN says others, and for every choice of three of them: ε_mae of the mean,
of the median, and of the mean of members that are kept within a limit of the median
(:func:`charge3net.predict.uncertainty.within_limits`), for several limits. Every voxel of the validation part, without
the shift to the valence electrons. Also Spearman's correlation of the error with the standard deviation between the
members so limited. Minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from benchmarks.record import ROOT, circumstances, write_result
from charge3net import Predictor, Store
from charge3net.analysis.metrics import ErrorSums
from charge3net.analysis.statistics import spearman
from charge3net.data.splits import read_split
from charge3net.errors import InputError
from charge3net.predict.named import members_of
from charge3net.predict.uncertainty import within_limits

KINDS = ("crystals", "magnetic", "molecules", "liquids")
SHIPPED = "delta-gpaw-pbe"
#: Limits tried, √(e/Å³); infinity is the plain mean.
LIMITS = (0.02, 0.05, 0.1, 0.2, float("inf"))
#: Spearman's correlation is given for so many structures or more.
FOR_A_RANK = 10


def rules(members: Float[ndarray, "members nx ny nz"], total: Float[ndarray, "nx ny nz"]) -> dict[str, list[float]]:
    """Rule → ε_mae in %, and the spread in % of the electrons."""
    electrons, found = np.abs(total).sum(), {}
    for limit in LIMITS:
        kept = within_limits(members[:, None], limit)[:, 0]
        spread = float(100.0 * kept.std(axis=0, ddof=1).sum() / electrons)
        found[_name(limit)] = [ErrorSums.of(kept.mean(axis=0), total).nmae, spread]
    found["median"] = [ErrorSums.of(np.median(members, axis=0), total).nmae, found[_name(LIMITS[-1])][1]]
    return found


def _name(limit: float) -> str:
    return "mean" if np.isinf(limit) else f"limit {limit:g}"


def measure(members: Sequence[Predictor], data: Path) -> dict[str, Any]:
    """Choice of members → kind → rule → mean and largest ε_mae in %, and the rank correlation.

    Raises:
        InputError: for fewer than three members, or a folder without the store or the split of a kind.
    """
    if len(members) < 3:
        raise InputError(f"rules for the mean need three members or more, found {len(members)}")
    store = Store(data / "store")
    single: list[tuple[int, ...]] = [(number,) for number in range(len(members))]
    chosen: set[tuple[int, ...]] = {*combinations(range(len(members)), 3), tuple(range(len(members)))}
    found: dict[str, Any] = {_choice(one): {} for one in [*single, *sorted(chosen)]}
    for kind in KINDS:
        errors: dict[tuple[int, ...], list[Mapping[str, list[float]]]] = {one: [] for one in [*single, *chosen]}
        for key in read_split(data / kind / "split.json").validation:
            truth = store[key].density()
            total = truth.total.astype(float)
            each = np.stack([member.predict(truth.geometry, grid=truth.grid).total for member in members]).astype(float)
            for one in single:
                errors[one].append({"alone": [ErrorSums.of(each[one[0]], total).nmae, 0.0]})
            for one in chosen:
                errors[one].append(rules(each[list(one)], total))
        for one, rows in errors.items():
            found[_choice(one)][kind] = {rule: _summary([row[rule] for row in rows]) for rule in rows[0]}
        print(kind, found[_choice(tuple(range(len(members))))][kind], flush=True)
    return found


def _choice(members: Sequence[int]) -> str:
    return " ".join(map(str, members))


def _summary(rows: Sequence[Sequence[float]]) -> dict[str, float | int | None]:
    error, spread = np.array(rows).T
    rank = spearman(spread, error) if len(rows) >= FOR_A_RANK and spread.any() else None
    return {
        "structures": len(rows),
        "error": round(float(error.mean()), 4),
        "largest": round(float(error.max()), 3),
        "spearman": None if rank is None else round(rank.rho, 3),
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DIR")
    parser.add_argument("runs", nargs="*", metavar="RUN", help="members (default: those of the shipped model)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "ensemble_mean.json")
    options = parser.parse_args(arguments)
    paths = options.runs or members_of(SHIPPED).paths
    names = [Path(path).name for path in paths]
    try:
        found = measure([Predictor.from_checkpoint(path) for path in paths], options.data)
    except InputError as error:
        parser.error(str(error))
    write_result(options.out, {"machine": circumstances(("torch", "numpy")), "members": names, "choices": found})


if __name__ == "__main__":
    main()
