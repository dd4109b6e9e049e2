"""Settings of the learning curves. Defaults: ``conf/study/learning_curves.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: densities; subsets of the training part are drawn, validation and test stay whole.
        lmax: rotation orders of ChargE3Net, lowest first; each is compared with the one before.
        baselines: options of conf/model shown beside them.
        sizes: of the training subsets; a smaller one is part of every larger one of the same seed.
        seeds, baseline_seeds: of the initial weights, the order of the data and the choice of the subset.
        overrides: further settings of every training, e.g. ``train.max_steps=3000``.
        launcher: how trainings are started: ``launcher=joblib``, ``hydra.launcher.n_jobs=2``; empty: one at a time.
        draws: of the bootstrap.
    """

    store: str
    split: str
    lmax: list[int]
    baselines: list[str]
    sizes: list[int]
    seeds: list[int]
    baseline_seeds: list[int]
    overrides: list[str]
    launcher: list[str]
    draws: int
