"""The PAW augmentation charges of a CHGCAR, to be written beside another density of the same atoms."""

from __future__ import annotations

import re

from charge3net.density import Density

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
