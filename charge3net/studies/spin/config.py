"""Settings of the study."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Config:
    """Settings of the study.

    Attributes:
        store: folder of densities with magnetisation.
        split: its split.
        alike: a split whose test part has sublattices that only the moments tell apart.
        lmax: rotation orders, lowest first, trained up to the sign of each structure's magnetisation.
        rates: L → learning rate.
        seeds: of the first weights and the drawn probes.
        signed_seeds: seeds of the largest order, trained with the sign that the DFT loop ended with.
        overrides: more settings of every training.
        launcher: how Hydra starts the trainings.
    """

    store: str
    split: str
    alike: str
    lmax: list[int] = field(default_factory=lambda: [0, 4])
    rates: dict[int, float] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    signed_seeds: list[int] = field(default_factory=lambda: [0, 1])
    overrides: list[str] = field(default_factory=list)
    launcher: list[str] = field(default_factory=list)
