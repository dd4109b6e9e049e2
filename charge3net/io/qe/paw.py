"""paw.txt of pw.x: the occupations of the PAW projectors, beside the charge density of a PAW calculation.

becsum[pair of projectors, atom, spin], one number a line, pairs of the species with most projectors, the pair (i, j)
with i ≤ j counted i first. pw.x stops without this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.io.qe.pseudopotential import Pseudopotential


def neutral_occupations(
    potentials: Sequence[Pseudopotential],
    species_of_atom: Sequence[int],
    magnetizations: Sequence[float] | None = None,
) -> Float[ndarray, "channels atoms pairs"]:
    """[channels, atoms, pairs] occupations of neutral atoms: those of the file, spread over m.

    Args:
        potentials: of the species; those that are not PAW get zeros.
        species_of_atom: [atoms] index into the species.
        magnetizations: starting_magnetization of the species in a calculation with spin; the channels are then up and
            down (as pw.x 6.7 writes them).
    """
    most = max(potential.projectors for potential in potentials)
    result = np.zeros((1 if magnetizations is None else 2, len(species_of_atom), most * (most + 1) // 2))
    for atom, species in enumerate(species_of_atom):
        potential, place = potentials[species], 0
        shells = zip(potential.angular_momenta, potential.occupations, strict=False)
        for momentum, occupation in shells if potential.kind == "PAW" else ():
            for _ in range(2 * momentum + 1):
                result[0, atom, _diagonal(place, potential.projectors)] = occupation / (2 * momentum + 1)
                place += 1
        if magnetizations is not None:
            moment, total = magnetizations[species], result[0, atom]
            result[:, atom] = (1 + moment) / 2 * total, (1 - moment) / 2 * total
    return result


def format_paw(occupations: Float[ndarray, "channels atoms pairs"]) -> str:
    """The text of paw.txt.

    Raises:
        InputError: for occupations that are not finite.
    """
    if not np.isfinite(occupations).all():
        raise InputError("only finite numbers can be written to paw.txt")
    return "".join(f"{value:24.16E}\n" for value in occupations.reshape(-1))


def read_paw(path: str | Path) -> Float[ndarray, "numbers"]:
    """[channels·atoms·pairs] all numbers of a paw.txt, in its order.

    Raises:
        InputError: for a file that cannot be read or holds other things.
    """
    try:
        return np.array([float(word) for word in Path(path).read_text("ascii").split()])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as paw.txt ({error})") from None


def _diagonal(projector: int, projectors: int) -> int:
    """Place of the pair (projector, projector) among the pairs i ≤ j of one species."""
    return projector * projectors - projector * (projector - 1) // 2
