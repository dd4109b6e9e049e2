"""The demo's bundled set of DFT densities as a charge3net store with its split.

    python data_prep/demo_set/unpack.py -o DIR

makes ``DIR/store`` and ``DIR/split.json`` (names in the parts train, validation and test). Entries that are in the
store already are kept, so the command can be repeated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from charge3net.data.splits import PARTS, Split
from charge3net.data.store import StoreWriter
from charge3net.errors import InputError
from data_prep._bundle import add_to_store, read_index, split_of

BUNDLE = Path(__file__).resolve().parent / "bundle"


def unpack(bundle: Path, folder: Path) -> Split:
    """Write ``folder/store`` and ``folder/split.json``; returns the split.

    Raises:
        InputError: for a damaged bundle, or an entry that the store refuses.
    """
    header, records = read_index(bundle)
    with StoreWriter(folder / "store") as writer:
        add_to_store(writer, bundle, records, header["settings"])
    split = split_of(records)
    split.save(folder / "split.json")
    return split


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        split = unpack(BUNDLE, options.out)
    except InputError as error:
        parser.error(str(error))
    print(", ".join(f"{part} {len(getattr(split, part))}" for part in PARTS), "entries in", options.out / "store")
    return 0


if __name__ == "__main__":
    sys.exit(main())
