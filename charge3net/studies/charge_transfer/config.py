"""Settings of the study."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: cathode cells; the test part is pairs, training and validation part are trained on.
        with_store, with_split: further densities; of their training part, those whose elements all occur in the
            cathode cells, and whose formula is not that of a pair, are trained on as well.
        before, after: how the keys of the two halves of a pair end.
        lmax: rotation orders.
        rates: L → learning rate.
        seeds: of the weights and of the order of the data.
        radius: atoms and voxels within this of the vacancy are near it, Å.
        overrides: further settings of every training, e.g. ``train.max_steps=3000``.
        launcher: how members run: ``launcher=joblib``, ``hydra.launcher.n_jobs=2``; empty: one after another.
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
    overrides: list[str] = field(default_factory=list)
    launcher: list[str] = field(default_factory=list)
