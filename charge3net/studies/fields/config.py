"""Settings of the study."""

from __future__ import annotations

from dataclasses import dataclass, field

from charge3net.train.config import MISSING


@dataclass
class Config:
    """Settings of the study.

    Attributes:
        checkpoint: of the model: run folder, checkpoint folder or released weights.
        store: the densities.
        split: of the store; without it the structures must be named, and whether they were trained on is not known.
        part: of the split, where no structures are named.
        keys: structures to compare; empty: all of the part.
        drawn: those of them that get a slice and cube files (WORK/cubes).
        floor: points with a DFT density (e/Å³) below it are left out; molecular surfaces are drawn at 0.00675.
        points: compared per structure, at most, drawn at random.
        differences: points per structure where the model is differentiated by finite differences too.
        step: of those, Å.
        window: side of the slices, Å.
        seed: of what is drawn.
    """

    checkpoint: str = MISSING
    store: str = MISSING
    split: str | None = None
    part: str = "test"
    keys: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)
    floor: float = 0.01
    points: int = 12_000
    differences: int = 200
    step: float = 1e-3
    window: float = 7.0
    seed: int = 0
