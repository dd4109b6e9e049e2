"""Densities inside uncompressed tar files: listed by header, read in place, never unpacked to disk."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np

from charge3net.data.build import FileContent
from charge3net.data.find import entry_name
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.io import read_density_stream


@dataclass(frozen=True)
class Member:
    """A file inside a tar: its name, and where its bytes lie."""

    tar: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.tar.name}:{self.name}"


@dataclass(frozen=True)
class TarFiles:
    """Tar files, and the text file that lists them in order; without a list positions mean nothing if there are two."""

    tars: tuple[Path, ...]
    listing: Path | None

    @property
    def ordered(self) -> bool:
        """Whether positions of members are defined."""
        return self.listing is not None or len(self.tars) == 1


def find_tars(where: str | Path) -> TarFiles:
    """The tar files of a set.

    Args:
        where: the text file that lists them, one name a line; a folder that holds it; or one tar file. Names in a list
            are looked for as they stand, relative to the list, and beside it.

    Raises:
        InputError: if nothing is there, a listed file is missing or listed twice, or a folder holds several lists.
    """
    where = Path(where)
    if where.is_dir():
        lists = [path for path in sorted(where.glob("*.txt")) if _listed(path)]
        if len(lists) > 1:
            raise InputError(
                f"{where} holds several lists of tar files; name one of them: {', '.join(map(str, lists))}"
            )
        if lists:
            return _from_list(lists[0])
        tars = tuple(sorted(where.glob("*.tar")))
        if not tars:
            raise InputError(f"{where} holds no *.tar; fetch the data set first (docs/data_sets.md says from where)")
        return TarFiles(tars, None)
    if not where.is_file():
        raise InputError(
            f"{where} does not exist; name the folder with the tar files, or the text file that lists them"
        )
    if where.suffix.lower() == ".txt":
        return _from_list(where)
    return TarFiles((where,), None)


def list_members(tars: Iterable[Path]) -> list[Member]:
    """Every file in the tars, in order: what published positions count. Folders inside a tar do not count.

    Raises:
        InputError: for a tar that is compressed, damaged or cut short.
    """
    return [member for tar in tars for member in _members_of(tar)]


def name_members(members: Iterable[Member]) -> dict[str, Member]:
    """Name of the entry → member, in order; a name that stands in two tars takes the tar's name in front of it.

    Raises:
        InputError: if one tar holds a name twice.
    """
    members = list(members)
    plain = [entry_name(member.name) for member in members]
    count = Counter(plain)
    named: dict[str, Member] = {}
    for name, member in zip(plain, members, strict=True):
        key = name if count[name] == 1 else f"{member.tar.stem}__{name}"
        if key in named:
            raise InputError(f"{named[key]} and {member} would both be entry {key!r}; the tar holds a name twice")
        named[key] = member
    return named


def read_member(member: Member, valence: Mapping[str, float], origin: str) -> FileContent:
    """Read one member; whatever goes wrong becomes the ``problem``.

    Args:
        member: where it is.
        valence: valence electrons per element; a structure with another element is not checked against them.
        origin: name of the data set, kept in the entry's free-form part.
    """
    try:
        with open(member.tar, "rb") as file:
            file.seek(member.offset)
            data = file.read(member.size)
        if len(data) < member.size:
            raise InputError(f"{member.tar} ends within this member; fetch it again")
        density = read_density_stream(BytesIO(data), member.name)
        provenance = {**density.provenance, "file": str(member), "set": origin}
        values = np.asarray(density.values, dtype=np.float32)
        density = replace(density, values=values, augmentation=(), provenance=provenance)
        return FileContent(density, known_electrons(density, valence))
    except InputError as error:
        return FileContent(problem=f"{member.tar.name}: {error}")
    except Exception as error:  # a file no reader has foreseen must not stop the rest
        return FileContent(problem=f"{type(error).__name__} while reading {member}: {error}")


def known_electrons(density: Density, valence: Mapping[str, float]) -> float | None:
    """Number of valence electrons of a structure, or None if it has an element that the table lacks."""
    from pymatgen.core import Element

    symbols = [Element.from_Z(int(z)).symbol if z else "X" for z in density.geometry.numbers]
    return float(sum(valence[symbol] for symbol in symbols)) if set(symbols) <= set(valence) else None


def _listed(path: Path) -> list[str]:
    """Names in a list of tar files; empty if the file is something else."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        return []
    return lines if all(line.lower().endswith(".tar") for line in lines) else []


def _from_list(listing: Path) -> TarFiles:
    names = _listed(listing)
    if not names:
        raise InputError(f"{listing} must list tar files, one name ending in .tar a line")
    tars = []
    for name in names:
        places = (listing.parent / name, listing.parent / Path(name).name)
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise InputError(
                f"{listing} lists {name}, which is not in {listing.parent}; fetch it too, positions count in all tars"
            )
        if found in tars:
            raise InputError(f"{listing} lists {name} twice; name it once")
        tars.append(found)
    return TarFiles(tuple(tars), listing)


def _members_of(tar: Path) -> list[Member]:
    try:
        with tarfile.open(tar, "r:") as archive:
            found = [Member(tar, info.name, info.offset_data, info.size) for info in archive if info.isreg()]
            end = archive.offset
        with open(tar, "rb") as file:  # tarfile takes a damaged header for the end
            file.seek(end)
            mark = file.read(tarfile.BLOCKSIZE)
    except tarfile.TarError as error:
        raise InputError(f"{tar} is no uncompressed tar, damaged or cut short ({error}); fetch it again") from None
    except OSError as error:
        raise InputError(f"{tar} cannot be read ({error.strerror or error})") from None
    if len(mark) < tarfile.BLOCKSIZE or mark.strip(b"\0"):
        raise InputError(f"{tar} is damaged or cut short: no end mark after {len(found)} files; fetch it again")
    return found
