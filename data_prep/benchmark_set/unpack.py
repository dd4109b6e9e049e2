"""Benchmark set v1 as a charge3net store with its splits.

    python data_prep/benchmark_set/unpack.py -o DIR

makes ``DIR/store`` and four splits of it: ``DIR/split.json`` (everything), ``DIR/crystals/split.json``,
``DIR/molecules/split.json`` and ``DIR/liquids/split.json``. Entries that are in the store already are kept, so the
command can be repeated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from charge3net.data.splits import PARTS, Split
from charge3net.data.writer import StoreWriter
from charge3net.errors import InputError
from data_prep.bundles.bundle import BINARY, add_to_store, read_index, split_of

BUNDLE = Path(__file__).resolve().parent / "bundle"
DEMO = Path(__file__).resolve().parents[1] / "demo_set" / "bundle"
KINDS = ("crystals", "molecules", "liquids")


def unpack(bundle: Path, demo: Path, folder: Path) -> dict[str, Split]:
    """Write ``folder/store`` and the splits; returns them, ``all`` and one per kind.

    Raises:
        InputError: for a damaged bundle, another demo set than the one referred to, or an entry that the store refuses.
    """
    header, records = read_index(bundle)
    demo_header, demo_records = read_index(demo)
    if demo_header["sha256"] != header["demo_set_sha256"]:
        raise InputError(f"{demo / BINARY} is not the demo set that {bundle} refers to; check both out again")
    wanted = {record["key"] for record in records if "from" in record}
    with StoreWriter(folder / "store") as writer:
        add_to_store(writer, bundle, [record for record in records if "from" not in record], header["settings"])
        add_to_store(writer, demo, [r for r in demo_records if r["key"] in wanted], demo_header["settings"])
    splits = {"all": split_of(records)}
    splits["all"].save(folder / "split.json")
    for kind in KINDS:
        splits[kind] = split_of(record for record in records if record["kind"] == kind)
        splits[kind].save(folder / kind / "split.json")
    return splits


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        splits = unpack(BUNDLE, DEMO, options.out)
    except InputError as error:
        parser.error(str(error))
    for name, split in splits.items():
        print(f"{name}:", ", ".join(f"{part} {len(getattr(split, part))}" for part in PARTS))
    print("in", options.out / "store")
    return 0


if __name__ == "__main__":
    sys.exit(main())
