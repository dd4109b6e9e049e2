"""Settings of the anatomy study. Defaults: ``conf/study/anatomy.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Group:
    """Structures of one kind and the models that predict them.

    Attributes:
        split: file of the split whose test part is used.
        models: run folders, one per seed; errors are averaged over them.
    """

    split: str
    models: list[str]


@dataclass
class Config:
    """Settings.

    Attributes:
        store: densities. The number of valence electrons of each element is derived from their integrals.
        split: of all kinds together; structures outside its test part are left out of every group.
        groups: name (letters, digits, _) → structures and models, in the order of the figures.
        functionals: JSON of ``data_prep/benchmark_set/functionals.py`` with ε_mad of some structures; null: none.
    """

    store: str
    split: str
    groups: dict[str, Group]
    functionals: str | None
