"""Make the bundled set of cathodes from the generator's npz files.

    python -m data_prep.nmc_set.build DIR [-o data_prep/nmc_set/bundle]

DIR is what ``open_dft/generate.py nmc_unpolarised -o DIR --count 60`` and ``… charge_transfer -o DIR --count 18``
leave. Cells at random train, VALIDATION of them (the first in an order by hash) validate, pairs are the test part. A
pair of which one half is missing is left out. All have the superposition of atoms, but for training cells.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from charge3net.data.splits import hash_order
from data_prep.bundles.bundle import bundle_report, write_alike
from data_prep.command import make_command

BUNDLE = Path(__file__).resolve().parent / "bundle"
HEADER = {"format": "charge3net-nmc-set", "version": 1}
META = ("energy_eV", "scf_iterations", "nk_ibz", "nmae_sad", "rho_min", "rho_max", "magnetisation", "source")
SETTINGS = ("code", "density", "xc", "mode", "kpts_density", "smearing", "spin")
SEED = 0
VALIDATION = 2
FULL, WITHOUT = "-full", "-minus_li"


def divide(names: list[str]) -> dict[str, str]:
    """Part of each entry, name → part; halves of pairs without the other half are not named."""
    cells = [name for name in names if not name.endswith((FULL, WITHOUT))]
    parts = dict.fromkeys(cells, "train") | dict.fromkeys(hash_order(cells, SEED)[:VALIDATION], "validation")
    for name in names:
        if name.endswith(FULL) and name.removesuffix(FULL) + WITHOUT in names:
            parts |= {name: "test", name.removesuffix(FULL) + WITHOUT: "test"}
    return dict(sorted(parts.items()))


def build(folder: Path, bundle: Path) -> list[dict[str, Any]]:
    """Write the bundle whole or not at all; returns its records.

    Raises:
        ValueError: when the folder holds too few cells or no pair, or files of different settings.
    """
    parts = divide([path.stem for path in folder.glob("*.npz")])
    counts = {part: list(parts.values()).count(part) for part in ("train", "test")}
    if not all(counts.values()):
        raise ValueError(f"{folder} holds {counts['train']} cells to train on and {counts['test']} of pairs; make more")
    return write_alike(bundle, HEADER, folder, parts, meta=META, settings=SETTINGS)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(lambda folder, bundle: bundle_report(build(folder, bundle), bundle), __doc__, BUNDLE, arguments)


if __name__ == "__main__":
    sys.exit(main())
