"""Timing of a command, and faster imports."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from charge3net.progress import Clock


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Imports and loading without garbage collection, since their objects live until the process ends.

    They are not collected later either, nor when the process ends. This saves a third of the time of importing torch.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def age_of_process() -> float:
    """Seconds since this process was started; 0 except on Linux."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return uptime - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def print_profile(clock: Clock) -> None:
    """A table of the times on standard error."""
    total = sum(clock.seconds.values())
    print("where the time went:", file=sys.stderr)
    for name, seconds in clock.seconds.items():
        print(f"  {name:<16}{seconds:9.3f} s {100 * seconds / total:5.1f} %", file=sys.stderr)
    print(f"  {'sum':<16}{total:9.3f} s; since the start {age_of_process():.3f} s", file=sys.stderr)
