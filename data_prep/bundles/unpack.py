"""Turn a bundled data set into a charge3net store with its splits.

    python -m data_prep.bundles.unpack SET -o DIR

SET is ``demo_set``, ``benchmark_set`` (v1), ``benchmark_set_v2`` (v1 and ``new_compositions_set`` together),
``benchmark_set_v4`` (v2 and ``new_formulas_set`` together), ``new_compositions_set``, ``new_formulas_set``,
``distorted_set``, ``nmc_set`` or ``magnetic_set``. The command makes ``DIR/store`` and
``DIR/split.json``. Sets of several kinds of materials also get ``DIR/KIND/split.json`` for each kind; the magnetic set
gets ``DIR/alike/split.json``. Entries that the store has already are not written again, so the command can be repeated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from charge3net.data.splits import PARTS, Split
from charge3net.data.writer import StoreWriter
from charge3net.errors import InputError
from data_prep.bundles.bundle import BINARY, INDEX, add_to_store, read_index, split_of

ROOT = Path(__file__).resolve().parents[1]
#: Name of a set → the folder of its bundle.
BUNDLES = {path.parents[1].name: path.parent for path in sorted(ROOT.glob(f"*/bundle/{INDEX}"))}
#: Name of a set → the sets that it consists of; no formula stands in two of them.
JOINED = {
    "benchmark_set_v2": ("benchmark_set", "new_compositions_set"),
    "benchmark_set_v4": ("benchmark_set", "new_compositions_set", "new_formulas_set"),
}


def unpack_set(name: str, folder: Path) -> dict[str, Split]:
    """:func:`unpack` for a set of :data:`BUNDLES` or :data:`JOINED`; parts of joined sets are joined in their order.

    Raises:
        InputError: as :func:`unpack`.
    """
    if name in BUNDLES:
        return unpack(BUNDLES[name], folder)
    found = [unpack(BUNDLES[one], folder) for one in JOINED[name]]
    joined = {}
    for kind in dict.fromkeys(kind for splits in found for kind in splits):
        own = [splits[kind] for splits in found if kind in splits]
        joined[kind] = Split(*(tuple(key for split in own for key in getattr(split, part)) for part in PARTS))
    return _saved(joined, folder)


def unpack(bundle: Path, folder: Path) -> dict[str, Split]:
    """Write ``folder/store`` and the splits of a bundle.

    Returns:
        Name → split: ``all``, and one for each kind of material or additional test part that the bundle names.

    Raises:
        InputError: for a damaged bundle, another demo set than the one it refers to, or an entry that the store
            refuses.
    """
    header, records = read_index(bundle)
    sources = [(bundle, header, [record for record in records if "from" not in record])]
    elsewhere = {record["key"] for record in records if "from" in record}
    if elsewhere:
        demo_header, demo_records = _demo_set(bundle, header)
        sources.append((BUNDLES["demo_set"], demo_header, [r for r in demo_records if r["key"] in elsewhere]))
    with StoreWriter(folder / "store") as writer:
        for source, source_header, chosen in sources:
            add_to_store(writer, source, chosen, source_header["settings"])
    return _saved(_splits(records), folder)


def _saved(splits: dict[str, Split], folder: Path) -> dict[str, Split]:
    for name, split in splits.items():
        split.save(folder / ("" if name == "all" else name) / "split.json")
    return splits


def _demo_set(bundle: Path, header: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and records of the demo set, which must be the one that the bundle refers to."""
    demo = BUNDLES["demo_set"]
    found, records = read_index(demo)
    if found["sha256"] != header["demo_set_sha256"]:
        raise InputError(f"{demo / BINARY} is not the demo set that {bundle} refers to; check both out again")
    return found, records


def _splits(records: Iterable[Mapping[str, Any]]) -> dict[str, Split]:
    records = list(records)
    splits = {"all": split_of(records)}
    for kind in dict.fromkeys(record["kind"] for record in records if "kind" in record):
        splits[kind] = split_of(record for record in records if record["kind"] == kind)
    for part in dict.fromkeys(record["part"] for record in records if record["part"] not in PARTS):
        test = tuple(record["key"] for record in records if record["part"] == part)
        splits[part] = Split(splits["all"].train, splits["all"].validation, test)
    return splits


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.bundles.unpack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = sorted([*BUNDLES, *JOINED])
    parser.add_argument("set", choices=names, metavar="SET", help=", ".join(names))
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        splits = unpack_set(options.set, options.out)
    except InputError as error:
        parser.error(str(error))
    for name, split in splits.items():
        print(f"{name}:", ", ".join(f"{part} {len(getattr(split, part))}" for part in PARTS), "entries")
    print("in", options.out / "store")
    return 0


if __name__ == "__main__":
    sys.exit(main())
