"""Which format a file has, by its name."""

from __future__ import annotations

import re
from pathlib import Path

from charge3net.errors import InputError
from charge3net.extensions import Extension, extensions
from charge3net.io.files import split_compression

#: Formats of densities; the JSON of pymatgen, which is only read, is known by its name.
DENSITY_FORMATS = ("chgcar", "cube", "npz", "qe", "abinit")

#: Names of the density in a folder PREFIX.save of Quantum ESPRESSO.
CHARGE_DENSITIES = ("charge-density.dat", "charge-density.hdf5")

#: Entry point group of readers in other packages: suffix without the dot → ``package.module:function``, which takes the
#: path of a file and returns a :class:`~charge3net.density.Density`.
READERS = "charge3net.readers"

#: Suffixes of structures and densities that this package reads itself.
_TAKEN = ("cif", "mcif", "xyz", "extxyz", "poscar", "chgcar", "vasp", "cube", "cub", "npz", "json", "save")

_SUFFIXES = {".chgcar": "chgcar", ".vasp": "chgcar", ".cube": "cube", ".cub": "cube", ".npz": "npz", ".json": "json"}
_VASP_DENSITIES = {"chgcar", "chg", "aeccar0", "aeccar1", "aeccar2", "parchg"}
_VASP_STRUCTURES = {"poscar", "contcar"}
_VASP_OTHERS = {"locpot": "a potential", "elfcar": "a localisation function", "wavecar": "orbitals"}


def density_format(path: str | Path, given: str | None = None) -> str:
    """One of :data:`DENSITY_FORMATS` or ``"json"``: what is given, else by the suffix, else by a code's name for it.

    ``CHGCAR``, ``CHGCAR.Si2``, ``mp-149_AECCAR2.gz``, ``000001.chgcar.lz4`` and ``x.vasp`` are all of format chgcar;
    ``si.save`` and ``charge-density.dat`` of format qe (Quantum ESPRESSO), ``sio_DEN`` of format abinit. A suffix that
    another package reads (:data:`READERS`) is a format too.

    Raises:
        InputError: for an unknown format, and a name that shows none or that of a file without a density.
    """
    if given is not None:
        if given not in DENSITY_FORMATS and given not in (others := other_readers()):
            raise InputError(
                f"the format of a density is one of {', '.join((*DENSITY_FORMATS, *others))}; found {given!r}"
            )
        return given
    name = split_compression(Path(path).name)[0]
    words = _words(name)
    for other, holds in _VASP_OTHERS.items():
        if other in words:
            raise InputError(f"{path}: a {other.upper()} holds {holds}, not a density")
    known = format_of_code(name) or _SUFFIXES.get(Path(name).suffix.lower())
    if known is None and words & _VASP_DENSITIES:
        known = "chgcar"
    known = known or _of_other_packages(name)
    if known is None and structure_format(path) in ("poscar", "cif", "xyz"):
        raise InputError(
            f"{path}: the name of a file with a structure, not with a density (CHGCAR, *.cube, *.npz, …); "
            "`charge3net predict` makes a density of a structure"
        )
    if known is None:
        raise InputError(
            f"{path}: the name does not say which format the density has; use CHGCAR (or CHG, AECCAR0, PARCHG,"
            " *.chgcar, *.vasp), *.cube, *.npz, PREFIX.save (Quantum ESPRESSO) or *_DEN (ABINIT), or give the format:"
            f" {', '.join(DENSITY_FORMATS)}"
        )
    return known


def grid_format(path: str | Path, given: str | None = None) -> str:
    """The same for a file of which only the grid matters: a potential serves as well.

    Raises:
        InputError: as :func:`density_format`.
    """
    words = _words(split_compression(Path(path).name)[0])
    if given is None and words & {"locpot", "elfcar"} and not words & {"cube", "cub", "npz"}:
        return "chgcar"
    return density_format(path, given)


def structure_format(path: str | Path) -> str:
    """A format of :func:`density_format`, or ``"poscar"`` for VASP's files, ``"cif"``, ``"xyz"``, or ``"other"``."""
    name = split_compression(Path(path).name)[0]
    if known := format_of_code(name):
        return known
    suffix = Path(name).suffix.lower()
    by_suffix = {".poscar": "poscar", ".cif": "cif", ".mcif": "cif", ".xyz": "xyz", ".extxyz": "xyz"}
    kind = by_suffix.get(suffix) or _SUFFIXES.get(suffix)
    if kind is None and _words(name) & (_VASP_DENSITIES | _VASP_STRUCTURES | set(_VASP_OTHERS)):
        kind = "poscar"
    return "poscar" if kind == "chgcar" else kind or _of_other_packages(name) or "other"


def other_readers() -> dict[str, Extension]:
    """Suffix (lower case, without the dot) → reader of another package.

    Raises:
        InputError: if two packages read one suffix, or one reads a suffix of this package.
    """
    return {name.lower(): one for name, one in extensions(READERS, own=(*DENSITY_FORMATS, *_TAKEN)).items()}


def _of_other_packages(name: str) -> str | None:
    suffix = Path(name).suffix.lower().removeprefix(".")
    return suffix if suffix in other_readers() else None


def format_of_code(name: str) -> str | None:
    """``"qe"`` or ``"abinit"`` where these codes name their own files so; else None."""
    if name in CHARGE_DENSITIES or name.endswith(".save"):
        return "qe"
    return "abinit" if name.endswith("_DEN") else None


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))
