"""The structure part of VASP files: POSCAR and CONTCAR, and the head of a CHGCAR."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.io.elements import atomic_number, number_of_label
from charge3net.io.files import Source
from charge3net.io.numbers.fortran import parse_integers, parse_number

# Li, Li_sv, Li_sv/0f3a…, Li/hash, H.5, H1.25: an element, then the variant of the potential.
_LABEL = re.compile(r"([A-Z][a-z]?)(?:[_/.\d].*)?")
#: Runs of elements that a head may have.
MAX_RUNS = 100_000
_COUNTED = re.compile(r"([A-Z][a-z]?)(\d*)")


def read_poscar(source: Source) -> tuple[str, Geometry]:
    """Title line and structure at the start of a VASP file; the source is left behind the last atom's line.

    Read are VASP 4 heads (no line of elements), VASP 5 and 6 heads (``Li_sv`` and ``Li/hash`` mean Li, lines of more
    than 20 elements may be wrapped), one or three scale factors, a negative one being the volume, selective dynamics,
    direct and Cartesian positions.

    Raises:
        InputError: for anything else, with the line that is wrong; for a VASP 4 head whose elements are neither in
            the title nor behind the positions.
    """
    title = source.text_line("a title")
    scale_line = source.text_line("the scale factor")
    vectors = [_parse(source, source.text_line(f"lattice vector {i}"), f"lattice vector {i}", 3) for i in (1, 2, 3)]
    scale = _scale(source, scale_line, np.array(vectors))
    cell = np.array(vectors) * scale
    labels, counts, mode = _species(source)
    if mode[:1] in "sS" and mode:
        mode = source.text_line("'Direct' or 'Cartesian'")
    cartesian = _is_cartesian(source, mode)
    total = sum(counts)
    source.check_room(6 * total, f"the numbers of atoms add up to {total}")
    lines = [source.text_line(f"the position of atom {i + 1} of {total}") for i in range(total)]
    positions = np.array([_parse(source, line, f"the position of atom {i + 1}", 3) for i, line in enumerate(lines)])
    positions = positions * scale if cartesian else positions @ cell
    symbols = labels if labels is not None else _guess_symbols(title, counts, lines)
    if symbols is None:
        raise source.error(
            f"the head names no elements (VASP 4); insert a line with {len(counts)} element symbols above the line"
            f" {' '.join(map(str, counts))!r}"
        )
    numbers = np.repeat([_number(source, symbol) for symbol in symbols], counts)
    try:
        return title, Geometry(numbers, positions, cell, np.ones(3, dtype=bool))
    except InputError as error:
        raise source.error(str(error)) from None


def check_poscar_end(source: Source) -> None:
    """Warn when lines are left over behind the atoms that are no velocities and no density grid."""
    line = source.line()
    after_blank = bool(line) and not line.strip()
    if after_blank:
        line = source.content_line()
    text = line.decode("utf-8", "replace").strip()
    if not text or (after_blank and (_numbers_of(text) or text[:1] in "cCkKdDlL")):
        return
    source.warn(f"there are lines after the last atom, the first is {text[:60]!r}; they were ignored")


def format_poscar(title: str, geometry: Geometry) -> str:
    """The text of a VASP 5 POSCAR with direct positions, 14 decimals, atoms in the order given.

    Every run of one element gets its own count, so the order is preserved.

    Raises:
        InputError: for an atom without an element.
    """
    symbols, counts = species_runs(geometry.numbers)
    direct = np.round(geometry.positions @ np.linalg.inv(geometry.cell), 14) + 0.0  # no -0
    lines = [one_line(title) or " ", "   1.00000000000000"]
    lines += ["".join(f" {x:19.14f}" for x in vector) for vector in geometry.cell]
    lines += [" " + "".join(f" {s:>4}" for s in symbols), "".join(f" {n:5d}" for n in counts), "Direct"]
    lines += ["".join(f" {x:17.14f}" for x in position) for position in direct]
    return "\n".join(lines) + "\n"


def one_line(text: str) -> str:
    """A text without line breaks of any kind and without other control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split(" ")).strip()


def species_runs(numbers: Int[ndarray, "atoms"]) -> tuple[list[str], list[int]]:
    """Element symbols and numbers of atoms of the runs of equal elements.

    Raises:
        InputError: for an atom without an element.
    """
    from ase.data import chemical_symbols

    if (numbers < 1).any():
        raise InputError("a VASP file needs an element for every atom; some have the unknown species X")
    runs = [(chemical_symbols[z], len(list(atoms))) for z, atoms in groupby(numbers.tolist())]
    return [symbol for symbol, _ in runs], [count for _, count in runs]


def _scale(source: Source, line: str, cell: Float[ndarray, "3 3"]) -> Float[ndarray, "3"]:
    """[3] factors for the Cartesian components, from one factor, three, or a negative one (minus the volume in Å³)."""
    scale = _parse(source, line, "the scale factor", 3 if len(_numbers_of(_without_comment(line))) == 3 else 1)
    volume = abs(np.linalg.det(cell))
    if (scale > 0).all():
        return np.broadcast_to(scale, 3).copy()
    if len(scale) == 1 and scale[0] < 0 and volume > 0:
        return np.full(3, (-scale[0] / volume) ** (1 / 3))
    raise source.error(f"the scale is one factor, three positive ones, or minus the volume; found {line!r}")


def _species(source: Source) -> tuple[list[str] | None, list[int], str]:
    """Labels (None in a VASP 4 head), numbers of atoms, and the first line behind them."""
    line = _without_comment(source.text_line("the element symbols or the numbers of atoms"))
    labels: list[str] = []
    while not parse_integers(line.encode()):
        if not line[:1].isalpha() or len(labels) > MAX_RUNS:
            raise source.error(f"expected element symbols or numbers of atoms in line 6, found {line[:40]!r}")
        labels += line.split()
        line = _without_comment(source.text_line("the numbers of atoms"))
        if labels and not parse_integers(line.encode()) and not _is_labels(line):
            raise source.error(f"expected the numbers of atoms, one per element, found {line[:40]!r}")
    counts: list[int] = []
    while integers := parse_integers(line.encode()):
        counts += integers
        line = source.text_line("'Direct' or 'Cartesian'")
        if len(labels) <= len(counts) and labels:
            break
        if len(counts) > MAX_RUNS:
            raise source.error(f"more than {MAX_RUNS} numbers of atoms")
    if min(counts) < 0 or sum(counts) < 1:
        raise source.error(f"expected the numbers of atoms, one per element, found {str(counts)[1:40]!r}")
    if labels and len(labels) != len(counts):
        raise source.error(
            f"{len(labels)} element symbols ({' '.join(labels)[:60]}) but {len(counts)} numbers of atoms"
        )
    return labels or None, counts, line


def _is_labels(line: str) -> bool:
    return bool(line) and all(_LABEL.fullmatch(word) for word in line.split())


def _without_comment(line: str) -> str:
    return re.split(r"[!#]", line)[0].strip()


def _is_cartesian(source: Source, line: str) -> bool:
    """Whether positions are Cartesian, as VASP decides: by the first letter, C or K."""
    if not line[:1].isalpha():
        raise source.error(f"expected 'Direct' or 'Cartesian' after the numbers of atoms, found {line[:40]!r}")
    cartesian = line[0] in "cCkK"
    word = re.split(r"[^a-z]", line.lower())[0]
    if word not in ("c", "k", "d") and not word.startswith(("ca", "ka", "di", "fract")):
        taken = "Cartesian" if cartesian else "direct"
        source.warn(f"{line[:40]!r} is neither Direct nor Cartesian; by its first letter, positions are {taken}")
    return cartesian


def _guess_symbols(title: str, counts: Sequence[int], lines: Sequence[str]) -> list[str] | None:
    """Symbols of a VASP 4 head: from a title such as ``Li Co O`` or ``Li2 Co2 O4``, or from behind the positions."""
    from ase.data import atomic_numbers

    words = [_COUNTED.fullmatch(word) or _LABEL.fullmatch(word) for word in title.split()]
    matches = [m for m in words if m and m[1] in atomic_numbers]
    if len(matches) == len(words) == len(counts):
        numbers = [m[2] if m.re is _COUNTED else "" for m in matches]
        if all(n in ("", str(count)) for n, count in zip(numbers, counts, strict=True)):
            return [m[1] for m in matches]
    found, start = [], 0
    for count in counts:
        last = {line.split()[-1] for line in lines[start : start + count]}
        start += count
        if len(last) != 1 or next(iter(last)) not in atomic_numbers:
            return None
        found.append(last.pop())
    return found


def _number(source: Source, label: str) -> int:
    match = _LABEL.fullmatch(label)
    try:
        return number_of_label(label) if match is None else atomic_number(match[1])
    except InputError as error:
        raise source.error(f"in the line of elements, {error}") from None


def _numbers_of(line: str) -> list[float]:
    """The numbers at the start of a line."""
    values = []
    for word in line.split():
        try:
            values.append(parse_number(word.encode()))
        except ValueError:
            break
    return values


def _parse(source: Source, line: str, what: str, size: int) -> Float[ndarray, "numbers"]:
    """The ``size`` numbers of a line; words may follow, such as the element or flags, but no further number."""
    values = np.array(_numbers_of(_without_comment(line)))
    if len(values) == size and np.isfinite(values).all():
        return values
    raise source.error(f"expected {what} ({size} number{'s' * (size > 1)}), found {line[:60]!r}")
