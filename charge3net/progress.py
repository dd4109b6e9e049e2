"""Progress bar and timers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called with the number of points done and of all.
Progress = Callable[[int, int], None]


class Clock:
    """Adds up time by name: ``with clock("atoms"): …`` adds to ``clock.seconds["atoms"]``.

    What is timed inside counts for its own name only, so the times add up to the whole.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start, before = time.perf_counter(), self._inside
        self._inside = 0.0
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + elapsed - self._inside
            self._inside = before + elapsed


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
