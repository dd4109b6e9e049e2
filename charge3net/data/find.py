"""Files with densities: found in folders, and the names of the entries that they become."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from charge3net.errors import InputError
from charge3net.io.formats import other_readers

logger = logging.getLogger(__name__)

#: Files that a search in a folder takes for densities. CHG and AECCAR accompany a CHGCAR; name them to read them.
DENSITY_FILES = re.compile(
    r"^((.*[._-])?CHGCAR([._-].*)?|.+\.(chgcar|cube|cub|npz)(\.(gz|xz|bz2|lz4|zz))?"
    r"|charge-density\.(dat|hdf5)|.+_DEN)$",
    re.IGNORECASE,
)

_COMPRESSED = (".gz", ".xz", ".bz2", ".lz4", ".zz")
_FORMATS = (".chgcar", ".cube", ".cub", ".npz", ".vasp", ".json", ".pkl")
#: Names of files of VASP and Quantum ESPRESSO that say nothing of the material; their folder does.
NAMELESS = (
    "CHGCAR", "CHG", "AECCAR0", "AECCAR1", "AECCAR2", "PARCHG", "charge-density.dat", "charge-density.hdf5",
)  # fmt: skip
#: Copies and parts of a density in the same folder: CHGCAR.bak, CHGCAR_tot.
_BESIDE = re.compile(
    r"^CHGCAR[._-](bak|backup|old|orig|save|copy|prev|tot|total|sum|mag|diff|spin|up|down)[0-9]*(\.[a-z0-9]+)?$",
    re.IGNORECASE,
)


def entry_name(path: str | PurePath) -> str:
    """A material's name from its file's: without suffixes; a VASP file that is only called CHGCAR takes its folder's.

    ``mp-149.cube.gz`` → ``mp-149``; ``mp-149/CHGCAR`` and ``mp-149.save/charge-density.dat`` → ``mp-149``; folders are
    joined by two underscores.
    """
    parts = list(PurePath(path).parts)
    for suffixes in (_COMPRESSED, (*_FORMATS, *(f".{suffix}" for suffix in other_readers()))):
        stem, dot, suffix = parts[-1].rpartition(".")
        if stem and dot + suffix.lower() in suffixes:
            parts[-1] = stem
    if parts[-1] in NAMELESS and len(parts) > 1:
        parts.pop()
        parts[-1] = parts[-1].removesuffix(".save")
    return "__".join(part for part in parts if part not in ("/", ".", ".."))


def find_files(inputs: Sequence[str | Path]) -> dict[str, Path]:
    """Name of the entry → file, from files and from folders that are searched for densities.

    Of several files of one name the first is taken, a file that is not compressed before others. In a folder, copies
    and parts beside a CHGCAR (``CHGCAR.bak``, ``CHGCAR_tot``) are left out. What is left out is logged.

    Raises:
        InputError: if an input does not exist, or nothing was found.
    """
    files: dict[str, Path] = {}
    left_out: list[str] = []
    for given in map(Path, inputs):
        if given.is_dir():
            found = sorted(path for path in given.rglob("*") if _is_density(path))
            found, beside = _without_copies(found)
            left_out += [f"{path} (a copy or part beside a CHGCAR)" for path in beside]
            names = [entry_name(path.relative_to(given)) for path in found]
        elif given.is_file():
            found, names = [given], [entry_name(given.name)]
        else:
            raise InputError(f"{given} does not exist; name folders or files with densities")
        for path, name in zip(found, names, strict=True):
            if name in NAMELESS:
                name = path.resolve().parent.name.removesuffix(".save")
            if name in files:
                left_out.append(f"{path} (entry {name!r} is {files[name]})")
            else:
                files[name] = path
    if not files:
        raise InputError(
            f"no CHGCAR, cube or npz file, no charge-density of Quantum ESPRESSO and no *_DEN of ABINIT in "
            f"{', '.join(map(str, inputs))}"
        )
    for text in left_out[:20]:
        logger.warning("left out: %s", text)
    if len(left_out) > 20:
        logger.warning("left out: %d more files", len(left_out) - 20)
    return files


def _without_copies(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """The files without copies and parts beside a CHGCAR of the same folder, and those."""
    folders = {path.parent for path in paths if entry_name(path.name) == "CHGCAR"}
    beside = [path for path in paths if path.parent in folders and _BESIDE.match(path.name)]
    return [path for path in paths if path not in set(beside)], beside


def _is_density(path: Path) -> bool:
    """Whether a file holds a density; of two charge densities of one run of pw.x only the first."""
    known = DENSITY_FILES.match(path.name) or path.suffix.lower().removeprefix(".") in other_readers()
    if not (known and path.is_file()):
        return False
    return path.name != "charge-density.hdf5" or not path.with_suffix(".dat").exists()
