"""What a user sees of a long computation: a bar, and where the time went."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called with what is done so far and what there is to do.
Progress = Callable[[int, int], None]


class Clock:
    """Adds up time by name: ``with clock("reading"): …`` adds to ``clock.seconds["reading"]``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@contextmanager
def progress_bar(progress: bool | Progress, unit: str, label: str = "") -> Iterator[Progress]:
    """A function of (done, total): a bar with a rate on standard error (True), nothing (False), or the one given."""
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda done, total: None
        return
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", unit_scale=True, desc=label or None, file=sys.stderr, leave=False) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report
