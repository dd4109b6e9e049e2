"""Number of CPU threads of a training."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: Upper limit: a step consists of many small operations (docs/kernels.md).
MOST = 4


def free_cores() -> tuple[int, float]:
    """Cores this process may use, and how many of them are busy (the load of the last minute; 0 where unknown)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return cores, min(load, float(cores))


def choose_threads(
    asked: int | None, processes: int, cores: int, busy: float, environment: Mapping[str, str]
) -> tuple[int, str]:
    """Threads of each process, and the reason.

    ``runtime.threads`` and ``OMP_NUM_THREADS`` come first. Otherwise the processes share the free cores, at most
    :data:`MOST` each: a thread that waits for a core makes all others wait.

    Args:
        asked: ``runtime.threads``.
        processes: of this training on this machine, including data workers.
        cores, busy: of the machine, see :func:`free_cores`.
        environment: variables, as in ``os.environ``.
    """
    if asked is not None:
        return asked, "runtime.threads"
    given = environment.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given), "OMP_NUM_THREADS"
    share = int(cores - round(busy)) // max(processes, 1)
    return max(1, min(share, MOST)), f"{cores} cores, {busy:.0f} busy"
