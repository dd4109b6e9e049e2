"""Settings of the angular dependence study. Defaults: ``conf/study/angular_dependence.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: densities of all kinds together.
        kinds: folders beside ``split``, each with the ``split.json`` of one kind; empty: one kind only.
        fitted: the kinds whose training materials are evaluated as well.
        experiment: of conf/experiment, trained at both rotation orders.
        low, high: the two rotation orders L.
        rates: L → learning rate.
        seeds: of the initial weights and the order of the data.
        min_volume: materials with less volume per atom (Å³) are left out of every part; null: none.
        distance: voxels farther than this (Å) from every atom are left out of ζ; null: none.
        overrides: further settings of every training, e.g. ``train.max_steps=6000``.
        launcher: how trainings are started: ``launcher=joblib``, ``hydra.launcher.n_jobs=2``; empty: one at a time.
    """

    store: str
    split: str
    kinds: list[str]
    fitted: list[str]
    experiment: str
    low: int
    high: int
    rates: dict[int, float]
    seeds: list[int]
    min_volume: float | None
    distance: float | None
    overrides: list[str]
    launcher: list[str]
