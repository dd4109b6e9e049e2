"""A store from a folder of density files: many processes read, one writes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from charge3net.data.index import INDEX
from charge3net.data.writer import StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.io.files import reason


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
        shares: name → ∫ρ / ΣZ of the new entries with the smallest and the largest.
    """

    stored: int
    added: int
    rejected: dict[str, str]
    read: int = 0
    seconds: float = 0.0
    jobs: int = 1
    shares: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class FileContent:
    """What a file holds, or why it could not be read."""

    density: Density | None = None
    electrons: float | None = None
    baseline: ndarray | None = None
    problem: str = ""


def read_valence(path: str | Path) -> dict[str, float]:
    """Valence electrons per element, ``{"Si": 4, …}``.

    Raises:
        InputError: if the file is not that.
    """
    from charge3net.io.json_files import read_json

    content = read_json(path, "the table of valence electrons")
    numbers = isinstance(content, dict) and all(
        isinstance(count, int | float) and not isinstance(count, bool) and 0 <= count <= 118
        for count in content.values()
    )
    if not numbers:
        raise InputError(f'{path} must be a JSON file of valence electrons per element, {{"Si": 4, …}}')
    return {str(symbol): float(count) for symbol, count in content.items()}


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
        if baseline is not None and (baseline.dtype.kind != "f" or not np.isfinite(baseline).all()):
            return FileContent(problem=f"{path}: 'density_sad' must be finite floats, found {baseline.dtype}")
        return FileContent(density, electrons, baseline)
    except InputError as error:
        return FileContent(problem=str(error))
    except Exception as error:  # an unexpected error in one file must not stop the others
        return FileContent(problem=f"{type(error).__name__} while reading {path}: {error}")


def build_store(
    files: Mapping[str, Any],
    output: str | Path,
    jobs: int | None = None,
    resume: bool = False,
    valence: Mapping[str, float] | None = None,
    read: Callable[[Any], FileContent] = read_content,
    shuffled: bool | None = None,
    unchecked: bool = False,
) -> BuildResult:
    """Read every file into a store; bad files are listed in it and do not stop the rest.

    A progress bar on standard error shows the rate and the time left. Entries are written in the order of ``files``.

    Args:
        files: name of the entry → file, as from :func:`find_files`, or whatever ``read`` takes.
        output: folder of the store.
        jobs: processes that read; None for all cores, 1 to read in this process.
        resume: go on with a store that exists; entries it has are not read again.
        valence: valence electrons per element, to check ∫ρ against where the file does not say how many there are.
        read: reads one file in a process of its own; what goes wrong becomes the ``problem``, nothing is raised.
        shuffled: see :class:`~charge3net.data.store.StoreWriter`.
        unchecked: also store what does not look like an electron density, by its sign and by ∫ρ beside ΣZ, where the
            number of electrons is not known.

    Raises:
        InputError: if the store exists and ``resume`` is False.
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
        extremes: list[tuple[str, float]] = []
        todo = {key: path for key, path in files.items() if not writer.done(key)}
        interval = 0.2 if sys.stderr.isatty() else 30.0
        bar = tqdm(_read_all(todo, jobs, read), total=len(todo), unit="file", desc="reading", mininterval=interval)
        for key, content in bar:
            share = _store(writer, key, todo[key], content, valence, unchecked)
            if share is not None:
                extremes = sorted([*extremes, (key, share)], key=lambda one: one[1])
                extremes = [extremes[0], extremes[-1]]
        writer.commit()
        rejected = {key: reason for key, reason in writer.rejected.items() if key in files}
        seconds = time.monotonic() - started
        return BuildResult(len(writer), len(writer) - before, rejected, len(todo), seconds, jobs, tuple(extremes))


def _read_all(
    files: Mapping[str, Any], jobs: int, read: Callable[[Any], FileContent]
) -> Iterator[tuple[str, FileContent]]:
    """Contents in the order of the files; at most a few are held in memory."""
    if jobs == 1:
        for key, path in files.items():
            yield key, read(path)
        return
    keys = deque(files)
    while keys:
        for key, content in _read_in_pool(keys, files, jobs, read):
            keys.popleft()
            yield key, content
        # A process died, out of memory perhaps: the file that was being waited for is read once more, alone.
        if keys:
            key = keys.popleft()
            yield key, _read_alone(files[key], read)


def _read_in_pool(
    keys: Sequence[str], files: Mapping[str, Any], jobs: int, read: Callable[[Any], FileContent]
) -> Iterator[tuple[str, FileContent]]:
    """Contents of the files in order, until all are read or a process dies."""
    waiting: deque[tuple[str, Future[FileContent]]] = deque()
    pool = ProcessPoolExecutor(jobs, initializer=_follow_the_parent)
    try:
        for key in list(keys):
            waiting.append((key, pool.submit(read, files[key])))
            if len(waiting) > 2 * jobs:
                yield waiting[0][0], waiting[0][1].result()
                waiting.popleft()
        while waiting:
            yield waiting[0][0], waiting[0][1].result()
            waiting.popleft()
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(cancel_futures=True)


def _read_alone(path: Any, read: Callable[[Any], FileContent]) -> FileContent:
    with ProcessPoolExecutor(1, initializer=_follow_the_parent) as pool:
        try:
            return pool.submit(read, path).result()
        except BrokenProcessPool:
            return FileContent(problem=f"{path}: the process that read it died, out of memory perhaps")


def _follow_the_parent() -> None:
    """Leave interrupts to the parent, and end when it is killed: a forked process holds the store's lock with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _store(
    writer: StoreWriter,
    key: str,
    path: Any,
    content: FileContent,
    valence: Mapping[str, float] | None,
    unchecked: bool,
) -> float | None:
    """Add what was read, or reject it with the reason; returns ∫ρ / ΣZ of what was added."""
    from charge3net.io.plausible import all_electrons, what_looks_wrong

    density, electrons = content.density, content.electrons
    if density is None:
        writer.reject(key, content.problem)
        return None
    try:
        if electrons is None and valence is not None:
            electrons = _count(density, valence)
        if electrons is None and not unchecked and (wrong := what_looks_wrong(density)):
            writer.reject(key, f"{path}: {wrong} (--unchecked stores it all the same)")
            return None
        meta: dict[str, Any] = {"file": str(path), **density.provenance}
        added = writer.add(key, density, electrons=electrons, baseline=content.baseline, meta=meta)
    except OSError:  # of the store: the disk is full
        raise
    except InputError as error:
        writer.reject(key, f"{path}: {error}")
        return None
    except Exception as error:  # an unexpected error in one density must not stop the others
        writer.reject(key, f"{path}: cannot be stored ({reason(error)})")
        return None
    return density.electrons() / max(all_electrons(density.geometry), 1) if added else None


def _count(density: Density, valence: Mapping[str, float]) -> float:
    from pymatgen.core import Element

    symbols = [Element.from_Z(int(z)).symbol for z in density.geometry.numbers]
    missing = sorted(set(symbols) - set(valence))
    if missing:
        raise InputError(f"no valence electrons are given for {', '.join(missing)}")
    return float(sum(valence[symbol] for symbol in symbols))
