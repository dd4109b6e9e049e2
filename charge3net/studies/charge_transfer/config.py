"""Settings of the charge transfer study. Defaults: ``conf/study/charge_transfer.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: cells before and after an atom is removed; the test part holds the pairs, the training and
            validation parts are used for training.
        with_store, with_split: further densities. Those of their training part that have only elements of the training
            cells, and not the formula of a pair, are trained on as well.
        before, after: endings of the keys of a pair.
        lmax: rotation orders.
        rates: L → learning rate.
        seeds: of the initial weights and the order of the data.
        radius: atoms and voxels within this distance (Å) of the vacancy count as near.
        overrides: further settings of every training, e.g. ``train.max_steps=3000``.
        launcher: how trainings are started: ``launcher=joblib``, ``hydra.launcher.n_jobs=2``; empty: one at a time.
    """

    store: str
    split: str
    with_store: str
    with_split: str
    before: str
    after: str
    lmax: list[int]
    rates: dict[int, float]
    seeds: list[int]
    radius: float
    overrides: list[str]
    launcher: list[str]
