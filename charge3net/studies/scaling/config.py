"""Settings of the scaling study. Defaults: ``conf/study/scaling.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Settings.

    Attributes:
        crystals: of :data:`charge3net.studies.scaling.measure.CRYSTALS`.
        sizes: approximate numbers of atoms for ChargE3Net; the supercells nearest to a cube are used.
        others: further architectures.
        other_sizes: approximate numbers of atoms for those.
        spacing: of the grid, Å.
        repeats: of every measurement, each in a new process.
        fit_from: smallest number of atoms in the fits; below it, constant costs show.
    """

    crystals: list[str]
    sizes: list[int]
    others: list[str]
    other_sizes: list[int]
    spacing: float
    repeats: int
    fit_from: int
