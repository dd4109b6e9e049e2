"""Crystals of a few compositions, each strained and rattled in several ways, as a charge3net store with its split.

    python data_prep/distorted_set/unpack.py -o DIR

makes ``DIR/store`` and ``DIR/split.json``; the test part is one distorted copy of every crystal. Entries that are in
the store already are kept, so the command can be repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data_prep.bundles.unpack import unpack, unpack_command

__all__ = ["BUNDLE", "main", "unpack"]

BUNDLE = Path(__file__).resolve().parent / "bundle"


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return unpack_command(BUNDLE, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
