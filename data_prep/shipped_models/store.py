"""The store and the split that the shipped models are trained on: benchmark set v4.

    python -m data_prep.shipped_models.store -o DIR

The same as ``python -m data_prep.bundles.unpack benchmark_set_v4 -o DIR``, but that 20 of the 100 training
configurations of the liquid are validation entries, since ten are too few to calibrate an expected error; and below
``DIR/others`` the distorted, magnetic and cathode sets: nothing is trained on them; their entries calibrate the
expected error, and test it (:mod:`data_prep.shipped_models.release`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from charge3net.data.splits import PARTS, Split, hash_order
from charge3net.errors import InputError
from data_prep.bundles.unpack import JOINED, unpack_set

SET = "benchmark_set_v4"
SETS = JOINED[SET]

#: Sets that nothing is trained on, and how errors on them are named.
OTHERS = {"distorted_set": "distorted", "magnetic_set": "magnetic elements", "nmc_set": "cathodes"}


#: Of the training part, moved to the validation part: so many entries of the kind, first in the order by hash.
MORE_VALIDATION = {"liquids": 20}


def with_more_validation(parts: dict[str, Split]) -> dict[str, Split]:
    """The splits of all entries (``all``) and of each kind, with :data:`MORE_VALIDATION`."""
    moved = {key for kind, number in MORE_VALIDATION.items() for key in hash_order(parts[kind].train, 0)[:number]}

    def change(split: Split) -> Split:
        left, more = ([key for key in split.train if (key in moved) == out] for out in (False, True))
        return Split(tuple(left), (*split.validation, *more), split.test)

    return {kind: change(split) for kind, split in parts.items()}


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    folder = parser.parse_args(arguments).out
    try:
        parts = with_more_validation(unpack_set(SET, folder))
        for kind, split in parts.items():
            split.save(folder / ("" if kind == "all" else kind) / "split.json")
        joined = parts["all"]
        for name in OTHERS:
            unpack_set(name, folder / "others" / name)
    except InputError as error:
        parser.error(str(error))
    print(", ".join(f"{part} {len(getattr(joined, part))}" for part in PARTS), "entries in", folder / "store")
    return 0


if __name__ == "__main__":
    sys.exit(main())
