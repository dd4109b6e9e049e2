"""Fine-tuning: a trained model after training on N structures of a new kind, and the same model from fresh weights.

Both have equal steps, batches and training structures, each with the learning rate that is best on validation. See
docs/studies.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError
from charge3net.studies.checkpoint import Checkpoint
from charge3net.studies.fine_tuning.config import Config
from charge3net.studies.fine_tuning.measure import errors, measure
from charge3net.studies.fine_tuning.summary import SCRATCH, TUNED, compare
from charge3net.studies.training import choice, sweep

if TYPE_CHECKING:
    from charge3net.data.splits import Split
    from charge3net.train.runs import Run

#: Steps and batch of the trainings.
EXPERIMENT = "experiment=study/fine_tuning"


def run(config: Config, work: Path) -> dict[str, Any]:
    """Choose the rates, train what is missing, evaluate what is missing, compare.

    Raises:
        InputError: for settings that do not belong together, or a training that failed.
    """
    from charge3net.data.store import Store
    from charge3net.evaluation.run import TestSet
    from charge3net.pretrained.releases import release_at
    from charge3net.pretrained.resolve import resolve_model

    if config.rate_size not in config.sizes or not config.seeds:
        raise InputError(f"rate_size must be one of sizes={config.sizes}, with a seed; found {config.rate_size}")
    split = _split(config, work)
    members = {start: _trained(start, config, work) for start in (TUNED, SCRATCH)}
    test = TestSet.of(Store(config.store), split)
    rows = [measure(start, member, test, work) for start, some in members.items() for member in some]
    source = resolve_model(config.source)
    release = release_at(source)
    checkpoint = Checkpoint(source if release is None else release.members[0], work)
    untouched = checkpoint.evaluate(test, work / "evaluations" / "source")
    return {
        "data": {
            **untouched.facts["data"],
            "store": config.store,
            "split": config.split,
            "train": len(split.train),
            "validation": len(split.validation),
            "keys": list(test.keys),
            "formulas": [m.formula for m in untouched.materials],
            "superposition_nmae_percent": [
                None if m.baseline is None else round(m.baseline.nmae, 4) for m in untouched.materials
            ],
        },
        "source": {
            "name": config.source,
            "weights": checkpoint.weights,
            "seen": config.seen,
            "nmae_percent": errors(untouched),
        },
        "runs": rows,
        **compare(rows, [m.formula for m in untouched.materials], config.seen),
    }


def _split(config: Config, work: Path) -> Split:
    """The split with more validation entries, written to ``work/split.json``."""
    from charge3net.data.splits import Split, hash_order, read_split

    given = read_split(config.split)
    moved = set(hash_order(given.train, 0)[: config.validation])
    train = tuple(key for key in given.train if key not in moved)
    if max(config.sizes) > len(train):
        raise InputError(f"sizes={config.sizes}: {len(train)} entries are left to train on; give smaller ones")
    found = Split(train, (*given.validation, *(key for key in given.train if key in moved)), given.test)
    found.save(work / "split.json")
    return found


def _trained(start: str, config: Config, work: Path) -> list[Run]:
    """All trainings from one start: every size and seed at the rate that is best on validation.

    Raises:
        InputError: for one that is not finished.
    """
    rates = config.tuned_rates if start == TUNED else config.scratch_rates
    _sweep(start, config, work, rates, [config.rate_size], config.seeds[:1])
    tried = [_run(_folder(start, work, rate, config.rate_size, config.seeds[0])) for rate in rates]
    best = min(tried, key=lambda member: member.summary["best"]["val/emae"])
    rate = best.config["optim"]["lr"]
    _sweep(start, config, work, [rate], config.sizes, config.seeds)
    return [_run(_folder(start, work, rate, size, seed)) for size in config.sizes for seed in config.seeds] + [
        member for member in tried if member.path != best.path
    ]


def _sweep(
    start: str, config: Config, work: Path, rates: Sequence[float], sizes: Sequence[int], seeds: Sequence[int]
) -> None:
    tuned, scratch = [f"init={config.source}"], [f"model={config.model}"]
    if config.isolated_atoms is not None:
        scratch.append(f"data.isolated_atoms={config.isolated_atoms}")
    varied = [choice("optim.lr", rates), choice("data.train_size", sizes), choice("seed", seeds)]
    settings = [EXPERIMENT, *(tuned if start == TUNED else scratch), *varied, *config.overrides]
    split = str(work / "split.json")
    sweep(settings, str(work / "runs" / start), store=config.store, split=split, launcher=config.launcher)


def _folder(start: str, work: Path, rate: float, size: int, seed: int) -> Path:
    return work / "runs" / start / f"lr={rate},train_size={size},seed={seed}"


def _run(folder: Path) -> Run:
    from charge3net.train.runs import read_runs

    member = read_runs([folder])[0]
    if not member.summary:
        raise InputError(f"{folder} is not finished; run the study again")
    return member
