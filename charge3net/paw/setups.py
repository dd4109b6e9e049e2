"""Projectors of PAW setups, and the shells that all setups have in common.

A density matrix of an atom has one row for each projector (n, l, m). Setups differ in their projectors, so each of
their channels (n, l) is assigned to one of the :data:`SHELLS`: for every l the outermost bound channel (``valence``),
a bound one below it (``core``) and one without a bound state (``free``, n = −1 in GPAW).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import MAX_ATOMIC_NUMBER

#: (l, kind) of the channels that setups have in common, in the order of the common basis.
SHELLS = tuple((l, kind) for l in range(4) for kind in ("core", "valence", "free"))

#: First row of each shell in the common basis, and the number of rows.
STARTS = tuple(np.cumsum([0] + [2 * l + 1 for l, _ in SHELLS]).tolist())
COMMON = STARTS[-1]


@dataclass(frozen=True)
class Setup:
    """The projectors of a PAW setup (GPAW's order: channel by channel, m = −l … l within each).

    Attributes:
        name: of its file, ``B.PBE.gz``.
        number: atomic number.
        n, l: of every channel; n = −1 where it belongs to no bound state.
        electrons: of every channel in the neutral atom.

    Raises:
        InputError: for channels that :data:`SHELLS` has no place for.
    """

    name: str
    number: int
    n: tuple[int, ...]
    l: tuple[int, ...]
    electrons: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.n or not len(self.n) == len(self.l) == len(self.electrons):
            raise InputError(f"setup {self.name}: n, l and electrons must have one entry for each channel")
        if not 1 <= self.number <= MAX_ATOMIC_NUMBER:
            raise InputError(f"setup {self.name}: {self.number} is no atomic number")
        if len(set(self.shells)) != len(self.shells):
            raise InputError(f"setup {self.name}: has two channels for one shell; this package knows one each")

    @classmethod
    def from_json(cls, name: str, values: Mapping[str, Any]) -> Setup:
        """The setup that :meth:`to_json` describes.

        Raises:
            InputError: for values that describe none.
        """
        try:
            quantum = tuple(map(int, values["n"])), tuple(map(int, values["l"]))
            electrons, number = tuple(map(float, values["electrons"])), int(values["number"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"setup {name}: needs number, n, l and electrons ({error})") from None
        return cls(name, number, *quantum, electrons)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, without the name."""
        return {"number": self.number, "n": list(self.n), "l": list(self.l), "electrons": list(self.electrons)}

    @property
    def size(self) -> int:
        """Rows of the density matrix."""
        return sum(2 * l + 1 for l in self.l)

    @property
    def packed(self) -> int:
        """Numbers of its upper triangle."""
        return self.size * (self.size + 1) // 2

    @cached_property
    def shells(self) -> tuple[int, ...]:
        """The place in :data:`SHELLS` of every channel."""
        channels = list(zip(self.n, self.l, strict=True))
        outermost = {l: max(n for n, other in channels if other == l) for l in set(self.l)}
        wanted = [(l, "free" if n < 0 else "valence" if n == outermost[l] else "core") for n, l in channels]
        unknown = [f"l = {l}" for l, kind in wanted if (l, kind) not in SHELLS]
        if unknown:
            raise InputError(f"setup {self.name}: has a channel with {unknown[0]}; l = 0 … 3 are known")
        return tuple(SHELLS.index(one) for one in wanted)

    @cached_property
    def rows(self) -> Int[ndarray, "rows"]:
        """[size] the row of every projector in the common basis."""
        return np.concatenate([np.arange(STARTS[shell], STARTS[shell + 1]) for shell in self.shells])

    @cached_property
    def neutral(self) -> Float[ndarray, "rows rows"]:
        """[size, size] density matrix of the neutral atom: the electrons of a channel, spread over all m."""
        shared = [f / (2 * l + 1) for f, l in zip(self.electrons, self.l, strict=True)]
        return np.diag(np.repeat(shared, [2 * l + 1 for l in self.l]))
