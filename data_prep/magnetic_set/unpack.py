"""The bundled magnetic set as a charge3net store with its splits.

    python data_prep/magnetic_set/unpack.py -o DIR

makes ``DIR/store``, ``DIR/split.json`` and ``DIR/alike/split.json``: the same training part, and for a test part the
crystals with two sublattices that only the moments tell apart. Entries that are in the store already are kept, so the
command can be repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from charge3net.data.splits import Split
from data_prep.bundles.bundle import read_index
from data_prep.bundles.unpack import unpack, unpack_command

BUNDLE = Path(__file__).resolve().parent / "bundle"


def unpack_all(bundle: Path, folder: Path) -> Split:
    """Write the store and both splits; returns the first.

    Raises:
        InputError: for a damaged bundle, or an entry that the store refuses.
    """
    split = unpack(bundle, folder)
    alike = tuple(record["key"] for record in read_index(bundle)[1] if record["part"] == "alike")
    Split(split.train, split.validation, alike).save(folder / "alike" / "split.json")
    return split


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return unpack_command(BUNDLE, __doc__, arguments, unpack_all)


if __name__ == "__main__":
    sys.exit(main())
