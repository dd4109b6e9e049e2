"""Settings of the study."""

from __future__ import annotations

from dataclasses import dataclass, field

from charge3net.studies.scaling.measure import CRYSTALS


@dataclass
class Config:
    """Settings of the study.

    Attributes:
        crystals: of :data:`charge3net.studies.scaling.measure.CRYSTALS`.
        sizes: numbers of atoms for ChargE3Net, about; the supercells nearest to a cube are taken.
        others: architectures measured beside it.
        other_sizes: numbers of atoms for those.
        spacing: of the grid, Å.
        repeats: of every measurement, each in a new process.
        fit_from: smallest structure (atoms) that the exponents are fitted to; below, constant costs show.
    """

    crystals: list[str] = field(default_factory=lambda: list(CRYSTALS))
    sizes: list[int] = field(default_factory=lambda: [160, 640, 1300, 2500, 5000, 10_000, 20_000])
    others: list[str] = field(default_factory=lambda: ["schnet", "painn"])
    other_sizes: list[int] = field(default_factory=lambda: [300, 800, 2000])
    spacing: float = 0.6
    repeats: int = 3
    fit_from: int = 250
