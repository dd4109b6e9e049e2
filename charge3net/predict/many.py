"""Densities of many structures, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.io import read_structure
from charge3net.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A structure without a density.

    Attributes:
        index: its number among the structures, from 0.
        structure: its path or formula.
        reason: why, in one sentence.
    """

    index: int
    structure: str
    reason: str


class Predictions(Iterator[Density]):
    """The densities of many structures, each computed when it is asked for; none is kept.

    ``density.provenance["index"]`` is the number of its structure. A structure that fails does not stop the others: it
    is logged as a warning and added to ``failures``.

    Args:
        predict: makes the density of one structure or path.
        structures: any iterable; read one at a time.
        progress: True draws a bar on standard error; or a function of (structures done, all of them; 0 if not known).

    Attributes:
        failures: the structures that failed so far.
    """

    def __init__(self, predict: Callable[[Any], Density], structures: Iterable[Any], progress: bool | Progress) -> None:
        self.failures: list[Failure] = []
        self._predict = predict
        self._total = len(structures) if isinstance(structures, Sized) else 0
        self._structures = iter(structures)
        self._index = count()
        self._report = progress if callable(progress) else _bar(self._total) if progress else _nothing

    def __repr__(self) -> str:
        of = f"{self._total} structures" if self._total else "structures"
        return f"Predictions({of}, {len(self.failures)} failed so far; each is computed when a loop asks for it)"

    def __iter__(self) -> Predictions:
        return self

    def __next__(self) -> Density:
        for structure, index in zip(self._structures, self._index, strict=False):
            self._report(index, self._total)
            try:
                return _numbered(self._predict(structure), index)
            except Exception as error:  # whatever befalls one structure, the others are predicted
                self._failed(structure, index, error)
        self._report(next(self._index), self._total)
        raise StopIteration

    def _failed(self, structure: Any, index: int, error: Exception) -> None:
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        named = str(structure) if isinstance(structure, str | Path) else getattr(structure, "formula", None)
        self.failures.append(Failure(index, str(named or type(structure).__name__), reason))
        logger.warning("structure %d (%s) failed: %s", index, self.failures[-1].structure, reason)


def is_many(structure: Any) -> bool:
    """Whether this is a collection of structures: a structure itself can be iterated over as well.

    So can its dictionary (``Structure.as_dict``) and an array of positions, which are neither.
    """
    one = isinstance(structure, str | Path) or hasattr(structure, "sites") or hasattr(structure, "get_atomic_numbers")
    return not one and isinstance(structure, Iterable) and not isinstance(structure, Mapping | np.ndarray)


def one_structure(structure: Any) -> Any:
    """The structure itself, or that of a path (of several frames the last)."""
    return read_structure(structure) if isinstance(structure, str | Path) else structure


def _numbered(density: Density, index: int) -> Density:
    density.provenance["index"] = index
    return density


def _nothing(done: int, total: int) -> None:
    return None


def _bar(total: int) -> Progress:
    import sys

    from tqdm import tqdm

    bar = tqdm(unit=" structures", total=total or None, file=sys.stderr, leave=False)

    def report(done: int, total: int) -> None:
        bar.update(done - bar.n)
        if done == bar.total:
            bar.close()

    return report
