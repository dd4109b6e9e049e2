"""Goedecker–Teter–Hutter pseudopotentials from CP2K's list, in the layout that ABINIT and pw.x both read.

CP2K's list (Debian: package ``cp2k-data``) has potentials of 87 elements. One file, pspcod 10 of ABINIT, serves both
codes: ABINIT as it is, pw.x because its name ends in ``.gth``.

    python data_prep/quantum_espresso/gth.py Si Mg O -o pseudo/          # pseudo/Si.pbe-q4.gth, …
    python data_prep/quantum_espresso/gth.py Ga --valence 13 -o pseudo/
    python data_prep/quantum_espresso/gth.py --list                      # elements and valences

Sources: S. Goedecker, M. Teter and J. Hutter, Phys. Rev. B 54, 1703 (1996); C. Hartwigsen, S. Goedecker and J. Hutter,
Phys. Rev. B 58, 3641 (1998); M. Krack, Theor. Chem. Acc. 114, 145 (2005).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from charge3net.errors import InputError
from charge3net.io.files import write_whole

#: Where Debian's cp2k-data puts the list.
POTENTIALS = Path("/usr/share/cp2k/GTH_POTENTIALS")

_FUNCTIONALS = {"PBE": 11}  # pspxc of ABINIT


@dataclass(frozen=True)
class GthPotential:
    """A potential.

    Attributes:
        element: symbol.
        valence: number of electrons.
        shells: for l = 0, 1, …: electrons of the neutral atom; their sum is the valence.
        name: in CP2K's list.
        local: radius (bohr) and coefficients c1 … c4 of the local part.
        channels: for l = 0, 1, …: radius and upper triangle of the matrix h, row by row.
    """

    element: str
    valence: int
    shells: tuple[int, ...]
    name: str
    local: tuple[float, tuple[float, ...]]
    channels: tuple[tuple[float, tuple[tuple[float, ...], ...]], ...]


def read_gth(path: Path, functional: str = "PBE") -> dict[tuple[str, int], GthPotential]:
    """(element, valence) → potential of this functional, from CP2K's list, in its order.

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); Debian has it in cp2k-data") from None
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    starts = [i for i, words in enumerate(lines) if re.fullmatch(r"[A-Z][a-z]?", words[0])]
    found: dict[tuple[str, int], GthPotential] = {}
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        names = [name for name in lines[start][1:] if re.fullmatch(rf"GTH-{functional}-q\d+", name)]
        if names:
            potential = _potential(lines[start][0], names[0], lines[start + 1 : end])
            found[potential.element, potential.valence] = potential
    return found


def _potential(element: str, name: str, lines: list[list[str]]) -> GthPotential:
    shells = tuple(int(word) for word in lines[0])
    count = int(lines[1][1])
    local = float(lines[1][0]), tuple(float(word) for word in lines[1][2 : 2 + count])
    channels, place = [], 3
    for _ in range(int(lines[2][0])):
        radius, size = float(lines[place][0]), int(lines[place][1])
        rows = [lines[place][2:], *lines[place + 1 : place + size]]
        channels.append((radius, tuple(tuple(float(word) for word in row) for row in rows[:size])))
        place += max(size, 1)
    return GthPotential(element, sum(shells), shells, name, local, tuple(channels))


def format_abinit(potential: GthPotential) -> str:
    """The text of the file, pspcod 10."""
    from ase.data import atomic_numbers

    functional = _FUNCTIONALS[potential.name.split("-")[1]]
    highest = len(potential.channels) - 1  # -1 without projectors
    radius, coefficients = potential.local
    lines = [
        f"Goedecker pseudopotential for {potential.element}, {potential.name} of CP2K",
        f"{atomic_numbers[potential.element]:5d} {potential.valence:4d} 250101  zatom,zion,pspdat",
        f"10 {functional} {highest} 0 2001 0  pspcod,pspxc,lmax,lloc,mmax,r2well",
        f"{radius:15.8f} {len(coefficients):4d} {_row(coefficients)}  rloc nloc c1 ..",
        f"{len(potential.channels):5d}  nnonloc",
    ]
    for momentum, (width, rows) in enumerate(potential.channels):
        lines.append(f"{width:15.8f} {len(rows):4d} {_row(rows[0]) if rows else ''}")
        lines += [f"{'':20} {_row(row)}" for row in rows[1:]]
        if momentum:  # spin-orbit coupling, which CP2K's list does not have
            lines += [f"{'':20} {_row((0.0,) * len(row))}" for row in rows]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def file_name(potential: GthPotential) -> str:
    """E.g. ``Si.pbe-q4.gth``."""
    return f"{potential.element}.{potential.name.split('-')[1].lower()}-q{potential.valence}.gth"


def choose(potentials: dict[tuple[str, int], GthPotential], element: str, valence: int | None = None) -> GthPotential:
    """The potential of an element with this valence, or with the smallest one.

    Raises:
        InputError: if the list has none.
    """
    known = sorted(count for symbol, count in potentials if symbol == element)
    if not known or (valence is not None and valence not in known):
        has = f"valences {', '.join(map(str, known))}" if known else "no potential"
        raise InputError(f"CP2K's list has {has} for {element}" + (f", not {valence}" if known else ""))
    return potentials[element, known[0] if valence is None else valence]


def _row(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:15.8f}" for value in values)


def command(
    about: str | None,
    name: Callable[[GthPotential], str],
    text: Callable[[GthPotential], str],
    arguments: Sequence[str] | None,
) -> int:
    """The command that writes a file for each element; returns the exit status.

    Args:
        about: what ``--help`` says.
        name, text: of a potential's file.
        arguments: of the command line; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("elements", nargs="*", metavar="ELEMENT")
    parser.add_argument("-o", "--out", type=Path, default=Path("pseudo"), help="folder (default: pseudo)")
    parser.add_argument("--valence", type=int, metavar="N", help="electrons; default: the fewest there are")
    parser.add_argument("--potentials", type=Path, default=POTENTIALS, help="CP2K's list")
    parser.add_argument("--list", action="store_true", help="print elements and valences")
    options = parser.parse_args(arguments)
    if not (options.elements or options.list):
        parser.error("name an element, or ask for --list")
    try:
        potentials = read_gth(options.potentials)
        if options.list:
            print("\n".join(f"{element} {valence}" for element, valence in sorted(potentials)))
            return 0
        chosen = [choose(potentials, element, options.valence) for element in options.elements]
        options.out.mkdir(parents=True, exist_ok=True)
        for potential in chosen:
            write_whole(options.out / name(potential), text(potential))
            print(options.out / name(potential))
    except InputError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return command(__doc__, file_name, format_abinit, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
