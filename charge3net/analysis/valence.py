"""How many electrons of each element a density holds, and so which cores it leaves out, from its integral."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from pymatgen.core import Element

from charge3net.errors import InputError
from charge3net.geometry import Geometry

#: A neutral cell's ∫ρ may miss a whole number of electrons by this much, or by this share (predictions do).
_OFF, _SHARE = 0.3, 0.02

#: Choices whose sums are this close to each other cannot be told apart.
_APART = 0.5


def valence_of(
    geometry: Geometry, electrons: float, given: Mapping[str, int] | Mapping[int, int] | None = None
) -> dict[int, int]:
    """Atomic number → electrons that a density of this neutral structure holds.

    All electrons if their sum fits, else the counts of usual pseudopotentials (:func:`usual_valences`) whose sum does.

    Args:
        geometry: the atoms.
        electrons: ∫ρ.
        given: for some or all elements, by symbol or atomic number; not questioned.

    Raises:
        InputError: if no choice fits, or several do; the message lists them.
    """
    found, counts = np.unique(geometry.numbers, return_counts=True)
    numbers = found.tolist()
    known = _by_number(given or {})
    if not known and abs(electrons - float(found @ counts)) <= _OFF:
        return {z: z for z in numbers}
    choices = [[known[z]] if z in known else usual_valences(z) for z in numbers]
    if all(z in known for z in numbers):
        return {z: known[z] for z in numbers}
    sums = [(abs(float(np.dot(choice, counts)) - electrons), choice) for choice in itertools.product(*choices)]
    best = min(off for off, _ in sums)
    fitting = [choice for off, choice in sums if off < best + _APART]
    if best > max(_OFF, _SHARE * electrons):
        raise InputError(
            f"no usual valences of {', '.join(_symbol(z) for z in numbers)} sum up to the {electrons:.3f} electrons of "
            f"this density; give valence={{{', '.join(f'{_symbol(z)!r}: …' for z in numbers)}}}"
        )
    if len(fitting) > 1:
        described = " or ".join("{" + _described(numbers, choice) + "}" for choice in fitting[:4])
        raise InputError(f"{electrons:.3f} electrons fit several valences; give valence={described}")
    return dict(zip(numbers, fitting[0], strict=True))


def usual_valences(number: int) -> list[int]:
    """The numbers of electrons that pseudopotentials and PAW sets of an element usually treat.

    The closed shells left out: 1s; 1s 2s; [Ne]; [Ne] 3s; [Ar]; [Ar] 3d; … as in VASP's sets without suffix, with
    ``_pv``, ``_sv`` and ``_d``; for lanthanides also sets with the 4f electrons in the core (``_3``, ``_2``).
    """
    for last, cores in _CORES:
        if number <= last:
            return sorted({number - core for core in cores} | (_FROZEN_F if 58 <= number <= 71 else set()))
    return [number - 78]


#: Up to this atomic number: electrons of the cores left out.
_CORES = (
    (2, (0,)),
    (4, (0, 2)),
    (10, (2,)),
    (12, (2, 4, 10)),
    (18, (10,)),
    (20, (10, 12, 18)),
    (30, (10, 12, 18)),
    (36, (18, 28)),
    (38, (28, 30, 36)),
    (48, (28, 30, 36)),
    (54, (36, 46)),
    (56, (46, 48, 54)),
    (71, (46,)),
    (80, (60, 62, 68)),
    (86, (68, 78)),
)
_FROZEN_F = {8, 9, 11}


def _by_number(given: Mapping[str, int] | Mapping[int, int]) -> dict[int, int]:
    found = {}
    for name, count in given.items():
        try:
            number = Element(name).Z if isinstance(name, str) else int(name)
        except ValueError:
            raise InputError(f"valence: {name!r} is not the symbol of an element") from None
        if not 0 <= int(count) <= number:
            raise InputError(f"valence: {name} has 0 to {number} electrons, found {count}")
        found[number] = int(count)
    return found


def _symbol(number: int) -> str:
    return str(Element.from_Z(number).symbol)


def _described(numbers: list[int], choice: tuple[int, ...]) -> str:
    return ", ".join(f"{_symbol(z)!r}: {n}" for z, n in zip(numbers, choice, strict=True))
