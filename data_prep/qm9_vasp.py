"""QM9-VASP: densities of the QM9 molecules (H, C, N, O, F), VASP, DTU data, doi:10.11583/DTU.16794500.

    python -m data_prep.qm9_vasp --tars DIR -o STORE

DIR holds the tar files as published, the text file that lists them, and the split; see docs/data_sets.md.
"""

from __future__ import annotations

import sys

from data_prep.published.tar_sets import TarSet

SET = TarSet(
    name="qm9_vasp",
    title="densities of the QM9 molecules",
    doi="10.11583/DTU.16794500",
    # the same in the standard, soft and hard PAW potentials of these elements
    valence={"H": 1.0, "C": 4.0, "N": 5.0, "O": 6.0, "F": 7.0},
)

if __name__ == "__main__":
    sys.exit(SET.main())
