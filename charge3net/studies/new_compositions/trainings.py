"""Which trainings the study has, and the parts of the training set that they use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from charge3net.errors import InputError
from charge3net.studies.new_compositions.config import Config

if TYPE_CHECKING:
    from charge3net.data.splits import Split
    from charge3net.data.store import Store
    from charge3net.train.runs import Run


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        network: of the settings.
        steps: how many.
        seed: of weights and order of the data; of the part of the training set, too.
        fraction: of the training formulas of crystals.
        order: rotation order L; None: that of the network's settings.
    """

    network: str
    steps: int
    seed: int
    fraction: float = 1.0
    order: int | None = None

    @property
    def name(self) -> str:
        """Of its run folder."""
        order = [] if self.order is None else [f"lmax={self.order}"]
        fraction = [] if self.fraction == 1.0 else [f"formulas={self.fraction:g}"]
        return ",".join([self.network, *order, *fraction, f"steps={self.steps}", f"seed={self.seed}"])


def planned(config: Config) -> dict[str, list[Training]]:
    """Part of the study → its trainings: ``equal_steps``, ``equal_time``, ``fractions``, ``orders``.

    Raises:
        InputError: if the settings name a network that they do not have.
    """
    for name in (config.reference, config.compared, *config.fraction_networks):
        if name is not None and name not in config.networks:
            raise InputError(f"there is no network {name!r} among networks={', '.join(config.networks)}")
    networks, steps = config.networks.items(), config.steps
    return {
        "equal_steps": [Training(name, steps, seed) for name, network in networks for seed in network.seeds],
        "equal_time": [
            Training(name, network.equal_time, seed)
            for name, network in networks
            for seed in network.time_seeds
            if network.equal_time is not None
        ],
        "fractions": [
            Training(name, steps, seed, fraction)
            for fraction in config.fractions
            for name in config.fraction_networks
            for seed in config.fraction_seeds
        ],
        "orders": [
            Training(config.reference, steps, seed, order=order)
            for order in config.orders
            for seed in config.order_seeds
        ],
    }


def train_missing(config: Config, plan: Mapping[str, list[Training]], work: Path) -> dict[Training, Run]:
    """Train what is not finished, first seeds first; returns all runs."""
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.studies.training import charge3net_command
    from charge3net.train.run_folder import SUMMARY
    from charge3net.train.runs import read_runs

    whole = read_split(config.split)
    formulas = formulas_of(Store(config.store), config) if config.fractions else {}
    every = sorted({training for part in plan.values() for training in part}, key=lambda training: training.seed)
    for training in every:
        folder = work / "runs" / training.name
        if (folder / SUMMARY).is_file():
            continue
        split = Path(config.split)
        if training.fraction < 1.0:
            split = work / "splits" / f"formulas={training.fraction:g},seed={training.seed}.json"
            with_fraction(whole, formulas, training.fraction, training.seed).save(split)
        charge3net_command(["train", *arguments(config, training, split), f"output={folder}"])
    runs = read_runs([work / "runs" / training.name for training in every])
    return dict(zip(every, runs, strict=True))


def arguments(config: Config, training: Training, split: Path) -> list[str]:
    """Settings of a training."""
    order = [] if training.order is None else [f"model.lmax={training.order}"]
    atoms = [] if config.isolated_atoms is None else [f"data.isolated_atoms={config.isolated_atoms}"]
    return [
        f"experiment={config.experiment}",
        *config.networks[training.network].settings,
        *order,
        f"train.max_steps={training.steps}",
        f"seed={training.seed}",
        f"data.store={config.store}",
        f"data.split={split}",
        *atoms,
        "resume=true",
        *config.overrides,
    ]


def formulas_of(store: Store, config: Config) -> dict[str, str]:
    """Key → formula of the training structures of ``fraction_kinds``.

    Raises:
        InputError: for a kind that is not among the tests or has no split.
    """
    from charge3net.data.splits import read_split

    found: dict[str, str] = {}
    for name in config.fraction_kinds:
        kind = config.tests.get(name)
        if kind is None or kind.split is None:
            raise InputError(f"fraction_kinds names {name!r}, which is not among the tests with a split")
        found |= {key: store[key].geometry.formula for key in read_split(kind.split).train}
    return found


def with_fraction(split: Split, formulas: Mapping[str, str], fraction: float, seed: int) -> Split:
    """The split with a part of these training formulas; whatever else it trains on stays.

    A formula stays if it is among the first in an order by hash, so a smaller fraction is part of a larger one.

    Args:
        split: whole.
        formulas: key → formula of the structures that may be left out.
        fraction: of their formulas.
        seed: of the order.

    Raises:
        InputError: if no formula is left.
    """
    from charge3net.data.splits import Split, hash_order

    order = hash_order(list(formulas.values()), seed)
    kept = set(order[: round(fraction * len(order))])
    if not kept:
        raise InputError(f"fractions has {fraction:g}: that is no formula of {len(order)}; choose a larger one")
    train = tuple(key for key in split.train if key not in formulas or formulas[key] in kept)
    return Split(train, split.validation, split.test)
