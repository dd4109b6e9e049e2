"""Structures from files."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.io.abinit import read_abinit_head
from charge3net.io.cube import read_cube_head
from charge3net.io.files import Source, open_source, split_compression
from charge3net.io.formats import structure_format
from charge3net.io.npz import read_npz_geometry
from charge3net.io.poscar import read_poscar
from charge3net.io.qe.pw_input import is_pw_input, read_pw_input
from charge3net.io.qe.save_folder import read_save_geometry


def read_structures(path: str | Path) -> list[Geometry]:
    """All structures in a file, in its order.

    By name and suffix: POSCAR, CONTCAR, ``*.vasp`` and everything with the head of a CHGCAR; cube; npz; CIF (pymatgen);
    xyz and extended xyz with any number of frames (ASE); the folders and inputs of Quantum ESPRESSO; ``*_DEN`` of
    ABINIT; for other names whatever ASE or pymatgen recognises.
    All may be compressed (``.gz .xz .bz2 .lz4 .zz``). Lengths are in Å; a file without a cell gives a molecule.

    Raises:
        InputError: for a file that cannot be read, with the reason.
    """
    kind = structure_format(path)
    if kind == "qe":
        return [read_save_geometry(path)]
    with open_source(path) as source:
        if kind == "abinit":
            return [read_abinit_head(source).geometry]
        if kind == "poscar":
            return [read_poscar(source)[1]]
        if kind == "cube":
            return [read_cube_head(source)[1]]
        if kind == "npz":
            return [read_npz_geometry(source)]
        if kind == "cif":
            found = _read_cif(source)
        elif kind == "xyz":
            found = _read_xyz(source)
        else:
            found = _read_other(source, Path(path))
    try:
        return [Geometry.of(structure) for structure in found]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


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


def _text(source: Source) -> str:
    data = source.read_all()
    if b"\0" in data:
        raise source.error("expected a text file, found binary data")
    return data.decode("utf-8", "replace")


def _read_cif(source: Source) -> list[Any]:
    from pymatgen.io.cif import CifParser

    text = _text(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: list[Any] = CifParser.from_str(text).parse_structures(primitive=False, on_error="raise")
    except Exception as error:  # the parser raises whatever its parts raise
        raise source.error(f"cannot be read as CIF ({_reason(error)})") from None
    return found


def _read_xyz(source: Source) -> list[Any]:
    import ase.io

    text = _text(source)
    reason = "no atoms"
    for kind in ("extxyz", "xyz"):  # a free comment may be no valid list of key=value
        try:
            found = list(ase.io.iread(io.StringIO(text), index=":", format=kind))
        except Exception as error:  # the parser raises whatever its parts raise
            reason = _reason(error) if kind == "extxyz" else reason
            continue
        if found:
            return found
    raise source.error(f"cannot be read as xyz ({reason})")


def _read_other(source: Source, path: Path) -> list[Any]:
    """What ASE recognises by name or content, else what pymatgen recognises by name."""
    import ase.io
    from pymatgen.core import Structure

    if is_pw_input(path):
        return [read_pw_input(path).geometry]
    if split_compression(path.name)[1]:
        raise source.error("only POSCAR, CHGCAR, cube, npz, CIF and xyz are read compressed; decompress it first")
    reasons = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for reader in (lambda: list(ase.io.iread(str(path), index=":")), lambda: [Structure.from_file(str(path))]):
            try:
                found: list[Any] = reader()
            except Exception as error:  # any of a hundred parsers
                reasons.append(_reason(error))
                continue
            if found:
                return found
    raise source.error(f"neither ASE nor pymatgen can read it as a structure ({'; '.join(reasons)})")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
