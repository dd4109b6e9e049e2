"""The store and the split that the shipped models are trained on: benchmark set v3.

    python -m data_prep.shipped_models.store -o DIR

The same as ``python -m data_prep.bundles.unpack benchmark_set_v3 -o DIR``, and below ``DIR/others`` the distorted,
magnetic and cathode sets: nothing is trained on them; their entries calibrate the expected error, and test it
(:mod:`data_prep.shipped_models.release`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from charge3net.data.splits import PARTS
from charge3net.errors import InputError
from data_prep.bundles.unpack import JOINED, unpack_set

SET = "benchmark_set_v3"
SETS = JOINED[SET]

#: Sets that nothing is trained on, and how errors on them are named.
OTHERS = {"distorted_set": "distorted", "magnetic_set": "magnetic elements", "nmc_set": "cathodes"}


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    folder = parser.parse_args(arguments).out
    try:
        joined = unpack_set(SET, folder)["all"]
        for name in OTHERS:
            unpack_set(name, folder / "others" / name)
    except InputError as error:
        parser.error(str(error))
    print(", ".join(f"{part} {len(getattr(joined, part))}" for part in PARTS), "entries in", folder / "store")
    return 0


if __name__ == "__main__":
    sys.exit(main())
