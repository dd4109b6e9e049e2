"""Properties of the elements, for features and embeddings; rows 0 (unknown, all zero) … 118."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.geometry import MAX_ATOMIC_NUMBER

#: Names of the columns of :func:`element_properties`.
PROPERTIES = ("electronegativity", "radius", "row", "valence", "s", "p", "d", "f")

#: Columns whose averages are local features: all but the last, which is 1 minus the other blocks.
FEATURED = tuple(range(7))

# Pauling scale as in pymatgen's periodic table (noble gases without a value: Allen's); hydrogen first, 118 numbers.
_ELECTRONEGATIVITY = (
    2.2, 4.16, 0.98, 1.57, 2.04, 2.55, 3.04, 3.44, 3.98, 4.79, 0.93, 1.31, 1.61, 1.9, 2.19, 2.58, 3.16, 3.24,
    0.82, 1.0, 1.36, 1.54, 1.63, 1.66, 1.55, 1.83, 1.88, 1.91, 1.9, 1.65, 1.81, 2.01, 2.18, 2.55, 2.96, 3.0,
    0.82, 0.95, 1.22, 1.33, 1.6, 2.16, 1.9, 2.2, 2.28, 2.2, 1.93, 1.69, 1.78, 1.96, 2.05, 2.1, 2.66, 2.6,
    0.79, 0.89, 1.1, 1.12, 1.13, 1.14, 1.13, 1.17, 1.2, 1.2, 1.1, 1.22, 1.23, 1.24, 1.25, 1.1, 1.27, 1.3,
    1.5, 2.36, 1.9, 2.2, 2.2, 2.28, 2.54, 2.0, 1.62, 2.33, 2.02, 2.0, 2.2, 2.2, 0.7, 0.9, 1.1, 1.3,
    1.5, 1.38, 1.36, 1.28, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 2.0, 2.0, 2.0, 2.0, 2.0,
    2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0,
)  # fmt: skip
# Covalent radii in Å, Cordero et al., Dalton Trans. 2008, 2832, as in ase.data; 2.0 from Bk on, where none is known.
_RADIUS = (
    0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11, 1.07, 1.05, 1.02, 1.06,
    2.03, 1.76, 1.7, 1.6, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.2, 1.19, 1.2, 1.2, 1.16,
    2.2, 1.95, 1.9, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38, 1.39, 1.4,
    2.44, 2.15, 2.07, 2.04, 2.03, 2.01, 1.99, 1.98, 1.98, 1.96, 1.94, 1.92, 1.92, 1.89, 1.9, 1.87, 1.87, 1.75,
    1.7, 1.62, 1.51, 1.44, 1.41, 1.36, 1.36, 1.32, 1.45, 1.46, 1.48, 1.4, 1.5, 1.5, 2.6, 2.21, 2.15, 2.06,
    2.0, 1.96, 1.9, 1.87, 1.8, 1.69, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0,
    2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0,
)  # fmt: skip
#: Atomic numbers of the noble gases.
_CLOSED = (0, 2, 10, 18, 36, 54, 86, 118)


def element_properties(valence: Mapping[int, float]) -> Float[ndarray, "elements properties"]:
    """[119, properties] all of about unit size.

    Args:
        valence: electrons of the potential, by atomic number; other elements have those beyond the noble gas.
    """
    table = np.zeros((MAX_ATOMIC_NUMBER + 1, len(PROPERTIES)))
    for z in range(1, MAX_ATOMIC_NUMBER + 1):
        row = next(i for i, closed in enumerate(_CLOSED) if z <= closed)
        electrons = valence.get(z, min(z - _CLOSED[row - 1], 16))
        block = _block(z - _CLOSED[row - 1], row)
        table[z, :4] = (
            _ELECTRONEGATIVITY[z - 1] - 2.0,
            (_RADIUS[z - 1] - 1.4) / 0.4,
            (row - 3.5) / 1.5,
            np.log(electrons) - 1.8,
        )
        table[z, 4 + "spdf".index(block)] = 1.0
    return table


def _block(place: int, row: int) -> str:
    """Block of the element at a place (1, 2, …) of a row of the periodic table."""
    if place <= 2:
        return "s"
    last = _CLOSED[row] - _CLOSED[row - 1]
    if place > last - 6:
        return "p"
    return "d" if place > last - 16 else "f"
