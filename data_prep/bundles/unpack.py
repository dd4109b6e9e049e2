"""The command that turns a committed bundle into a store with its split."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from charge3net.data.splits import PARTS, Split
from charge3net.data.writer import StoreWriter
from charge3net.errors import InputError
from data_prep.bundles.bundle import add_to_store, read_index, split_of


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


def unpack_command(
    bundle: Path,
    description: str | None,
    arguments: list[str] | None,
    write: Callable[[Path, Path], Split] = unpack,
) -> int:
    """Command line of a set's ``unpack.py``, which ``write``s more than :func:`unpack` where a set has more splits.

    Returns the exit status.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        split = write(bundle, options.out)
    except InputError as error:
        parser.error(str(error))
    print(", ".join(f"{part} {len(getattr(split, part))}" for part in PARTS), "entries in", options.out / "store")
    return 0
