"""A store from a folder of density files: many processes read, one writes."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy import ndarray

from charge3net.data.index import INDEX
from charge3net.data.writer import StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError

#: Files that a search in a folder takes for densities. CHG and AECCAR stand beside a CHGCAR; name them to take them.
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


@dataclass(frozen=True)
class BuildResult:
    """What became of the files.

    Attributes:
        stored: entries in the store.
        added: new ones among them.
        rejected: name → reason of what was refused.
        read: files that were read; entries that the store had are not.
        seconds: how long that took.
        jobs: processes that read.
    """

    stored: int
    added: int
    rejected: dict[str, str]
    read: int = 0
    seconds: float = 0.0
    jobs: int = 1


@dataclass(frozen=True)
class FileContent:
    """What a file holds, or why it could not be read."""

    density: Density | None = None
    electrons: float | None = None
    baseline: ndarray | None = None
    problem: str = ""


def entry_name(path: str | PurePath) -> str:
    """A material's name from its file's: without suffixes; a VASP file that is only called CHGCAR takes its folder's.

    ``mp-149.cube.gz`` → ``mp-149``; ``mp-149/CHGCAR`` and ``mp-149.save/charge-density.dat`` → ``mp-149``; folders are
    joined by two underscores.
    """
    parts = list(PurePath(path).parts)
    for suffixes in (_COMPRESSED, _FORMATS):
        stem, dot, suffix = parts[-1].rpartition(".")
        if stem and dot + suffix.lower() in suffixes:
            parts[-1] = stem
    if parts[-1] in NAMELESS and len(parts) > 1:
        parts.pop()
        parts[-1] = parts[-1].removesuffix(".save")
    return "__".join(part for part in parts if part not in ("/", ".", ".."))


def find_files(inputs: Sequence[str | Path]) -> dict[str, Path]:
    """Name of the entry → file, from files and from folders that are searched for densities.

    Raises:
        InputError: if an input does not exist, nothing was found, or two files would have one name.
    """
    files: dict[str, Path] = {}
    for given in map(Path, inputs):
        if given.is_dir():
            found = sorted(path for path in given.rglob("*") if _is_density(path))
            names = [entry_name(path.relative_to(given)) for path in found]
        elif given.is_file():
            found, names = [given], [entry_name(given.name)]
        else:
            raise InputError(f"{given} does not exist; name folders or files with densities")
        for path, name in zip(found, names, strict=True):
            if name in NAMELESS:
                name = path.resolve().parent.name.removesuffix(".save")
            if name in files:
                raise InputError(f"{files[name]} and {path} would both be entry {name!r}; build them into two stores")
            files[name] = path
    if not files:
        raise InputError(
            f"no CHGCAR, cube or npz file, no charge-density of Quantum ESPRESSO and no *_DEN of ABINIT in "
            f"{', '.join(map(str, inputs))}"
        )
    return files


def _is_density(path: Path) -> bool:
    """Whether a file is wanted; of two charge densities of one run of pw.x only the first."""
    if not (DENSITY_FILES.match(path.name) and path.is_file()):
        return False
    return path.name != "charge-density.hdf5" or not path.with_suffix(".dat").exists()


def read_valence(path: str | Path) -> dict[str, float]:
    """Valence electrons per element, ``{"Si": 4, …}``.

    Raises:
        InputError: if the file is not that.
    """
    try:
        return {str(symbol): float(count) for symbol, count in json.loads(Path(path).read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        raise InputError(f'{path} must be a JSON file of valence electrons per element, {{"Si": 4, …}}') from None


def read_content(path: Path) -> FileContent:
    """Read one file; whatever goes wrong becomes the ``problem``.

    Files of Quantum ESPRESSO and ABINIT say how many electrons there are, and runs of pw.x that did not converge are
    refused. npz files may name the number of electrons (``n_electrons``) and hold the superposition of atoms on the
    same grid (``density_sad``, e/Å³).
    """
    from charge3net.io import read_density

    try:
        density = read_density(path)
        density = replace(density, values=np.asarray(density.values, dtype=np.float32), augmentation=())
        if path.suffix != ".npz":
            if density.provenance.get("converged") is False:
                return FileContent(problem=f"{path}: the run did not converge")
            return FileContent(density, density.provenance.get("electrons_expected"))
        with np.load(path, allow_pickle=False) as data:
            electrons = float(data["n_electrons"]) if "n_electrons" in data else None
            baseline = data.get("density_sad")
        return FileContent(density, electrons, baseline)
    except InputError as error:
        return FileContent(problem=str(error))
    except Exception as error:  # a file no reader has foreseen must not stop the rest
        return FileContent(problem=f"{type(error).__name__} while reading {path}: {error}")


def build_store(
    files: Mapping[str, Any],
    output: str | Path,
    jobs: int | None = None,
    resume: bool = False,
    valence: Mapping[str, float] | None = None,
    read: Callable[[Any], FileContent] = read_content,
    shuffled: bool | None = None,
) -> BuildResult:
    """Read every file into a store; bad files are listed in it and do not stop the rest.

    A progress bar on standard error says rate and time left. Entries are written in the order of ``files``.

    Args:
        files: name of the entry → file, as from :func:`find_files`, or whatever ``read`` takes.
        output: folder of the store.
        jobs: processes that read; None for all cores, 1 to read in this process.
        resume: go on with a store that exists; entries it has are not read again.
        valence: valence electrons per element, to check ∫ρ against where the file does not say how many there are.
        read: reads one file in a process of its own; what goes wrong becomes the ``problem``, nothing is raised.
        shuffled: see :class:`~charge3net.data.store.StoreWriter`.

    Raises:
        InputError: if the store exists and ``resume`` is False, or a reading process dies.
    """
    from tqdm import tqdm

    output = Path(output)
    if (output / INDEX).exists() and not resume:
        raise InputError(f"{output} exists; add --resume to go on with it, or name another folder")
    jobs = (os.cpu_count() or 1) if jobs is None else jobs
    if jobs < 1:
        raise InputError(f"at least one process must read, found jobs={jobs}")
    with StoreWriter(output, shuffled=shuffled) as writer:
        before, started = len(writer), time.monotonic()
        todo = {key: path for key, path in files.items() if not writer.done(key)}
        interval = 0.2 if sys.stderr.isatty() else 30.0
        bar = tqdm(_read_all(todo, jobs, read), total=len(todo), unit="file", desc="reading", mininterval=interval)
        for key, content in bar:
            _store(writer, key, todo[key], content, valence)
        writer.commit()
        rejected = {key: reason for key, reason in writer.rejected.items() if key in files}
        seconds = time.monotonic() - started
        return BuildResult(len(writer), len(writer) - before, rejected, len(todo), seconds, jobs)


def _read_all(
    files: Mapping[str, Any], jobs: int, read: Callable[[Any], FileContent]
) -> Iterator[tuple[str, FileContent]]:
    """Contents in the order of the files; at most a few are held in memory."""
    if jobs == 1:
        for key, path in files.items():
            yield key, read(path)
        return
    waiting: deque[tuple[str, Future[FileContent]]] = deque()
    pool = ProcessPoolExecutor(jobs, initializer=_follow_the_parent)
    try:
        for key, path in files.items():
            waiting.append((key, pool.submit(read, path)))
            if len(waiting) > 2 * jobs:
                key, future = waiting.popleft()
                yield key, future.result()
        while waiting:
            key, future = waiting.popleft()
            yield key, future.result()
    except BrokenProcessPool:
        raise InputError(
            f"a reading process died near {files[key]}, out of memory perhaps; go on with --resume and fewer --jobs"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_the_parent() -> None:
    """Leave interrupts to the parent, and end when it is killed: a forked process holds the store's lock with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _store(writer: StoreWriter, key: str, path: Any, content: FileContent, valence: Mapping[str, float] | None) -> None:
    density, electrons = content.density, content.electrons
    if density is None:
        writer.reject(key, content.problem)
        return
    if electrons is None and valence is not None:
        try:
            electrons = _count(density, valence)
        except InputError as error:
            writer.reject(key, f"{path}: {error}")
            return
    meta: dict[str, Any] = {"file": str(path), **density.provenance}
    writer.add(key, density, electrons=electrons, baseline=content.baseline, meta=meta)


def _count(density: Density, valence: Mapping[str, float]) -> float:
    from pymatgen.core import Element

    symbols = [Element.from_Z(int(z)).symbol for z in density.geometry.numbers]
    missing = sorted(set(symbols) - set(valence))
    if missing:
        raise InputError(f"no valence electrons are given for {', '.join(missing)}")
    return float(sum(valence[symbol] for symbol in symbols))
