"""The store and the split that the shipped models are trained on: benchmark set v2.

    python -m data_prep.shipped_models.store -o DIR

The same as ``python -m data_prep.bundles.unpack benchmark_set_v2 -o DIR``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from charge3net.data.splits import PARTS
from charge3net.errors import InputError
from data_prep.bundles.unpack import JOINED, unpack_set

SET = "benchmark_set_v2"
SETS = JOINED[SET]


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    folder = parser.parse_args(arguments).out
    try:
        joined = unpack_set(SET, folder)["all"]
    except InputError as error:
        parser.error(str(error))
    print(", ".join(f"{part} {len(getattr(joined, part))}" for part in PARTS), "entries in", folder / "store")
    return 0


if __name__ == "__main__":
    sys.exit(main())
