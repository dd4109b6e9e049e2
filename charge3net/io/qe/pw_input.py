"""The user's input of pw.x: what the charge density of its run depends on."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.io.qe.gvectors import PlaneWaves, plane_waves
from charge3net.io.qe.lattices import bravais_cell, read_celldm
from charge3net.units import BOHR

_CARDS = (
    "ATOMIC_SPECIES", "ATOMIC_POSITIONS", "K_POINTS", "CELL_PARAMETERS", "OCCUPATIONS", "CONSTRAINTS", "ATOMIC_FORCES",
    "ATOMIC_VELOCITIES", "ADDITIONAL_K_POINTS", "SOLVENTS", "HUBBARD",
)  # fmt: skip
#: Options of cards, in the order in which pw.x looks for them.
_POINTS = ("automatic", "crystal", "tpiba", "gamma")
_LENGTHS = ("bohr", "angstrom", "alat")
_PLACES = ("crystal_sg", "crystal", "bohr", "angstrom", "alat")
_OLD_END = re.compile(r"^[ \t]*/?[ \t]*&end\b.*$", re.MULTILINE | re.IGNORECASE)
_FIRST_CARD = re.compile(rf"^[ \t]*(?:{'|'.join(_CARDS)})\b(?!\s*=)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Species:
    """One line of ATOMIC_SPECIES.

    Attributes:
        label: as in the input, e.g. ``Fe1``.
        element: e.g. ``Fe``.
        pseudopotential: name of its file.
        magnetization: starting_magnetization in units of the valence; pw.x cuts it to −1 … 1.
    """

    label: str
    element: str
    pseudopotential: str
    magnetization: float = 0.0


@dataclass(frozen=True, eq=False)
class PwInput:
    """An input of pw.x.

    Attributes:
        path: the file.
        geometry: atoms and cell, Å.
        cell: [3, 3] lattice vectors as rows in bohr, with the digits of the input.
        alat: unit of length of pw.x in bohr.
        species: in the order of the input.
        species_of_atom: [atoms] index into ``species``.
        ecutwfc, ecutrho: cutoffs in Ry.
        nspin: 1, or 2 with collinear spin.
        gamma_only: K_POINTS gamma, which pw.x also takes when there is no such card.
        shape: the FFT grid where the input gives it, else None.
        charge: tot_charge.
        prefix, outdir, pseudo_dir: where pw.x looks for files, relative to where it is started.
        functional: input_dft, empty where the pseudopotentials say.
        hubbard: whether DFT+U is switched on.
    """

    path: Path
    geometry: Geometry
    cell: Float[ndarray, "3 3"]
    alat: float
    species: tuple[Species, ...]
    species_of_atom: tuple[int, ...]
    ecutwfc: float
    ecutrho: float
    nspin: int
    gamma_only: bool
    shape: tuple[int, int, int] | None
    charge: float
    prefix: str
    outdir: Path
    pseudo_dir: Path
    functional: str
    hubbard: bool

    def plane_waves(self) -> PlaneWaves:
        """The plane waves of the density in the order of pw.x."""
        return plane_waves(self.cell, self.ecutrho, self.gamma_only, self.alat, self.shape)


def read_pw_input(path: str | Path) -> PwInput:
    """Read an input of pw.x.

    Raises:
        InputError: for a file that cannot be read as one, lacks what pw.x needs, or asks for what is not supported:
            non-collinear spin, and positions by space group.
    """
    path = Path(path)
    try:
        return _read(path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def is_pw_input(path: Path) -> bool:
    """Whether a file looks like an input of pw.x."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError:
        return False
    return bool(re.search(rb"^\s*&system\b", head, re.MULTILINE | re.IGNORECASE)) and b"ATOMIC_" in head.upper()


def _read(path: Path) -> PwInput:
    try:
        text = path.read_text("utf-8-sig", "replace")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})") from None
    start = _FIRST_CARD.search(text)
    end = start.start() if start else len(text)
    groups, cards = _namelists(text[:end]), _split_cards(text[end:])
    control, system = groups.get("control", {}), groups["system"]
    if system.get("noncolin") or system.get("lspinorb") or system.get("nspin", 1) not in (1, 2):
        raise InputError("asks for non-collinear spin; a density alone or with collinear spin can be written")
    cell, alat = _cell(system, cards)
    species = _species(system, cards)
    labels, positions = _positions(system, cards, cell, alat)
    places = {one.label: index for index, one in enumerate(species)}  # Fe1 and fe1 are two species
    unknown = sorted({label for label in labels if label not in places})
    if unknown:
        raise InputError(f"ATOMIC_POSITIONS names {', '.join(unknown)}, which ATOMIC_SPECIES does not list")
    of_atom = tuple(places[label] for label in labels)
    from ase.data import atomic_numbers

    numbers = np.array([atomic_numbers[species[i].element] for i in of_atom])
    ecutwfc = _number(system, "ecutwfc")
    shape = tuple(int(system.get(name, 0)) for name in ("nr1", "nr2", "nr3"))
    home = Path(os.environ.get("ESPRESSO_PSEUDO") or Path.home() / "espresso" / "pseudo")
    return PwInput(
        path=path,
        geometry=Geometry(numbers, positions * BOHR, cell * BOHR, np.ones(3, dtype=bool)),
        cell=cell,
        alat=alat,
        species=species,
        species_of_atom=of_atom,
        ecutwfc=ecutwfc,
        ecutrho=_number(system, "ecutrho") if system.get("ecutrho") else 4 * ecutwfc,
        nspin=int(system.get("nspin", 1)),
        gamma_only=_option(cards.get("K_POINTS", ("gamma",))[0], _POINTS, "tpiba") == "gamma",
        shape=(shape[0], shape[1], shape[2]) if min(shape) > 0 else None,
        charge=float(system.get("tot_charge", 0.0)),
        prefix=str(control.get("prefix", "pwscf")).strip(),
        outdir=Path(str(control.get("outdir") or os.environ.get("ESPRESSO_TMPDIR") or ".").strip()),
        pseudo_dir=Path(str(control.get("pseudo_dir") or home).strip()).expanduser(),
        functional=str(system.get("input_dft", "")).strip(),
        hubbard=bool(system.get("lda_plus_u")) or "HUBBARD" in cards,
    )


def _namelists(text: str) -> dict[str, dict[str, Any]]:
    """Namelists, names in lower case."""
    import f90nml

    try:
        found = f90nml.reads(_OLD_END.sub("/", text) + "\n")
    except Exception as error:  # the parser raises whatever its parts raise
        raise InputError(f"the namelists cannot be read ({' '.join(str(error).split())[:100]})") from None
    groups = {name.lower(): _with_indices(group) for name, group in found.items()}
    if "system" not in groups:
        raise InputError("holds no namelist &SYSTEM, so it is not an input of pw.x")
    return groups


def _with_indices(group: Any) -> dict[str, Any]:
    """The variables of a namelist; lists that start at another index than 1 are filled up in front."""
    plain: dict[str, Any] = {}
    for name, value in group.items():
        first = group.start_index.get(name, [1])[0]
        plain[name.lower()] = [None] * ((first or 1) - 1) + value if isinstance(value, list) else value
    return plain


def _split_cards(text: str) -> dict[str, tuple[str, list[str]]]:
    """Card → (its option, its lines without comments)."""
    cards: dict[str, tuple[str, list[str]]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in "!#":
            continue
        word = re.split(r"[\s{(]", line, maxsplit=1)[0].upper()
        if word in _CARDS:
            option = re.sub(r"[{}()]", " ", line[len(word) :]).strip()
            current = []
            cards.setdefault(word, (option, current))
        elif current is not None:
            current.append(line)
    return cards


def _option(text: str, known: tuple[str, ...], default: str) -> str:
    """Which option a card has; pw.x takes the first of those it knows that its line holds, whatever else is there.

    Empty for a line with words none of which is known.
    """
    found = next((option for option in known if option in text.lower()), "")
    return found or ("" if re.match(r"\w", text) else default)


def _card(cards: dict[str, tuple[str, list[str]]], name: str) -> tuple[str, list[str]]:
    if name not in cards:
        raise InputError(f"holds no card {name}")
    return cards[name]


def _cell(system: dict[str, Any], cards: dict[str, tuple[str, list[str]]]) -> tuple[Float[ndarray, "3 3"], float]:
    """Lattice vectors in bohr and the unit of length."""
    if "space_group" in system:
        raise InputError("positions by space_group are not supported; give all atoms, and the cell by ibrav")
    if "ibrav" not in system:
        raise InputError("&SYSTEM lacks ibrav")
    ibrav = int(system["ibrav"])
    celldm = read_celldm(system, ibrav)
    if ibrav != 0:
        if celldm.get(1, 0.0) <= 0:
            raise InputError(f"ibrav = {ibrav} needs celldm(1) or A")
        return bravais_cell(ibrav, celldm) * celldm[1], celldm[1]
    option, lines = _card(cards, "CELL_PARAMETERS")
    unit = _option(option, _LENGTHS, "alat" if 1 in celldm else "bohr")
    if not unit:
        raise InputError(f"CELL_PARAMETERS has the unknown unit {option!r}")
    if unit == "alat" and 1 not in celldm:
        raise InputError("CELL_PARAMETERS alat needs celldm(1) or A")
    vectors = np.array([_values(line, "a lattice vector", 3) for line in lines[:3]])
    if vectors.shape != (3, 3):
        raise InputError("CELL_PARAMETERS needs three lattice vectors")
    cell = vectors * celldm[1] if unit == "alat" else vectors / BOHR if unit == "angstrom" else vectors
    return cell, celldm[1] if unit == "alat" else float(np.linalg.norm(cell[0]))


def _species(system: dict[str, Any], cards: dict[str, tuple[str, list[str]]]) -> tuple[Species, ...]:
    from ase.io.espresso import label_to_symbol

    lines = _card(cards, "ATOMIC_SPECIES")[1][: int(_number(system, "ntyp"))]
    moments = system.get("starting_magnetization") or []
    moments = moments if isinstance(moments, list) else [moments]
    found = []
    for index, line in enumerate(lines):
        words = line.split()
        if len(words) < 3:
            raise InputError(f"expected a label, a mass and a pseudopotential in ATOMIC_SPECIES, found {line!r}")
        try:
            element = label_to_symbol(words[0])
        except KeyError:
            raise InputError(f"the species {words[0]!r} does not start with the symbol of an element") from None
        moment = moments[index] if index < len(moments) and moments[index] is not None else 0.0
        found.append(Species(words[0], element, words[2].strip("'\""), min(max(float(moment), -1.0), 1.0)))
    if len(found) < int(system["ntyp"]):
        raise InputError(f"ATOMIC_SPECIES lists {len(found)} species where ntyp = {system['ntyp']}")
    return tuple(found)


def _positions(
    system: dict[str, Any], cards: dict[str, tuple[str, list[str]]], cell: Float[ndarray, "3 3"], alat: float
) -> tuple[list[str], Float[ndarray, "atoms 3"]]:
    """Label of every atom, and positions in bohr."""
    option, lines = _card(cards, "ATOMIC_POSITIONS")
    unit = _option(option, _PLACES, "alat")
    count = int(_number(system, "nat"))
    if unit in ("", "crystal_sg"):
        raise InputError(f"ATOMIC_POSITIONS {option} is not supported; give alat, bohr, angstrom or crystal")
    if len(lines) < count:
        raise InputError(f"ATOMIC_POSITIONS lists {len(lines)} atoms where nat = {count}")
    rows = [line.split(maxsplit=1) for line in lines[:count]]
    values = np.array([_values(row[1] if len(row) > 1 else "", "a position", 3) for row in rows])
    scale: Any = {"alat": alat, "bohr": 1.0, "angstrom": 1 / BOHR}.get(unit)
    return [row[0] for row in rows], values @ cell if unit == "crystal" else values * scale


def _values(text: str, what: str, size: int) -> list[float]:
    """Numbers, or terms such as 1/3, at the start of a line."""
    from ase.io.espresso import infix_float

    words = text.split()[:size]
    try:
        found = [_plain(word) if re.fullmatch(r"[\d.eEdD+-]+", word) else float(infix_float(word)) for word in words]
    except (ValueError, TypeError, RecursionError, ZeroDivisionError):
        found = []
    if len(found) < size:
        raise InputError(f"expected {what} ({size} numbers), found {text[:50]!r}")
    return found


def _plain(word: str) -> float:
    return float(re.sub("[dD]", "e", word))


def _number(system: dict[str, Any], name: str) -> float:
    value = system.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise InputError(f"&SYSTEM needs a positive {name}, found {value!r}")
    return float(value)
