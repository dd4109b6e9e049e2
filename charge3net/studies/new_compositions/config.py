"""Settings of the study of new compositions. Defaults: ``conf/study/new_compositions.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TestKind:
    """The test structures of one kind.

    Attributes:
        store: densities.
        split: file of the split whose test part is used; null: every entry of the store.
        compositions: ``new``: only formulas that no training or validation structure has; ``known``: only those that a
            training structure has; ``any``.
    """

    __test__ = False  # not for pytest

    store: str
    split: str | None
    compositions: str


@dataclass
class Network:
    """A model and how it is trained.

    Attributes:
        settings: of its trainings, beside those of the experiment: ``model=…``, ``optim.lr=…``.
        seeds: of the initial weights and the order of the data, at equal steps.
        equal_time: steps that take the processor time of ``steps`` steps of the reference; null: not trained so.
        time_seeds: of the trainings at equal time.
    """

    settings: list[str]
    seeds: list[int]
    equal_time: int | None
    time_seeds: list[int]


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: what the models are trained on.
        isolated_atoms: of the code that made the densities; fitted atoms start from them.
        tests: name → test structures, the crystals of new compositions first.
        experiment: of conf/experiment.
        networks: name → model; one that needs no training steps is trained like the others.
        reference: of the networks: at equal time with it, with several rotation orders.
        compared: of the networks: paired with the reference.
        steps: of every training but those at equal time.
        fractions: of the training formulas; the smaller are nested in the larger.
        fraction_kinds: of the tests, those whose training formulas are fewer; other kinds stay whole.
        fraction_networks, fraction_seeds: trained on each of them.
        orders, order_seeds: rotation orders of the reference below its own.
        gain_kinds: of the tests, those on which the gain of its order over the lowest is compared with ζ.
        release: JSON of ``data_prep/shipped_models/release.py`` for the section on calibration; null: none.
        overrides: further settings of every training, e.g. ``train.max_steps=1000``.
    """

    store: str
    split: str
    isolated_atoms: str | None
    tests: dict[str, TestKind]
    experiment: str
    networks: dict[str, Network]
    reference: str
    compared: str | None
    steps: int
    fractions: list[float]
    fraction_kinds: list[str]
    fraction_networks: list[str]
    fraction_seeds: list[int]
    orders: list[int]
    order_seeds: list[int]
    gain_kinds: list[str]
    release: str | None
    overrides: list[str]
