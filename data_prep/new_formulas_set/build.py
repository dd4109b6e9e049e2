"""Make the bundled set of new formulas, one ideal crystal each, from the generator's npz files.

    python -m data_prep.new_formulas_set.build DIR [-o data_prep/new_formulas_set/bundle]

DIR holds what ``python data_prep/open_dft/generate.py`` leaves for the sets ``new_formulas`` and ``magnetic_formulas``,
in folders of its own. A formula's part follows from its hash alone. A quarter of the formulas validates: they calibrate
the expected error of the shipped model, which needs many formulas. The bundle's files: data_prep/bundles/bundle.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

from data_prep.bundles.bundle import bundle_report
from data_prep.command import make_command
from data_prep.new_compositions_set.build import build, part_by_hash

BUNDLE = Path(__file__).resolve().parent / "bundle"
HEADER = {"format": "charge3net-new-formulas-set", "version": 1}
#: Of a hundred formulas: how many are tested, and how many validate.
TESTED, VALIDATING = 10, 25


def part_of(formula: str) -> str:
    """The part of a formula; follows from the formula alone."""
    return part_by_hash("new formulas", formula, TESTED, VALIDATING)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""

    def make(folder: Path, bundle: Path) -> str:
        return bundle_report(build(folder, bundle, HEADER, part_of), bundle)

    return make_command(make, __doc__, BUNDLE, arguments)


if __name__ == "__main__":
    sys.exit(main())
