"""Settings of the study of fine-tuning. Defaults: ``conf/study/fine_tuning.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: densities of the new kind of material.
        validation: so many training entries are moved to the validation part (the first in an order by hash).
        source: the trained model, as ``init`` takes it.
        model: option of conf/model of the trainings from scratch: the architecture of the source.
        isolated_atoms: table of isolated atoms for the trainings from scratch; null: none.
        seen: formulas of the test part that the source was trained on; errors without them are given too.
        sizes: training structures; a smaller set is part of every larger one of the same seed.
        seeds: of the choice of structures, of their order, and of fresh weights.
        tuned_rates, scratch_rates: learning rates that are tried, with ``rate_size`` structures and the first seed; the
            one with the lowest validation error is used for all sizes and seeds.
        rate_size: one of ``sizes``.
        overrides: further settings of every training, e.g. ``train.max_steps=3000``.
        launcher: how trainings are started, as in the study learning_curves.
    """

    store: str
    split: str
    validation: int
    source: str
    model: str
    isolated_atoms: str | None
    seen: list[str]
    sizes: list[int]
    seeds: list[int]
    tuned_rates: list[float]
    scratch_rates: list[float]
    rate_size: int
    overrides: list[str]
    launcher: list[str]
