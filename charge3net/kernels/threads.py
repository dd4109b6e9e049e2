"""Number of threads of the compiled code that torch's setting does not cover: reading files, finding neighbours."""

from __future__ import annotations

import multiprocessing
import os
from functools import cache

_MOST = 4


@cache
def threads() -> int:
    """The cores of this process, 4 at most; one in a worker process, whose siblings have the others.

    ``OMP_NUM_THREADS`` lowers it.
    """
    if multiprocessing.parent_process() is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, _MOST, int(wanted) if wanted.isdigit() and int(wanted) else cores))
