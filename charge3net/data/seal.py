"""The end of a store: how many entries its index has and the checksum of the last one, written when a writer closes it.

The checksums of index lines cover the lines before them, so only lines missing at the end need this. A store without
the file (one of 0.1.0 or older, or one whose writer was killed) is not checked for them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from charge3net.data.index import INDEX, dump, line_checksum

SEAL = "entries.json"


def seal(folder: Path, entries: int, last_checksum: str) -> None:
    """Write down where the index ends."""
    temporary = folder / f"{SEAL}.{os.getpid()}.tmp"
    temporary.write_text(dump({"entries": entries, "last_line_sha256": last_checksum}) + "\n", encoding="utf-8")
    os.replace(temporary, folder / SEAL)


def unseal(folder: Path) -> None:
    """Before the index grows."""
    (folder / SEAL).unlink(missing_ok=True)


def check_seal(folder: Path) -> dict[str, str]:
    """What is wrong with the end of the index; empty if nothing is, or nothing was written down."""
    try:
        text = (folder / SEAL).read_bytes()
    except FileNotFoundError:
        return {}
    try:
        record = json.loads(text)
        entries, last = int(record["entries"]), str(record["last_line_sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return {SEAL: "is damaged; `charge3net data build --resume` writes it again"}
    with open(folder / INDEX, "rb") as file:
        lines = file.readlines()
    if entries != len(lines) - 1:
        return {INDEX: f"has {len(lines) - 1} entries where the store was closed with {entries}; copy the store again"}
    return {} if line_checksum(lines[-1]) == last else {INDEX: "its last line was changed; copy the store again"}
