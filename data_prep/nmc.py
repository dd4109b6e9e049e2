"""NMC: densities of lithium nickel manganese cobalt oxide cells, VASP, DTU data, doi:10.11583/DTU.16837721.

    python -m data_prep.nmc --tars DIR -o STORE

DIR holds the tar files as published, the text file that lists them, and the split; see docs/data_sets.md.
"""

from __future__ import annotations

import sys

from data_prep.published.tar_sets import TarSet

SET = TarSet(
    name="nmc",
    title="densities of Li(Ni, Mn, Co)O2 battery cathodes",
    doi="10.11583/DTU.16837721",
    # the valence of Li, Ni, Mn and Co depends on the potential (Li 1 or 3, Mn 7 or 13, …): give it with --valence
)

if __name__ == "__main__":
    sys.exit(SET.main())
