"""Settings of the spin study. Defaults: ``conf/study/spin.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: densities with magnetisation.
        alike: a split whose test part holds antiferromagnets with structurally equivalent sublattices.
        lmax: rotation orders, lowest first, trained with a loss that ignores the global sign of the magnetisation.
        rates: L → learning rate.
        seeds: of the initial weights and the probe points.
        signed_seeds: seeds of the largest order, trained with the sign of the DFT calculation.
        overrides: further settings of every training.
        launcher: how trainings are started: ``launcher=joblib``, ``hydra.launcher.n_jobs=2``; empty: one at a time.
    """

    store: str
    split: str
    alike: str
    lmax: list[int]
    rates: dict[int, float]
    seeds: list[int]
    signed_seeds: list[int]
    overrides: list[str]
    launcher: list[str]
