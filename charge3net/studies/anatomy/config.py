"""Settings of the study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Group:
    """Structures of one kind and who predicts them.

    Attributes:
        split: its test part is taken.
        models: run folders, one a seed; errors are means over them.
    """

    split: str
    models: list[str]


@dataclass
class Config:
    """Settings.

    Attributes:
        store: densities; their integrals together must tell the valence electrons of each element.
        split: of all kinds together; what is not in its test part is left out everywhere.
        groups: name (letters, digits, _) → structures and models, in the order of the figures.
        functionals: JSON of ``data_prep/benchmark_set/functionals.py``: ε_mad of some of the structures; null: none.
    """

    store: str
    split: str
    groups: dict[str, Group]
    functionals: str | None = None
