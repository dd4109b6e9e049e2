"""Settings of the study of PAW density matrices. Defaults: ``conf/study/occupations.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: structures and valence densities.
        matrices: file of their density matrices; entries that it lacks are left out.
        model: density model whose atom features are read: a run, a checkpoint, or ``NAME#MEMBER`` of a shipped one.
        mul, lmax: size of the head.
        steps, batch, lr: of its training: steps, structures a step, learning rate before its cosine schedule.
        seed: of its weights and batches.
        gpaw: command of data_prep/open_dft/starts.py; empty: no calculations.
        structures: so many test crystals are calculated, one of every formula before the second of any.
        encut, smearing: of the calculations, eV.
    """

    store: str
    split: str
    matrices: str
    model: str
    mul: int
    lmax: int
    steps: int
    batch: int
    lr: float
    seed: int
    gpaw: list[str]
    structures: int
    encut: float
    smearing: float
