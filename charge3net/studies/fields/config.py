"""Settings of the study of derivatives. Defaults: ``conf/study/fields.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Settings.

    Attributes:
        checkpoint: run folder, checkpoint folder or released weights.
        store: the densities.
        split: of the store; null: ``keys`` must be given, and whether they were trained on is unknown.
        part: of the split; used where ``keys`` is empty.
        keys: structures to compare; empty: all of the part.
        drawn: structures with slices and cube files (WORK/cubes).
        floor: points with a lower DFT density (e/Å³) are left out.
        points: largest number of points per structure, drawn at random.
        differences: points per structure for finite differences of the model.
        step: of the finite differences, Å.
        window: side of the slices, Å.
        seed: of the random points.
    """

    checkpoint: str
    store: str
    split: str | None
    part: str
    keys: list[str]
    drawn: list[str]
    floor: float
    points: int
    differences: int
    step: float
    window: float
    seed: int
