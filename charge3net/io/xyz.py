"""xyz and extended xyz files, with any number of frames.

A frame is a line with the number of atoms, a comment, and a line per atom. The comment of an extended xyz file lists
``Lattice="…"`` (nine numbers, vectors as rows, Å), ``Properties=name:type:columns:…`` and ``pbc="T T F"``; a comment
with one of these words, in whatever case, is never taken for free text. Source: ASE's documentation of extxyz.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import MAX_ATOMIC_NUMBER, Geometry
from charge3net.io.elements import number_of_label
from charge3net.io.files import BLANK_LINES, Source
from charge3net.io.numbers.fortran import parse_number

_EXTENDED = re.compile(r"\b(?:lattice|properties|pbc)\s*=", re.IGNORECASE)
_PAIR = re.compile(r"([\w\-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|\{([^}]*)\}|\[([^=]*)\](?=\s|$)|(\S+))")
_SPECIES = ("species", "element", "elements", "symbol", "symbols")
_NUMBERS = ("z", "numbers", "number", "atomic_numbers")
_POSITIONS = ("pos", "positions", "position")
_LARGEST = 10**8


@dataclass(frozen=True)
class _Layout:
    """Which columns hold what, and the cell of a frame."""

    symbol: int = 0
    position: int = 1
    columns: int | None = None
    cell: Float[ndarray, "3 3"] | None = None
    pbc: Bool[ndarray, "3"] | None = None


def read_xyz(source: Source) -> list[Geometry]:
    """All frames.

    Read are xyz, extended xyz, and the layout of the QM9 archive (three lines behind the atoms).

    Raises:
        InputError: for a frame that is damaged or cut short, with its number; for lines left over.
    """
    frames: list[Geometry] = []
    line = source.content_line()
    while line:
        frame = len(frames) + 1
        count = _count(source, line, frame)
        comment = source.text_line(f"the comment of frame {frame}")
        layout = _layout(source, comment, frame)
        frames.append(_read_atoms(source, count, layout, frame))
        line = _next_frame(source, comment, frame)
    if not frames:
        raise source.error("holds no frame")
    return frames


def _count(source: Source, line: bytes, frame: int) -> int:
    text = line.decode("utf-8", "replace").strip()
    if b"\0" in line:
        raise source.error("expected a text file, found binary data")
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 0 < int(text) < _LARGEST:
        raise source.error(f"expected the number of atoms of frame {frame}, found {text[:60]!r}")
    source.check_room(7 * int(text), f"frame {frame} announces {text} atoms")
    return int(text)


def _layout(source: Source, comment: str, frame: int) -> _Layout:
    """From the comment: extended where it has one of the format's words, free text otherwise."""
    if not _EXTENDED.search(comment):
        return _Layout()
    pairs = {match[1].lower(): next(text for text in match.groups()[1:] if text is not None)
             for match in _PAIR.finditer(comment)}  # fmt: skip
    columns = _columns(source, pairs["properties"], frame) if "properties" in pairs else (0, 1, None)
    cell = pbc = None
    if "lattice" in pairs:
        numbers = _floats(pairs["lattice"])
        if len(numbers) != 9:
            raise source.error(f"the Lattice of frame {frame} must be nine numbers, found {pairs['lattice'][:60]!r}")
        cell, pbc = np.array(numbers).reshape(3, 3), np.ones(3, dtype=bool)
    elif re.search(r"\blattice\s*=", comment, re.IGNORECASE):
        raise source.error(f"the Lattice of frame {frame} cannot be read: {comment[:60]!r}")
    if "pbc" in pairs:
        flags = [word.lower() for word in re.split(r"[\s,]+", pairs["pbc"].strip())]
        if len(flags) not in (1, 3) or not set(flags) <= {"t", "f", "true", "false", "1", "0"}:
            raise source.error(f"the pbc of frame {frame} must be three of T and F, found {pairs['pbc'][:60]!r}")
        pbc = np.broadcast_to([flag in ("t", "true", "1") for flag in flags], 3)
        if pbc.any() and cell is None:
            raise source.error(f"frame {frame} is periodic (pbc) but has no Lattice")
    return _Layout(columns[0], columns[1], columns[2], cell, pbc)


def _columns(source: Source, properties: str, frame: int) -> tuple[int, int, int]:
    """First column of the symbol and of the position, and the number of columns, from ``name:type:count:…``."""
    words = properties.split(":")
    starts: dict[str, tuple[int, int]] = {}
    column = 0
    for name, size in zip(words[::3], words[2::3], strict=False):
        if not re.fullmatch(r"[0-9]{1,4}", size):
            break
        starts[name.lower()] = column, int(size)
        column += int(size)
    symbol = next((starts[name] for name in (*_SPECIES, *_NUMBERS) if name in starts), None)
    position = next((starts[name] for name in _POSITIONS if name in starts), None)
    if len(words) % 3 or len(starts) != len(words) // 3 or symbol is None or position is None or position[1] != 3:
        raise source.error(
            f"the Properties of frame {frame} must name the species and three columns of pos, found {properties[:80]!r}"
        )
    return symbol[0], position[0], column


def _read_atoms(source: Source, count: int, layout: _Layout, frame: int) -> Geometry:
    numbers, positions = np.empty(count, dtype=np.int64), np.empty((count, 3))
    last = layout.position + 3
    for i in range(count):
        where = f"frame {frame}, atom {i + 1} of {count}"
        words = source.text_line(where).replace("*^", "e").split()
        if len(words) < max(last, layout.symbol + 1) or (layout.columns is not None and len(words) != layout.columns):
            wanted = layout.columns or last
            raise source.error(f"{where}: expected {wanted} columns, found {len(words)} ({' '.join(words)[:60]!r})")
        try:
            numbers[i] = _element(words[layout.symbol])
            positions[i] = [parse_number(word.encode()) for word in words[layout.position : last]]
        except ValueError as error:  # an InputError among them
            raise source.error(f"{where}: {error}") from None
    cell = np.zeros((3, 3)) if layout.cell is None else layout.cell
    try:
        return Geometry(numbers, positions, cell, np.zeros(3, dtype=bool) if layout.pbc is None else layout.pbc)
    except InputError as error:
        raise source.error(f"frame {frame}: {error}") from None


def _element(word: str) -> int:
    if re.fullmatch(r"[0-9]{1,3}", word):
        if 1 <= int(word) <= MAX_ATOMIC_NUMBER:
            return int(word)
        raise InputError(f"{word} is not an atomic number; a dummy or ghost atom must be removed from the file")
    return number_of_label(word)


def _next_frame(source: Source, comment: str, frame: int) -> bytes:
    """The line with the next frame's number of atoms; empty at the end of the file."""
    line, blank = source.line(), 0
    while line and not line.strip():
        blank += 1
        if blank > BLANK_LINES:
            raise source.error(f"more than {BLANK_LINES} blank lines follow frame {frame}")
        line = source.line()
    text = line.decode("utf-8", "replace").strip()
    if not line or re.fullmatch(r"[0-9]{1,9}", text):
        return line
    if comment.startswith("gdb ") and not blank:  # QM9: frequencies, SMILES, InChI
        source.line()
        if source.line().startswith(b"InChI=") and not source.content_line():
            return b""
        raise source.error("has QM9's layout, but not its three lines after the atoms")
    if not blank:
        raise source.error(f"frame {frame} has a line left over: {text[:60]!r}; is the number of atoms too small?")
    source.warn(f"text after frame {frame} was ignored: {text[:60]!r}")
    return b""


def _floats(text: str) -> list[float]:
    """Numbers separated by blanks, commas and brackets; none when one of the words is no number."""
    try:
        return [parse_number(word.encode()) for word in re.split(r"[\s,\[\]]+", text) if word]
    except ValueError:
        return []
