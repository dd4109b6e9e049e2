"""Finished parts of a study, stored in files, so that an interrupted study continues."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charge3net.io.files import write_whole


def cached(path: Path, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """JSON values from a file; if it does not exist they are computed and written to it first."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(compute()) + "\n")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
