"""What VASP's other files say about a run: potentials, grid, and the spherical part of augmentation occupancies.

Sources: the VASP wiki (POTCAR, PREC, NGXF, CHGCAR). How the occupancies of a CHGCAR are ordered is not documented; the
order used here is seen in files of VASP (tests), where it puts the large numbers at the places of L = 0.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.augmentation import blocks_of
from charge3net.io.files import open_source

#: PREC → (factor of the coarse grid, whether the grid of the density is twice as fine).
_PREC = {"n": (1.5, True), "a": (2.0, True), "s": (1.5, False)}


_GRID = ("NGXF", "NGYF", "NGZF")
_OF_THE_GRID = (*_GRID, "NGX", "NGY", "NGZ", "ENCUT", "PREC")


@dataclass(frozen=True)
class VaspPotential:
    """A PAW potential of VASP.

    Attributes:
        title: e.g. ``PAW_PBE Si 05Jan2001``.
        element: symbol.
        valence: electrons; None where the file does not say (POTCAR.spec).
        cutoff: ENMAX in eV, where known.
        channels: angular momenta of the projectors, where known (POTCAR).
    """

    title: str
    element: str
    valence: float | None = None
    cutoff: float | None = None
    channels: tuple[int, ...] = ()

    def record(self) -> dict[str, Any]:
        """What is compared with the training data."""
        return {"title": self.title, "valence": self.valence}


def read_vasp_potentials(path: str | Path) -> dict[str, VaspPotential]:
    """Element → potential, from a POTCAR, a vasprun.xml, or a POTCAR.spec (a title or symbol a line).

    Raises:
        InputError: for a file that cannot be read as one, or names two potentials of one element.
    """
    path = Path(path)
    with open_source(path) as source:
        text = source.read_all().decode("utf-8", "replace")
    if "<modeling>" in text[:2000]:
        potentials = _from_vasprun(path, text)
    elif "TITEL" in text:
        potentials = _from_potcar(path, text)
    else:
        potentials = [_titled(line) for line in text.splitlines() if line.strip()]
    found: dict[str, VaspPotential] = {}
    for potential in potentials:
        from ase.data import atomic_numbers

        if potential.element not in atomic_numbers:
            raise InputError(f"{path}: is not a POTCAR, vasprun.xml or POTCAR.spec (found {potential.title[:40]!r})")
        if found.setdefault(potential.element, potential).title != potential.title:
            raise InputError(f"{path}: names two potentials of {potential.element}; give one of them")
    if not found:
        raise InputError(f"{path}: names no potential")
    return found


def valence_electrons(geometry: Geometry, potentials: Mapping[str, VaspPotential]) -> float | None:
    """Electrons of a neutral structure; None where a valence is not known.

    Raises:
        InputError: if an element has no potential.
    """
    from ase.data import chemical_symbols

    symbols = [chemical_symbols[z] for z in geometry.numbers]
    missing = sorted(set(symbols) - set(potentials))
    if missing:
        raise InputError(f"the potentials are of {', '.join(potentials)}, not of {', '.join(missing)}")
    counts = [potentials[symbol].valence for symbol in symbols]
    return (
        None if any(count is None for count in counts) else float(sum(count for count in counts if count is not None))
    )


def read_vasp_grid(
    path: str | Path, cell: Float[ndarray, "3 3"], potentials: Mapping[str, VaspPotential] | None = None
) -> Grid:
    """The grid of a CHGCAR that a run with this INCAR writes, or that the run of this OUTCAR has written.

    From an INCAR: NGXF, NGYF, NGZF if they stand in it, else ENCUT (without it the largest ENMAX of the potentials) and
    PREC (Normal by default), as in :meth:`charge3net.Grid.from_encut`.

    Raises:
        InputError: for a file that says too little, or a PREC with rules of its own (Low, Medium, High).
    """
    path = Path(path)
    with open_source(path) as source:
        text = source.read_all().decode("utf-8", "replace")
    if "OUTCAR" in path.name:
        found = re.search(r"NGXF\s*=\s*(\d+)\s+NGYF\s*=\s*(\d+)\s+NGZF\s*=\s*(\d+)", text)
        if found is None:
            raise InputError(f"{path}: names no NGXF, NGYF, NGZF; it may be cut short")
        return Grid(cell, (int(found[1]), int(found[2]), int(found[3])))
    settings = _settings(path, text)
    given = [name for name in _GRID if name in settings]
    if len(given) == 3:
        shape = [_number(path, name, settings[name]) for name in _GRID]
        if all(value.is_integer() for value in shape):
            return Grid(cell, (int(shape[0]), int(shape[1]), int(shape[2])))
    if given or any(name in settings for name in ("NGX", "NGY", "NGZ")):
        raise InputError(f"{path}: gives a grid, but not NGXF, NGYF and NGZF; give --shape or --like OUTCAR")
    known = [p.cutoff for p in (potentials or {}).values() if p.cutoff is not None]
    cutoff = _number(path, "ENCUT", settings["ENCUT"]) if "ENCUT" in settings else max(known, default=None)
    if cutoff is None:
        raise InputError(f"{path}: has no ENCUT; add it, or give the POTCAR with --potcar")
    precision = settings.get("PREC", "Normal").lstrip(".").lower()[:1]
    if precision not in _PREC:
        raise InputError(f"{path}: PREC = {settings['PREC']} has rules of its own; give --shape or --like OUTCAR")
    factor, fine = _PREC[precision]
    return Grid.from_encut(cell, cutoff, factor, fine)


def _settings(path: Path, text: str) -> dict[str, str]:
    """The settings of an INCAR, names in upper case; those without a value are left out.

    Raises:
        InputError: for a setting that is there twice with two values, of which versions of VASP take different ones.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        for part in re.split("[#!]", line)[0].split(";"):
            name, _, value = (word.strip() for word in part.partition("="))
            if value and found.setdefault(name.upper(), value) != value and name.upper() in _OF_THE_GRID:
                raise InputError(f"{path}: gives {name.upper()} twice, {found[name.upper()]} and {value}; remove one")
    return found


def _number(path: Path, name: str, value: str) -> float:
    """A number as Fortran reads it (``5.2d2``); a unit behind it does not count."""
    try:
        return float(re.sub("[dD]", "e", value.split()[0]))
    except ValueError:
        raise InputError(f"{path}: {name} = {value} is no number") from None


def same_structure(one: Geometry, other: Geometry) -> bool:
    """The same atoms in the same order, cells within 2 % and atoms within 0.2 Å."""
    if one.numbers.tolist() != other.numbers.tolist():
        return False
    if np.abs(one.cell - other.cell).max() > 0.02 * np.abs(one.cell).max():
        return False
    moved = one.positions @ np.linalg.inv(one.cell) - other.positions @ np.linalg.inv(other.cell)
    distances = np.linalg.norm((moved - np.rint(moved)) @ one.cell, axis=1)
    return bool(distances.max() < 0.2)


def spherical_places(channels: Sequence[int]) -> tuple[list[int], int]:
    """Places of the L = 0 numbers among the occupancies of an atom, and how many occupancies there are.

    For every pair i ≤ j of projectors L = |l_i − l_j|, …, l_i + l_j in steps of 2, and for every L its 2L + 1 numbers.
    """
    places, count = [], 0
    for i, one in enumerate(channels):
        for other in channels[i:]:
            for order in range(abs(one - other), one + other + 1, 2):
                if order == 0:
                    places.append(count)
                count += 2 * order + 1
    return places, count


def spherical_augmentation(
    donor: Density, geometry: Geometry, potentials: Mapping[str, VaspPotential], channels: int
) -> tuple[str, ...]:
    """Augmentation texts of a structure: L = 0 occupancies averaged over the donor's atoms of each element, the rest 0.

    Parts of higher L rotate with the surroundings of their atom and say nothing about another structure.

    Args:
        donor: a density with augmentation, of a calculation with the same potentials.
        geometry: the structure, in the order of the file that is written.
        potentials: with their channels (a POTCAR).
        channels: 1, or 2 with spin.

    Raises:
        InputError: if the donor lacks an element or a channel, or its occupancies do not fit the potentials.
    """
    from ase.data import chemical_symbols

    if len(donor.augmentation) < channels:
        raise InputError("the other calculation holds no augmentation charges for the magnetisation")
    texts = []
    for text in donor.augmentation[:channels]:
        blocks, lines = blocks_of(text), []
        averages: dict[int, Float[ndarray, "numbers"]] = {}
        for z in set(geometry.numbers.tolist()):
            symbol = chemical_symbols[z]
            places, size = spherical_places(potentials[symbol].channels if symbol in potentials else ())
            members = [blocks[int(i) + 1].real for i in np.flatnonzero(donor.geometry.numbers == z)]
            if not members or any(len(member) != size for member in members):
                raise InputError(
                    f"the other calculation has no augmentation of {symbol} that fits the potentials; "
                    "give one with the same POTCAR, and that POTCAR with --potcar"
                )
            averages[z] = np.zeros(size)
            averages[z][places] = np.mean(members, axis=0)[places]
        for atom, z in enumerate(geometry.numbers.tolist(), start=1):
            lines.append(f"augmentation occupancies{atom:4d}{len(averages[z]):4d}\n")
            rows = [averages[z][start : start + 5] for start in range(0, len(averages[z]), 5)]
            lines += ["".join(f"{value:15.7E}" for value in row) + "\n" for row in rows]
        texts.append("".join(lines))
    if channels == 2:  # between the grids stands a moment for every atom
        texts[0] += "".join(f"{0.0:20.12E}\n" for _ in geometry.numbers)
    return tuple(texts)


def _from_potcar(path: Path, text: str) -> list[VaspPotential]:
    found = []
    for part in re.split(r"End of Dataset\s*", text):
        title = re.search(r"TITEL\s*=\s*(.+)", part)
        valence, cutoff = (re.search(rf"{name}\s*=\s*([\d.]+)", part) for name in ("ZVAL", "ENMAX"))
        if title is None:
            continue
        if valence is None or cutoff is None:
            raise InputError(f"{path}: {title[1].strip()} lacks ZVAL or ENMAX; the POTCAR is cut short")
        parts = re.findall(r"Non local Part\s*\n\s*(\d+)\s+(\d+)", part)
        channels = tuple(int(momentum) for momentum, count in parts for _ in range(int(count)))
        name = " ".join(title[1].split())
        found.append(VaspPotential(name, _titled(name).element, float(valence[1]), float(cutoff[1]), channels))
    return found


def _from_vasprun(path: Path, text: str) -> list[VaspPotential]:
    """From the table ``atomtypes``; the rest of the file may be missing, as in a run that has not ended."""
    start = text.find('<array name="atomtypes"')
    end = text.find("</array>", start)
    if start < 0 or end < 0:
        raise InputError(f"{path}: has no table of atom types")
    try:
        table = ET.fromstring(text[start : end + 8])
        fields = [field.text.strip().lower() for field in table.iter("field") if field.text]
        found = []
        for row in table.iter("rc"):
            values = dict(zip(fields, [(cell.text or "").strip() for cell in row.iter("c")], strict=True))
            title = " ".join(values["pseudopotential"].split())
            found.append(VaspPotential(title, values["element"], float(values["valence"])))
    except (ET.ParseError, ValueError, KeyError) as error:
        raise InputError(f"{path}: its table of atom types cannot be read ({error})") from None
    return found


def _titled(line: str) -> VaspPotential:
    """``PAW_PBE Li_sv 10Sep2004`` and ``Li_sv`` are of Li."""
    words = line.split()
    name = words[1] if len(words) > 1 and words[0].upper().startswith(("PAW", "US", "LDA", "PBE")) else words[0]
    return VaspPotential(" ".join(words), re.split(r"[_.\d]", name)[0])
