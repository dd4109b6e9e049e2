"""The projectors of GPAW's PBE setups and what their neutral atoms hold, as JSON.

    python data_prep/open_dft/setups.py [SYMBOL…] -o SETUPS.json

Runs in the environment of install_gpaw.sh (``make gpaw``) and starts itself there. SETUPS.json: name of the setup's
file → ``number``, and of every channel ``n`` (−1: no bound state), ``l`` and ``electrons`` in the neutral atom. All
elements of gpaw-data are taken unless symbols are given.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from generate import enter_environment


def setup_facts(setup: Any) -> dict[str, Any]:
    """The entry of a GPAW setup.

    Raises:
        ValueError: if its neutral atom's density matrix is not diagonal, or differs within a channel.
    """
    from gpaw.utilities import unpack_density

    occupations = setup.calculate_initial_occupation_numbers(0.0, False, 0.0, 1)
    (matrix,) = unpack_density(setup.initialize_density_matrix(occupations))
    shells = np.split(np.diag(matrix), np.cumsum([2 * degree + 1 for degree in setup.l_j])[:-1])
    if np.abs(matrix - np.diag(np.diag(matrix))).max() > 1e-12 or any(np.ptp(shell) > 1e-12 for shell in shells):
        raise ValueError(f"the neutral atom of {setup.filename} is not spherical")
    return {
        "number": int(setup.Z),
        "n": [int(n) for n in setup.n_j],
        "l": [int(degree) for degree in setup.l_j],
        "electrons": [round(float(shell.sum()), 12) for shell in shells],
    }


def setups(symbols: list[str]) -> dict[str, dict[str, Any]]:
    """SETUPS.json for these elements, or for all that gpaw-data has."""
    from ase.data import chemical_symbols
    from gpaw.setup import create_setup
    from gpaw.setup_data import search_for_file
    from gpaw.xc import XC

    functional, found = XC("PBE"), {}
    for symbol in symbols or chemical_symbols[1:]:
        try:
            file = Path(search_for_file(f"{symbol}.PBE")[0])
        except FileNotFoundError:
            if symbols:
                raise
            continue
        found[file.name] = setup_facts(create_setup(symbol, functional))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("symbols", nargs="*", metavar="SYMBOL")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    enter_environment(parser)
    options.out.write_text(json.dumps(setups(options.symbols), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
