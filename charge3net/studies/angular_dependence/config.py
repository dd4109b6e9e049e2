"""Settings of the study."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: densities, all kinds together.
        kinds: folders beside ``split``, each with the ``split.json`` of a kind; empty: one kind.
        fitted: of the kinds, those whose training materials are evaluated as well: what the networks can represent,
            without the chance of new compositions.
        experiment: of conf/experiment, trained at both rotation orders.
        low, high: rotation orders L that are compared.
        rates: L → learning rate.
        seeds: of weights and order of the data.
        min_volume: materials with less volume per atom, Å³, are left out of every part; null keeps all.
        distance: voxels farther than this (Å) from every atom do not count in ζ; null: all count.
        overrides: further settings of every training, e.g. ``train.max_steps=6000``.
        launcher: how members run: ``launcher=joblib``, ``hydra.launcher.n_jobs=2``; empty: one after another.
    """

    store: str
    split: str
    kinds: list[str]
    experiment: str
    low: int
    high: int
    rates: dict[int, float]
    seeds: list[int]
    min_volume: float | None = None
    distance: float | None = None
    fitted: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    launcher: list[str] = field(default_factory=list)
