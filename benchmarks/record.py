"""Where a benchmark ran, what memory it holds, and its results as a file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from charge3net.io.files import write_whole
from charge3net.provenance import clone_state, installed_version, processor_name

ROOT = Path(__file__).parent.parent


def circumstances(packages: Sequence[str]) -> dict[str, Any]:
    """Commit, processor, load and versions; a package that is not installed is None."""
    commit, changed = clone_state("charge3net") or ("", False)
    return {
        "commit": commit[:7],
        "uncommitted": changed,
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in packages},
    }


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(result, indent=1) + "\n")


def anonymous_mb() -> float:
    """Memory of this process that no file backs, in MB."""
    return _status("RssAnon")


def held_mb() -> float:
    """Memory that this process holds, in MB."""
    return _status("VmRSS")


def peak_mb(run: Callable[[], object]) -> float:
    """The most that this process holds while ``run()`` runs, in MB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the high-water mark
    run()
    return _status("VmHWM")


def _status(field: str) -> float:
    """A line of /proc/self/status, MB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return float("nan")
