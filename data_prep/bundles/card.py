"""The numbers on the data card of a set that joins others: its table, its elements and its SHA-256.

    python -m data_prep.bundles.card SET

SET is ``benchmark_set_v2`` or ``benchmark_set_v4``.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from charge3net.data.splits import PARTS
from data_prep.bundles.bundle import INDEX, read_index
from data_prep.bundles.unpack import BUNDLES, JOINED


def checksum(name: str) -> str:
    """SHA-256 (hex) of the index files of the sets that ``name`` joins, one after the other.

    An index holds the SHA-256 of its densities (v1: also that of the demo set) and the part of each entry.
    """
    return hashlib.sha256(b"".join((BUNDLES[one] / INDEX).read_bytes() for one in JOINED[name])).hexdigest()


def all_records(name: str) -> list[dict[str, Any]]:
    """The records of the sets that ``name`` joins.

    Those of molecules of the demo set have their values, ``part`` and ``kind``.
    """
    demo = {record["key"]: record for record in read_index(BUNDLES["demo_set"])[1]}
    records = [record for one in JOINED[name] for record in read_index(BUNDLES[one])[1]]
    return [
        {**demo[record["key"]], "kind": record["kind"], "part": record["part"]} if "from" in record else record
        for record in records
    ]


def table(records: Sequence[dict[str, Any]]) -> str:
    """A row for each kind and part."""
    lines = ["| kind | part | entries | formulas | elements | atoms | voxels | superposition of atoms, mean ε_mae |"]
    lines.append("|" + "---|" * 8)
    for kind in dict.fromkeys(record["kind"] for record in records):
        for part in PARTS:
            chosen = [record for record in records if (record["kind"], record["part"]) == (kind, part)]
            if chosen:
                lines.append("| " + " | ".join(map(str, (kind, part, *_row(chosen)))) + " |")
    return "\n".join(lines)


def _row(records: Sequence[dict[str, Any]]) -> tuple[int | str, ...]:
    formulas = {record["formula"] for record in records}
    elements = {z for record in records for z in record["numbers"]}
    atoms = sum(len(record["numbers"]) for record in records)
    voxels = sum(math.prod(record["shape"]) for record in records)
    superposition = f"{100 * np.mean([record['meta']['nmae_sad'] for record in records]):.1f} %"
    return len(records), len(formulas), len(elements), atoms, voxels, superposition


def element_counts(records: Sequence[dict[str, Any]]) -> str:
    """Elements of the crystals by atomic number, each with the number of training formulas that hold it."""
    crystals = [record for record in records if record["kind"] in ("crystals", "magnetic")]
    formulas = {record["formula"]: set(record["numbers"]) for record in crystals if record["part"] == "train"}
    counts = Counter(z for elements in formulas.values() for z in elements)
    every = sorted({z for record in crystals for z in record["numbers"]})
    return " ".join(f"{chemical_symbols[z]} {counts[z]}" for z in every)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=sorted(JOINED), metavar="SET")
    name = parser.parse_args(arguments).set
    records = all_records(name)
    print(table(records))
    print(f"{len(records)} entries, {len({record['formula'] for record in records})} formulas")
    print("elements:", element_counts(records))
    print("sha256:", checksum(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
