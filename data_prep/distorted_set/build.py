"""Make the bundled set of distorted crystals from the generator's npz files.

    python -m data_prep.distorted_set.build DIR [-o data_prep/distorted_set/bundle]

DIR is what ``python data_prep/open_dft/generate.py distorted -o DIR --count 384`` leaves: ``NAME-0`` an ideal crystal,
``NAME-1``, ``NAME-2``, … the same strained and rattled. The first distorted copy of each is a test entry, VALIDATION of
the others (the first in an order by hash) validate, the rest trains. The bundle's files: data_prep/bundles/bundle.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from charge3net.data.splits import hash_order
from data_prep.bundles.bundle import bundle_report, write_alike
from data_prep.command import make_command

BUNDLE = Path(__file__).resolve().parent / "bundle"
HEADER = {"format": "charge3net-distorted-set", "version": 1}
META = ("energy_eV", "scf_iterations", "nk_ibz", "kpts_density", "nmae_sad", "rho_min", "rho_max", "source")
SETTINGS = ("code", "density", "xc", "mode", "smearing", "spin")
SEED = 0
VALIDATION = 8


def divide(names: list[str]) -> dict[str, str]:
    """Part of each entry, name → part; a crystal of which only the tested copy is there is not named."""
    copies = {name: int(name.rpartition("-")[2]) for name in names}
    learned = {name.rpartition("-")[0] for name, copy in copies.items() if copy != 1}
    parts = {name: "test" if copy == 1 else "train" for name, copy in copies.items()}
    distorted = [name for name, copy in copies.items() if copy > 1]
    parts |= dict.fromkeys(hash_order(distorted, SEED)[:VALIDATION], "validation")
    return {name: parts[name] for name in sorted(parts) if name.rpartition("-")[0] in learned}


def build(folder: Path, bundle: Path) -> list[dict[str, Any]]:
    """Write the bundle whole or not at all; returns its records.

    Raises:
        ValueError: when the folder holds too little for three parts, or files of different settings.
    """
    parts = divide([path.stem for path in folder.glob("*.npz")])
    if set(parts.values()) != {"train", "validation", "test"}:
        raise ValueError(f"{folder} holds too few copies; run generate.py distorted with a larger --count")
    return write_alike(bundle, HEADER, folder, parts, meta=META, settings=SETTINGS)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(lambda folder, bundle: bundle_report(build(folder, bundle), bundle), __doc__, BUNDLE, arguments)


if __name__ == "__main__":
    sys.exit(main())
