"""Structures from files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.io.abinit import read_abinit_head
from charge3net.io.cif import read_cif
from charge3net.io.cube import read_cube_head
from charge3net.io.densities import read_other_density
from charge3net.io.files import Source, guarded, open_source, reason, split_compression, time_limit
from charge3net.io.formats import structure_format
from charge3net.io.json_files import read_json_structure
from charge3net.io.npz import read_npz_geometry
from charge3net.io.poscar import check_poscar_end, read_poscar
from charge3net.io.qe.pw_input import is_pw_input, read_pw_input
from charge3net.io.qe.save_folder import read_save_geometry
from charge3net.io.xyz import read_xyz

LARGEST_OTHER = 1 << 28

#: Formats that this package reads; any other is that of a reader of another package.
_KINDS = ("qe", "abinit", "poscar", "cube", "npz", "cif", "xyz", "json", "other")


def read_structures(path: str | Path) -> list[Geometry]:
    """All structures in a file, in its order.

    By name and suffix: POSCAR, CONTCAR, ``*.vasp`` and everything with the head of a CHGCAR; cube; npz; CIF; xyz and
    extended xyz with any number of frames; the folders and inputs of Quantum ESPRESSO; ``*_DEN`` of ABINIT; JSON of the
    Materials Project; densities in a format of another package; for other names whatever ASE or pymatgen recognises.
    All but those may be compressed
    (``.gz .xz .bz2 .lz4 .zz``). Lengths are in Å; a file without a cell gives a molecule.

    Raises:
        InputError: for a file that cannot be read, with the reason.
    """
    kind = structure_format(path)
    if kind == "qe":
        with guarded(str(path)):
            return [read_save_geometry(path)]
    if kind not in _KINDS:
        return [read_other_density(Path(path), kind).geometry]
    with open_source(path) as source:
        if kind == "abinit":
            return [read_abinit_head(source).geometry]
        if kind == "poscar":
            geometry = read_poscar(source)[1]
            check_poscar_end(source)
            return [geometry]
        if kind == "cube":
            return [read_cube_head(source)[1]]
        if kind == "npz":
            return [read_npz_geometry(source)]
        with time_limit(source):
            if kind == "cif":
                return read_cif(source)
            if kind == "xyz":
                return read_xyz(source)
            if kind == "json" and (found := read_json_structure(source)) is not None:
                return [found]
            return _read_other(source, Path(path))


def read_structure(path: str | Path, index: int = -1) -> Geometry:
    """One structure of a file; see :func:`read_structures`.

    Args:
        path: the file.
        index: which of several; the last one by default, as in ASE (the end of a relaxation).

    Raises:
        InputError: for a file that cannot be read or has no structure of that index.
    """
    structures = read_structures(path)
    if not -len(structures) <= index < len(structures):
        raise InputError(f"{path}: holds {len(structures)} structures, so there is none with index {index}")
    return structures[index]


def _read_other(source: Source, path: Path) -> list[Geometry]:
    """What ASE recognises by name or content, else what pymatgen recognises by name."""
    import ase.io
    from pymatgen.core import Structure

    if is_pw_input(path):
        return [read_pw_input(path).geometry]
    if split_compression(path.name)[1]:
        raise source.error("only POSCAR, CHGCAR, cube, npz, CIF and xyz are read compressed; decompress it first")
    if path.stat().st_size > LARGEST_OTHER:
        raise source.error(f"a structure in a file of more than {LARGEST_OTHER >> 20} MiB is not read")
    readers: tuple[Callable[[], list[Any]], ...] = (
        lambda: list(ase.io.iread(str(path), index=":")),
        lambda: [Structure.from_file(str(path))],
    )
    reasons = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for reader in readers:
            try:
                found = reader()
            except TimeoutError:
                raise
            except (Exception, SystemExit) as error:  # any of a hundred parsers
                reasons.append(reason(error))
                continue
            if found:
                try:
                    return [Geometry.of(structure) for structure in found]
                except InputError as error:
                    raise source.error(str(error)) from None
    raise source.error(f"neither ASE nor pymatgen can read it as a structure ({'; '.join(reasons)})")
