"""What the parts of the models on fitted atoms do: validation errors of variants, all kinds trained together.

``reach``: fitted atoms alone that end at 4, 5, 6, 7 Å. ``features``: the head alone (``delta_local``), with groups of
its local features held constant. Every voxel of the validation part of each kind; ``scaled``: after scaling to the
number of valence electrons.

    python -m data_prep.bundles.unpack benchmark_set -o V1
    python -m benchmarks.delta_ablation V1 [--steps 4000] [--work runs/delta_ablation] [--out FILE]

One thread, about a minute for each of the features. Finished trainings in ``--work`` are not repeated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import ROOT, circumstances, write_result
from charge3net import Predictor, Store
from charge3net.atoms.superposition import N_FEATURES
from charge3net.cli.main import main as charge3net
from charge3net.data.splits import read_split
from charge3net.models.delta import DeltaHead

KINDS = ("crystals", "molecules", "liquids")
REACHES = (4.0, 5.0, 6.0, 7.0)

#: Variant → columns of :func:`charge3net.atoms.superposition.local_features` that are held constant.
FEATURES: dict[str, Sequence[int]] = {
    "all": (),
    "without gradient and Laplacian": (1, 2),
    "without smoothed densities": (3, 4, 5),
    "without properties of elements": range(6, N_FEATURES),
    "logarithm of the density alone": range(1, N_FEATURES),
}


@contextmanager
def constant(columns: Sequence[int]) -> Iterator[None]:
    """Heads that are standardised inside the ``with`` block see these features as constants."""
    standardise = DeltaHead.standardise

    def without(head: DeltaHead, features: torch.Tensor) -> None:
        standardise(head, features)
        head.spread[list(columns)] = 1e12

    DeltaHead.standardise = without  # type: ignore[method-assign]
    try:
        yield
    finally:
        DeltaHead.standardise = standardise  # type: ignore[method-assign]


def trained(data: Path, output: Path, settings: Sequence[str]) -> Path:
    """A training of ``experiment=delta`` with these settings."""
    atoms = ROOT / "data_prep" / "isolated_atoms" / "gpaw_pbe.npz"
    sets = [f"data.store={data / 'store'}", f"data.split={data / 'split.json'}", f"data.isolated_atoms={atoms}"]
    more = ["runtime.threads=1", "resume=true", f"output={output}"]
    if charge3net(["train", "experiment=delta", *sets, *settings, *more]):
        raise SystemExit(f"the training {output} failed")
    return output


def validation_errors(run: Path, data: Path) -> dict[str, dict[str, float]]:
    """ε_mae in % by kind, as predicted and scaled to the number of electrons, mean over structures."""
    predictor, store, found = Predictor.from_checkpoint(run), Store(data / "store"), {}
    for kind in KINDS:
        errors = []
        for key in read_split(data / kind / "split.json").validation:
            truth = store[key].density()
            total, predicted = truth.total.astype(float), predictor.predict(truth.geometry, grid=truth.grid).total
            scaled = predicted * (total.sum() / predicted.sum(dtype=float))
            errors.append([np.abs(one - total).sum() / np.abs(total).sum() for one in (predicted, scaled)])
        plain, scaled = 100.0 * np.mean(errors, axis=0)
        found[kind] = {"error": round(float(plain), 3), "scaled": round(float(scaled), 3)}
    return found


def measure(data: Path, work: Path, steps: int) -> dict[str, Any]:
    """Validation errors of every variant."""
    reach = {
        f"{cutoff:g}": trained(data, work / f"reach={cutoff:g}", ["model=fitted_atoms", f"model.cutoff={cutoff}"])
        for cutoff in REACHES
    }
    features = {}
    for name, columns in FEATURES.items():
        with constant(columns):
            place = work / f"{name.replace(' ', '_')},steps={steps}"
            features[name] = trained(data, place, ["model=delta_local", f"train.max_steps={steps}"])
    runs = {"reach": reach, "features": features}
    return {part: {name: validation_errors(run, data) for name, run in own.items()} for part, own in runs.items()}


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DIR", help="benchmark set v1 as unpacked")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--work", type=Path, default=Path("runs") / "delta_ablation")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "delta_ablation.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = measure(options.data, options.work, options.steps)
    write_result(options.out, {"machine": circumstances(("torch", "numpy")), "steps": options.steps, **found})


if __name__ == "__main__":
    main()
