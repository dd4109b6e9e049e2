"""The store and the split that the shipped models are trained on: benchmark set v1 and the set of new compositions.

    python -m data_prep.shipped_models.store -o DIR

Training, validation and test entries are those of the two sets. No formula of the second set stands in the first, so
the test entries of each stay unseen.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from charge3net.data.splits import PARTS, Split
from charge3net.errors import InputError
from data_prep.bundles.unpack import BUNDLES, unpack

SETS = ("benchmark_set", "new_compositions_set")


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    folder = parser.parse_args(arguments).out
    try:
        splits = [unpack(BUNDLES[name], folder)["all"] for name in SETS]
    except InputError as error:
        parser.error(str(error))
    joined = Split(**{part: tuple(key for split in splits for key in getattr(split, part)) for part in PARTS})
    joined.save(folder / "split.json")
    print(", ".join(f"{part} {len(getattr(joined, part))}" for part in PARTS), "entries in", folder / "store")
    return 0


if __name__ == "__main__":
    sys.exit(main())
