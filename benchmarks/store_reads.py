"""Random probes of one material at a time, from the packed store and from other ways to keep densities.

Protocol: ``--entries`` made-up densities of ``--points``³ float32 voxels (2 000 × 108³ are 10 GB) in a store, in a
shuffled store, and in a ``.npy`` file each; ``--compressed`` of them in HDF5 (gzip 4, shuffle) and zarr (zstd), in
chunks of 32³. A read takes ``--probes`` random voxels of one material. All files are made first and their pages dropped
from the page cache (``posix_fadvise``; caches of the disk and of a host remain). Then the reads of all ways follow each
other in random order, each of a material, picked at random, that nothing else touches: cold; and the same voxels once
more: warm. Medians, and the 90th percentile; growth of anonymous memory over the reads. The files are removed.

The package announces the pages that it is going to read (``MADV_WILLNEED``). Of a shuffled store the voxels are one
piece. Rows named *idea* are not what the package does: access without prefetching, and ``MADV_RANDOM``.

    python -m benchmarks.store_reads [--smoke] [--folder DIR] [--out results/store_reads.json]
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from benchmarks.record import anonymous_mb, circumstances, write_result
from charge3net.data.store import Store, StoreWriter
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid

Reader = Callable[[int, ndarray], ndarray]
_PAGE = mmap.PAGESIZE


@dataclass(frozen=True)
class Way:
    """One way to keep and read densities.

    Attributes:
        name: of the row.
        open: gives a reader of (number of the material, flat voxel indices); called after pages were dropped.
        files: what to drop from the page cache.
        materials: numbers of the materials it reads.
    """

    name: str
    open: Callable[[], Reader]
    files: Sequence[Path]
    materials: Sequence[int]


def made_up(number: int, points: int) -> Density:
    """Eight Gaussians in a cubic cell of 0.09 Å per voxel; noise in the last bits, as in a real density."""
    rng = np.random.default_rng(number)
    edge = 0.09 * points
    positions = rng.uniform(0, edge, (8, 3))
    axis = np.arange(points) * edge / points
    distance = (axis - positions[:, :, None] + edge / 2) % edge - edge / 2
    a, b, c = np.exp(-(distance**2) / 0.8).astype(np.float32).transpose(1, 0, 2)
    values = np.matmul((a[:, :, None] * b[:, None, :]).reshape(8, -1).T, c).reshape(points, points, points)
    values += np.float32(1e-3) * rng.random(values.shape, dtype=np.float32)
    cell = np.eye(3) * edge
    geometry = Geometry(np.full(8, 14), positions, cell, np.ones(3, dtype=bool))
    return Density(geometry, Grid(cell, (points, points, points)), values)


def drop(files: Sequence[Path]) -> None:
    """Write what is not yet on disk, then drop the files' pages (none may be mapped)."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def race(ways: Sequence[Way], draws: Callable[[int], ndarray]) -> list[dict[str, Any]]:
    """Reads of all ways in random order, each cold and then warm: a row for each way."""
    for way in ways:
        drop(way.files)
    readers = [way.open() for way in ways]
    times: list[tuple[list[float], list[float]]] = [([], []) for _ in ways]
    growth = [0.0] * len(ways)
    schedule = [(i, number) for i, way in enumerate(ways) for number in way.materials]
    for turn in np.random.default_rng(0).permutation(len(schedule)).tolist():
        i, number = schedule[turn]
        index, before, found = draws(number), anonymous_mb(), []
        for kept in times[i]:
            start = time.perf_counter()
            found.append(readers[i](number, index))
            kept.append((time.perf_counter() - start) * 1e3)
        assert np.array_equal(found[0], found[1])
        growth[i] += anonymous_mb() - before
    return [row_of(way, *times[i], growth[i]) for i, way in enumerate(ways)]


def row_of(way: Way, cold: list[float], warm: list[float], growth: float) -> dict[str, Any]:
    """Medians and percentiles, printed."""
    row: dict[str, Any] = {"way": way.name, "reads": len(cold), "memory_growth_mb": growth}
    for name, times in (("cold", cold), ("warm", warm)):
        row |= {f"{name}_ms": float(np.median(times)), f"{name}_ms_90": float(np.quantile(times, 0.9))}
    print(f"| {way.name} | {row['cold_ms']:.2f} | {row['cold_ms_90']:.2f} | {row['warm_ms']:.3f} | {growth:+.1f} |")
    return row


def shares(entries: int, ways: int, reads: int) -> list[list[int]]:
    """For each way that reads the same files, materials that the others do not read, from anywhere in the files."""
    order = np.random.default_rng(1).permutation(entries).tolist()
    return [order[i::ways][:reads] for i in range(ways)]


def store_ways(folder: Path, entries: int, points: int, reads: int) -> Iterator[Way]:
    """The store, as the package reads it, and ideas; each with materials of its own."""
    with StoreWriter(folder / "store") as writer:
        for number in range(entries):
            writer.add(str(number), made_up(number, points))
    shards = sorted((folder / "store").glob("*.bin"))

    def package() -> Reader:
        store = Store(folder / "store")
        return lambda number, index: store[str(number)].probed(index, 1)[0]

    def advised(advise: Callable[[mmap.mmap, int, ndarray], None]) -> Callable[[], Reader]:
        def open_shards() -> Reader:
            lines = (folder / "store" / "index.jsonl").read_text(encoding="utf-8").splitlines()[1:]
            records = {record["key"]: record for record in map(json.loads, lines)}
            maps = {shard.name: np.memmap(shard, np.uint8, mode="r") for shard in shards}

            def read(number: int, index: ndarray) -> ndarray:
                record = records[str(number)]
                shard, offset = maps[record["shard"]], record["offset"]
                advise(shard._mmap, offset, index)  # type: ignore[attr-defined]
                return shard[offset : offset + points**3 * 4].view(np.float32)[index]

            return read

        return open_shards

    def touched(pages: mmap.mmap, offset: int, index: ndarray) -> None:
        """Nothing is said beforehand."""

    def at_random(pages: mmap.mmap, offset: int, index: ndarray) -> None:
        first = offset // _PAGE * _PAGE
        pages.madvise(mmap.MADV_RANDOM, first, min(points**3 * 4 + _PAGE, len(pages) - first))

    def whole() -> Reader:
        store = Store(folder / "store")
        return lambda number, index: np.array(store[str(number)].stored[0])[index]

    opened = {
        "store": package,
        "idea: MADV_RANDOM": advised(at_random),
        "idea: pages not announced": advised(touched),
        "store, all voxels": whole,
    }
    for (name, way), materials in zip(opened.items(), shares(entries, len(opened), reads), strict=True):
        yield Way(name, way, shards, materials)


def shuffled_ways(folder: Path, entries: int, points: int, reads: int) -> Iterator[Way]:
    """The store with voxels in pseudo-random order, as the package reads it."""
    with StoreWriter(folder / "store", shuffled=True) as writer:
        for number in range(entries):
            writer.add(str(number), made_up(number, points))

    def pieces() -> Reader:
        store = Store(folder / "store")

        def read(number: int, index: ndarray) -> ndarray:
            entry = store[str(number)]
            positions = (int(index[0]) + np.arange(len(index))) % len(entry.grid)
            entry.voxels(positions)  # the points need them
            return entry.probed(positions, 1)[0]

        return read

    def whole() -> Reader:
        store = Store(folder / "store")
        return lambda number, index: store[str(number)].values.reshape(-1)[index]

    shards = sorted((folder / "store").glob("*.bin"))
    some, others = shares(entries, 2, reads)
    yield Way("shuffled store", pieces, shards, some)
    yield Way("shuffled store, all voxels", whole, shards, others)


def npy_ways(folder: Path, entries: int, points: int, reads: int) -> Iterator[Way]:
    """A .npy file for each material, mapped."""
    for number in range(entries):
        np.save(folder / f"{number}.npy", made_up(number, points).values[0])

    def read(number: int, index: ndarray) -> ndarray:
        return np.load(folder / f"{number}.npy", mmap_mode="r").reshape(-1)[index]

    yield Way("npy per material", lambda: read, sorted(folder.glob("*.npy")), *shares(entries, 1, reads))


def hdf5_ways(folder: Path, entries: int, points: int, reads: int) -> Iterator[Way]:
    """One HDF5 file; the chunks that 200 random voxels touch are nearly all, so the whole data set is read."""
    import h5py

    chunk = min(32, points)
    with h5py.File(folder / "all.h5", "w") as file:
        for number in range(entries):
            kwargs = {"chunks": (chunk,) * 3, "compression": "gzip", "compression_opts": 4, "shuffle": True}
            file.create_dataset(str(number), data=made_up(number, points).values[0], **kwargs)

    def opened() -> Reader:
        file = h5py.File(folder / "all.h5", "r")
        return lambda number, index: file[str(number)][()].reshape(-1)[index]

    yield Way("HDF5, gzip 4", opened, [folder / "all.h5"], *shares(entries, 1, reads))


def zarr_ways(folder: Path, entries: int, points: int, reads: int) -> Iterator[Way]:
    """One zarr array for each material."""
    import zarr

    chunk = min(32, points)
    group = zarr.open_group(str(folder / "all.zarr"), mode="w")
    for number in range(entries):
        group.create_array(str(number), data=made_up(number, points).values[0], chunks=(chunk,) * 3)

    def opened() -> Reader:
        store = zarr.open_group(str(folder / "all.zarr"), mode="r")
        return lambda number, index: np.asarray(store[str(number)][:]).reshape(-1)[index]

    files = [path for path in (folder / "all.zarr").rglob("*") if path.is_file()]
    yield Way("zarr, zstd", opened, files, *shares(entries, 1, reads))


def make_all(folder: Path, options: argparse.Namespace) -> tuple[list[Way], dict[str, str]]:
    """All files; the ways to read them, and why a package is left out."""
    ways: list[Way] = []
    skipped: dict[str, str] = {}
    for make, package, count in (
        (store_ways, "", options.entries),
        (shuffled_ways, "", options.entries),
        (npy_ways, "", options.entries),
        (hdf5_ways, "h5py", options.compressed),
        (zarr_ways, "zarr", options.compressed),
    ):
        if package and find_spec(package) is None:
            skipped[package] = "not installed"
            print(f"{package} is not installed: left out")
            continue
        place = folder / make.__name__
        place.mkdir()
        ways += make(place, count, options.points, options.reads)
    return ways, skipped


def main() -> None:
    """Make, measure, remove."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=2000, help="densities in the store and as .npy files")
    parser.add_argument("--compressed", type=int, default=100, help="densities in HDF5 and zarr")
    parser.add_argument("--points", type=int, default=108, help="voxels along each axis")
    parser.add_argument("--probes", type=int, default=200, help="voxels in a read")
    parser.add_argument("--reads", type=int, default=200, help="reads of each way at most")
    parser.add_argument("--folder", type=Path, help="where to put the files (a temporary folder by default)")
    parser.add_argument("--smoke", action="store_true", help="20 densities of 24³ voxels: does it run?")
    parser.add_argument("--out", type=Path, help="file for the numbers as JSON")
    options = parser.parse_args()
    if options.smoke:
        options.entries, options.compressed, options.points = 20, 4, 24
    needed = 3.3 * options.entries * options.points**3 * 4
    free = shutil.disk_usage(options.folder or tempfile.gettempdir()).free
    if free < 1.2 * needed:
        parser.error(
            f"{1.2 * needed / 1e9:.0f} GB of free disk are wanted, {free / 1e9:.0f} GB are there: --folder DIR"
        )

    def draws(number: int) -> ndarray:
        return np.random.default_rng(10**6 + number).integers(0, options.points**3, options.probes)

    with tempfile.TemporaryDirectory(dir=options.folder, prefix="store_reads.") as name:
        ways, skipped = make_all(Path(name), options)
        print("| way | cold ms | cold ms, 90 % | warm ms | memory MB |\n| --- | ---: | ---: | ---: | ---: |")
        rows = race(ways, draws)
    if options.out:
        settings = {k: getattr(options, k) for k in ("entries", "compressed", "points", "probes", "reads")}
        facts = {"settings": settings, "machine": circumstances(["numpy", "h5py", "zarr"])}
        write_result(options.out, facts | {"rows": rows, "skipped": skipped})


if __name__ == "__main__":
    main()
