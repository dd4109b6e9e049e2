"""The cells of pw.x by ``ibrav`` and ``celldm`` (or A, B, C, cosAB, cosAC, cosBC).

Source: the description of ibrav in the documentation of pw.x's input (version 6.7). The form of ibrav = −13 was another
one up to version 6.4.1 (the first two vectors exchanged, with a sign).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.units import BOHR

#: ibrav → which of celldm(2 … 6) it needs.
_NEEDED = {
    1: (), 2: (), 3: (), -3: (), 4: (3,), 5: (4,), -5: (4,), 6: (3,), 7: (3,), 8: (2, 3), 9: (2, 3), -9: (2, 3),
    91: (2, 3), 10: (2, 3), 11: (2, 3), 12: (2, 3, 4), -12: (2, 3, 5), 13: (2, 3, 4), -13: (2, 3, 5),
    14: (2, 3, 4, 5, 6),
}  # fmt: skip


def bravais_cell(ibrav: int, celldm: Mapping[int, float]) -> Float[ndarray, "3 3"]:
    """[3, 3] lattice vectors as rows, in units of celldm(1).

    Args:
        ibrav: index of the Bravais lattice, not 0.
        celldm: 2 … 6 → celldm(2 … 6).

    Raises:
        InputError: for an unknown ibrav, or one whose celldm are missing or impossible.
    """
    if ibrav not in _NEEDED:
        raise InputError(f"ibrav = {ibrav} is not known to pw.x; give the cell with ibrav = 0 and CELL_PARAMETERS")
    celldm = {4: 0.0, 5: 0.0, 6: 0.0} | dict(celldm)  # to pw.x an angle that is not given is 90°
    missing = [n for n in _NEEDED[ibrav] if n not in celldm]
    if missing:
        raise InputError(f"ibrav = {ibrav} needs celldm({', '.join(map(str, missing))})")
    build = _trigonal if abs(ibrav) == 5 else _monoclinic if 12 <= abs(ibrav) <= 13 else _upright
    cell = _triclinic(celldm) if ibrav == 14 else build(ibrav, celldm)
    if not np.isfinite(cell).all():
        raise InputError(f"ibrav = {ibrav}: these celldm(2 … 6) give no cell: {dict(celldm)}")
    return cell


def read_celldm(system: Mapping[str, Any], ibrav: int) -> dict[int, float]:
    """Number → celldm of the namelist &SYSTEM (names in lower case), celldm(1) in bohr.

    Raises:
        InputError: if celldm and A, B, C … are both given.
    """
    given = system.get("celldm")
    values = given if isinstance(given, list) else [given]
    if any(values):
        if system.get("a"):
            raise InputError("the input gives celldm and A; pw.x takes one of them")
        return {i: float(value) for i, value in enumerate(values, start=1) if value is not None}
    if not system.get("a"):
        return {}
    length = float(system["a"])
    found = {1: length / BOHR}
    found |= {n: float(system[name]) / length for n, name in ((2, "b"), (3, "c")) if name in system}
    if ibrav in (0, 14):
        cosines = {4: "cosbc", 5: "cosac", 6: "cosab"}
    else:
        cosines = {5: "cosac"} if ibrav in (-12, -13) else {4: "cosab"}
    return found | {n: float(system[name]) for n, name in cosines.items() if name in system}


def _upright(ibrav: int, celldm: Mapping[int, float]) -> Float[ndarray, "3 3"]:
    """Cubic, hexagonal, tetragonal and orthorhombic lattices."""
    b, c = celldm.get(2, 1.0), celldm.get(3, 1.0)
    x, y, z = 0.5, b / 2, c / 2
    cells: dict[int, Any] = {
        1: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        2: [[-x, 0, x], [0, x, x], [-x, x, 0]],
        3: [[x, x, x], [-x, x, x], [-x, -x, x]],
        -3: [[-x, x, x], [x, -x, x], [x, x, -x]],
        4: [[1, 0, 0], [-0.5, np.sqrt(3) / 2, 0], [0, 0, c]],
        6: [[1, 0, 0], [0, 1, 0], [0, 0, c]],
        7: [[x, -x, z], [x, x, z], [-x, -x, z]],
        8: [[1, 0, 0], [0, b, 0], [0, 0, c]],
        9: [[x, y, 0], [-x, y, 0], [0, 0, c]],
        -9: [[x, -y, 0], [x, y, 0], [0, 0, c]],
        91: [[1, 0, 0], [0, y, -z], [0, y, z]],
        10: [[x, 0, z], [x, y, 0], [0, y, z]],
        11: [[x, y, z], [-x, y, z], [-x, -y, z]],
    }
    return np.array(cells[ibrav], dtype=np.float64)


def _trigonal(ibrav: int, celldm: Mapping[int, float]) -> Float[ndarray, "3 3"]:
    """Rhombohedral, threefold axis along z (5) or along (1, 1, 1) (−5)."""
    cosine = celldm[4]
    if not -0.5 < cosine < 1:
        raise InputError(f"ibrav = {ibrav} needs a cosine, celldm(4), between -0.5 and 1, found {cosine}")
    tx, ty, tz = np.sqrt((1 - cosine) / 2), np.sqrt((1 - cosine) / 6), np.sqrt((1 + 2 * cosine) / 3)
    if ibrav == 5:
        return np.array([[tx, -ty, tz], [0, 2 * ty, tz], [-tx, -ty, tz]])
    u, v = (tz - 2 * np.sqrt(2) * ty) / np.sqrt(3), (tz + np.sqrt(2) * ty) / np.sqrt(3)
    return np.array([[u, v, v], [v, u, v], [v, v, u]])


def _monoclinic(ibrav: int, celldm: Mapping[int, float]) -> Float[ndarray, "3 3"]:
    """Unique axis c (12, 13) or b (−12, −13); 13: base-centred."""
    b, c, cosine = celldm[2], celldm[3], celldm[4 if ibrav > 0 else 5]
    sine = _sine(cosine)
    if ibrav == 12:
        return np.array([[1, 0, 0], [b * cosine, b * sine, 0], [0, 0, c]])
    if ibrav == -12:
        return np.array([[1, 0, 0], [0, b, 0], [c * cosine, 0, c * sine]])
    if ibrav == 13:
        return np.array([[0.5, 0, -c / 2], [b * cosine, b * sine, 0], [0.5, 0, c / 2]])
    return np.array([[0.5, b / 2, 0], [-0.5, b / 2, 0], [c * cosine, 0, c * sine]])


def _triclinic(celldm: Mapping[int, float]) -> Float[ndarray, "3 3"]:
    b, c, alpha, beta, gamma = (celldm[n] for n in (2, 3, 4, 5, 6))  # lengths, then cosines
    sine = _sine(gamma)
    height = 1 + 2 * alpha * beta * gamma - alpha**2 - beta**2 - gamma**2
    if height <= 0:
        raise InputError(f"ibrav = 14: no cell has angles with the cosines {alpha}, {beta}, {gamma}")
    last = [c * beta, c * (alpha - beta * gamma) / sine, c * np.sqrt(height) / sine]
    return np.array([[1, 0, 0], [b * gamma, b * sine, 0], last])


def _sine(cosine: float) -> float:
    if not -1 < cosine < 1:
        raise InputError(f"the cosine of an angle of the cell lies between -1 and 1, found {cosine}")
    return float(np.sqrt(1 - cosine**2))
