"""Ethylene carbonate: densities of the liquid, VASP, DTU data, doi:10.11583/DTU.16691825.

    python -m data_prep.ethylene_carbonate --tars DIR -o STORE

DIR holds the tar files as published, the text file that lists them, and the split; see docs/data_sets.md.
"""

from __future__ import annotations

import sys

from data_prep.published.tar_sets import TarSet

SET = TarSet(
    name="ethylene_carbonate",
    title="densities of liquid ethylene carbonate",
    doi="10.11583/DTU.16691825",
    # the same in the standard, soft and hard PAW potentials of these elements
    valence={"H": 1.0, "C": 4.0, "O": 6.0},
)

if __name__ == "__main__":
    sys.exit(SET.main())
