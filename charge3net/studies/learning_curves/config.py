"""Settings of the study."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: densities; the training part is cut to ``sizes``, validation and test stay whole.
        networks: experiments of conf/experiment that are compared with the one before, lowest rotation order first.
        baselines: experiments that stand beside them.
        sizes: of the training sets; a smaller one is part of every larger one of the same seed.
        seeds, baseline_seeds: of the weights, of the order of the data, and of the choice of the training set.
        overrides: further settings of every training, e.g. ``train.max_steps=3000``.
        launcher: how members run: ``launcher=joblib``, ``hydra.launcher.n_jobs=2``; empty: one after another.
        draws: of the bootstrap.
    """

    store: str
    split: str
    networks: list[str]
    baselines: list[str]
    sizes: list[int]
    seeds: list[int]
    baseline_seeds: list[int]
    overrides: list[str] = field(default_factory=list)
    launcher: list[str] = field(default_factory=list)
    draws: int = 2000
