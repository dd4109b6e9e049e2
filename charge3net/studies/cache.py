"""What a study has computed, kept in files, so that an interrupted one goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charge3net.io.files import write_whole


def cached(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """JSON values from a file; if it is not there they are made and kept in it first."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(make()) + "\n")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
