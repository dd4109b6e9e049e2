"""Shares of a long list of work, for commands that run as many jobs: ``--part 3/16``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One of several shares of a list, contiguous and of equal size up to one item.

    Attributes:
        number: of the share, from 1.
        of: how many shares there are.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def label(self) -> str:
        """For names of files, which sort by number: ``part-03-of-16``."""
        return f"part-{self.number:0{len(str(self.of))}d}-of-{self.of}"

    def bounds(self, n: int) -> tuple[int, int]:
        """First item of the share of n items, and the one after its last."""
        return n * (self.number - 1) // self.of, n * self.number // self.of

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """The items of this share; all shares together are the list."""
        first, end = self.bounds(len(items))
        return items[first:end]


def part(text: str) -> Part:
    """``"3/16"`` on the command line.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"a part is written NUMBER/PARTS, 1/16 to 16/16, found {text!r}")
    return Part(int(number), int(of))
