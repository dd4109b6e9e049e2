"""The PAW augmentation charges of a CHGCAR, to be written beside another density of the same atoms."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from charge3net.density import Density
from charge3net.io.numbers.format import NumberFormat, write_numbers

_HEADER = re.compile(r"\s*augmentation occupancies(?: \(imaginary part\))?\s*(?:\d+|\*+)\s+(\d+)\s*")


def augmentation_of(density: Density, channels: int) -> tuple[str, ...]:
    """The augmentation texts for a density of ``channels`` channels; empty if this one has too few.

    Behind the augmentation of the total density, a file with spin lists a moment per atom. They belong to the second
    grid and are left out when only the first grid is written.
    """
    texts = density.augmentation[:channels]
    if len(texts) < channels or any("augmentation" not in text for text in texts):
        return ()
    return (_occupancies(texts[0]),) if channels == 1 else texts


def _occupancies(text: str) -> str:
    """The headers and the numbers that they announce, without what follows."""
    lines, missing = [], 0
    for line in text.splitlines(keepends=True):
        header = _HEADER.fullmatch(line.rstrip("\r\n"))
        if header and missing <= 0:
            missing = int(header[1])
        elif missing > 0:
            missing -= len(line.split())
        else:
            break
        lines.append(line)
    return "".join(lines)


def blocks_of(text: str) -> dict[int, ndarray]:
    """Number of the atom, from 1 → its occupancies (complex where an imaginary part follows), as pymatgen has them."""
    found: dict[int, ndarray] = {}
    lines = _occupancies(text).splitlines()
    at = 0
    while at < len(lines):
        header = _HEADER.fullmatch(lines[at])
        if header is None:
            break
        numbers: list[float] = []
        at += 1
        while at < len(lines) and len(numbers) < int(header[1]):
            numbers += [float(number) for number in lines[at].split()]
            at += 1
        if "imaginary" in header[0]:
            found[len(found)] = found[len(found)] + 1j * np.array(numbers)
        else:
            found[len(found) + 1] = np.array(numbers)
    return found


def text_of_blocks(blocks: Any) -> str:
    """The text of pymatgen's augmentation: a dictionary as :func:`blocks_of`, or lines of text in older versions."""
    if not isinstance(blocks, Mapping):
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in map(str, blocks or ()))
    stream = io.BytesIO()
    for atom in sorted(blocks):
        values = np.asarray(blocks[atom])
        parts = [("", values.real)] + ([(" (imaginary part)", values.imag)] if np.iscomplexobj(values) else [])
        for name, numbers in parts:
            stream.write(f"augmentation occupancies{name} {atom:3d} {values.size:3d}\n".encode())
            write_numbers(stream, [np.asarray(numbers, dtype=np.float64).ravel()], _OCCUPANCY, 5)
    return stream.getvalue().decode()


#: Columns in which VASP writes them.
_OCCUPANCY = NumberFormat(digits=7, width=15, zero_lead=True)
