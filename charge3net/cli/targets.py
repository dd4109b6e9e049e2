"""The structures of a prediction and their output files."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path

from charge3net.cli.parts import Part
from charge3net.cli.start import STARTS, espresso_folder
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.io import read_structures
from charge3net.io.files import split_compression
from charge3net.io.formats import CHARGE_DENSITIES, density_format, format_of_code

#: What a pattern for output files may hold.
FIELDS = ("{stem}", "{formula}", "{index}")

_VASP_NAME = re.compile(r"^(POSCAR|CONTCAR|CHGCAR)([._-]|$)", re.IGNORECASE)
_IN_FOLDER = {"chgcar": "CHGCAR.{stem}", "cube": "{stem}.cube", "npz": "{stem}.npz", "abinit": "{stem}_DEN"}
_STRUCTURE_SUFFIXES = {
    ".cif",
    ".mcif",
    ".xyz",
    ".extxyz",
    ".vasp",
    ".poscar",
    ".chgcar",
    ".cube",
    ".npz",
    ".traj",
    ".json",
}


@dataclass(frozen=True)
class Target:
    """One structure and its output, or why it could not be read.

    Attributes:
        source: the file it came from, with the number of the frame (from 0) in a file of several.
        stem: short name, unique in one call.
        structure: None when it could not be read.
        failure: why.
        output: the file to write.
        spread: the file for the spread of an ensemble; None writes none.
        index: number in the call, from 0.
    """

    source: str
    stem: str
    structure: Geometry | None = None
    failure: str = ""
    output: Path = Path()
    spread: Path | None = None
    index: int = 0


def expand(paths: list[Path]) -> list[Path]:
    """The files; a path with ``*``, ``?`` or ``[`` that names none stands for those that match it, by name.

    Raises:
        InputError: if none matches.
    """
    found: list[Path] = []
    for path in paths:
        if path.exists() or not has_magic(str(path)):
            found.append(path)
            continue
        matches = sorted(glob(str(path), recursive=True))
        if not matches:
            raise InputError(f"{path}: no file matches this pattern")
        found += map(Path, matches)
    return found


def collect(paths: list[Path], part: Part | None = None) -> list[Target]:
    """Every structure of every file, with unique stems.

    A file that cannot be read is one target with a failure, unless it is the only file.

    Args:
        paths: the files.
        part: only this share: of the files if there are several, else of the frames of the one.

    Raises:
        InputError: if the only file cannot be read.
    """
    targets: list[Target] = []
    chosen = list(zip(paths, _stems(paths), strict=True))
    for path, stem in chosen if part is None or len(paths) == 1 else part.share(chosen):
        try:
            frames = read_structures(path)
        except InputError as error:
            if len(paths) == 1:
                raise
            targets.append(Target(str(path), stem, failure=str(error)))
            continue
        if len(frames) == 1:
            targets.append(Target(str(path), stem, frames[0]))
        else:
            digits = len(str(len(frames) - 1))
            targets += [Target(f"{path} #{i}", f"{stem}_{i:0{digits}d}", frame) for i, frame in enumerate(frames)]
    numbered = [replace(target, index=i) for i, target in enumerate(targets)]
    return list(part.share(numbered)) if part is not None and len(paths) == 1 else numbered


def check_pattern_of_parts(output: str, format: str | None, n_files: int) -> None:
    """Refuse an output whose names jobs cannot know to be different, as each sees its own share.

    Raises:
        InputError: if the names of a pattern are not unique by themselves.
    """
    if format == "qe" or (format is None and format_of_code(Path(output).name) == "qe"):
        raise InputError("starts of Quantum ESPRESSO are not made in parts: folders of one prefix could not be noticed")
    if "{index" in output and n_files > 1:
        raise InputError(f"{output!r}: jobs that share several files cannot number their structures; take {{stem}}")
    if "{" in output and "{stem" not in output and "{index" not in output:
        raise InputError(f"the output pattern {output!r} must hold {{stem}} when the work is shared by jobs")
    if "{" not in output and _is_file_name(Path(output)) and not Path(output).is_dir():
        raise InputError(f"{output} is one file; jobs that share the work need a folder, or a pattern with {{stem}}")


def with_outputs(targets: list[Target], output: str, format: str | None, shared: bool = False) -> list[Target]:
    """The targets with their files: ``output`` is a file (for one structure), a folder, or a pattern.

    Args:
        targets: the structures.
        output, format: as on the command line.
        shared: these are only a part of the structures, so it is no file.

    Raises:
        InputError: for a pattern with unknown fields, a name without a known format, several structures for one file,
            or an output that is one of the inputs.
    """
    path = Path(output)
    if format == "qe" or (format is None and format_of_code(path.name) == "qe"):
        return _with_save_folders(targets, output)
    if "{" in output:
        pattern = output
    elif output.endswith("/") or path.is_dir() or ((shared or len(targets) > 1) and not _is_file_name(path)):
        pattern = str(path / _IN_FOLDER[format or "chgcar"])
    elif len(targets) > 1:
        raise InputError(
            f"{len(targets)} structures cannot go to the one file {output}; give a folder, or a pattern with "
            f"{', '.join(FIELDS)}"
        )
    else:
        pattern = output
    placed = [replace(target, output=_fill(pattern, target)) for target in targets]
    if placed:
        density_format(placed[0].output, format)
    _check_distinct(placed)
    return placed


def _with_save_folders(targets: list[Target], output: str) -> list[Target]:
    """The targets with the densities in their folders ``PREFIX.save``, for Quantum ESPRESSO."""
    placed = []
    for target in targets:
        name = str(_fill(output, target)) if "{" in output else output
        readable = target.structure is not None
        folder = espresso_folder(target, name) if readable else Path(name) / f"{target.stem}.save"
        placed.append(replace(target, output=folder / "charge-density.dat"))
    _check_distinct(placed)
    return placed


def with_spreads(targets: list[Target], output: str, format: str | None) -> list[Target]:
    """The targets with files for the spread of an ensemble; ``output`` and errors as for :func:`with_outputs`.

    Of the start of a run it is a density by its own name.
    """
    spreads = with_outputs(targets, output, None if format in STARTS else format)
    taken = {target.output.resolve() for target in targets}
    for one in spreads:
        if one.output.resolve() in taken:
            raise InputError(f"{one.output}: is the file of the density itself; give --uncertainty another name")
    return [replace(target, spread=one.output) for target, one in zip(targets, spreads, strict=True)]


def _is_file_name(path: Path) -> bool:
    try:
        density_format(path)
    except InputError:
        return False
    return True


def _fill(pattern: str, target: Target) -> Path:
    fields: dict[str, str | int] = {"stem": target.stem, "index": target.index}
    if "{formula" in pattern:
        fields["formula"] = target.structure.formula if target.structure is not None else "unknown"
    try:
        return Path(pattern.format(**fields))
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"the output pattern {pattern!r} may hold {', '.join(FIELDS)} ({error})") from None


def _check_distinct(targets: list[Target]) -> None:
    outputs = Counter(str(target.output) for target in targets if target.structure is not None)
    twice = [name for name, count in outputs.items() if count > 1]
    if twice:
        raise InputError(f"{outputs[twice[0]]} structures would be written to {twice[0]}; put {{index}} in the pattern")
    sources = {Path(target.source.rsplit(" #", 1)[0]).resolve(): target.source for target in targets}
    for target in targets:
        if target.output.resolve() in sources:
            raise InputError(f"{target.output} is one of the structures; choose another output")


def _stems(paths: list[Path]) -> list[str]:
    """File names without suffixes; where two agree, with the folder's name in front, then with a number behind."""
    plain = [_stem(path) for path in paths]
    counts = Counter(plain)
    longer = [f"{path.resolve().parent.name}_{s}" if counts[s] > 1 else s for path, s in zip(paths, plain, strict=True)]
    counts = Counter(longer)
    return [f"{s}_{i}" if counts[s] > 1 else s for i, s in enumerate(longer)]


def _stem(path: Path) -> str:
    """``Si.cif.gz``, ``POSCAR.Si``, ``Si.save`` and ``Si_DEN`` are Si; a plain POSCAR has the name of its folder.

    So the name of an output cannot end like a file of another code than the one that is asked for.
    """
    if path.name in CHARGE_DENSITIES:
        path = path.resolve().parent
    name = Path(split_compression(path.name)[0].removesuffix("_DEN").removesuffix(".save") or path.name)
    stem = name.stem if name.suffix.lower() in _STRUCTURE_SUFFIXES else name.name
    kept = _VASP_NAME.sub("", stem)
    return kept or path.resolve().parent.name or stem
