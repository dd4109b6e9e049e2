"""The packed store: many densities in a few flat files, read by memory map.

A store is a folder. ``index.jsonl`` holds a header line and then one JSON line per entry; ``densities-000.bin``,
``densities-001.bin``, … hold the values, little-endian float32 in C order, in e/Å³. ``rejected.jsonl`` lists what the
writer refused, and why. The format is described field by field in docs/data.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.data.index import (
    FLOAT,
    INDEX,
    check_lines,
    checksum,
    content_line,
    find_lines,
    is_shuffled,
    last_byte,
    read_rejected,
)
from charge3net.data.seal import check_seal
from charge3net.data.shard import Shard
from charge3net.data.shuffle import shuffled_voxels, unshuffle
from charge3net.data.writer import StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.files import guarded

__all__ = ["Store", "StoreEntry", "StoreWriter"]


@dataclass(frozen=True, eq=False)
class StoreEntry:
    """One density of a store.

    Attributes:
        key: the material's name, unique in the store.
        geometry: the atoms and the cell.
        grid: where the values live.
        stored: [channels, voxels] in e/Å³, float32, read-only view of the file; channel 1, if there, is the
            magnetisation (up − down). In C order, or shuffled (:mod:`charge3net.data.shuffle`).
        stored_baseline: [1, voxels] superposition of atomic densities on the same grid in e/Å³, or None.
        shuffled: which of the two.
        formula: reduced formula.
        electrons: ∫ρ as found when the entry was written.
        electrons_expected: number of (valence) electrons it was checked against, or None.
        statistics: ``minimum`` and ``maximum`` of ρ in e/Å³; with a baseline also ``baseline_error``, its ε_mae
            (Σ|ρ − baseline| / Σ|ρ|, not in %).
        meta: free-form JSON: where the density came from.
        shard, offset: the file that :attr:`stored` is a view of, and its first byte there.
    """

    key: str
    geometry: Geometry
    grid: Grid
    stored: Float[ndarray, "channels voxels"]
    stored_baseline: Float[ndarray, "1 voxels"] | None
    shuffled: bool
    formula: str
    electrons: float
    shard: Shard
    offset: int
    electrons_expected: float | None = None
    statistics: dict[str, float] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """1 (total density) or 2 (total, magnetisation)."""
        return int(self.stored.shape[0])

    @property
    def mean_density(self) -> float:
        """Mean of the total density over the grid, e/Å³."""
        return self.electrons / (self.grid.voxel_volume * len(self.grid))

    @property
    def values(self) -> Float[ndarray, "channels nx ny nz"]:
        """[channels, nx, ny, nz] in e/Å³: a view of the file, or a reordered copy if the store is shuffled."""
        return self._natural(self.stored).reshape(-1, *self.grid.shape)

    @property
    def baseline(self) -> Float[ndarray, "nx ny nz"] | None:
        """[nx, ny, nz] superposition of atomic densities on the same grid in e/Å³, or None; as :attr:`values`."""
        stored = self.stored_baseline
        return None if stored is None else self._natural(stored).reshape(self.grid.shape)

    def voxels(self, positions: Int[ndarray, "positions"]) -> Int[ndarray, "positions"]:
        """Flat index (C order) of the voxels at these positions of :attr:`stored`."""
        return shuffled_voxels(positions, len(self.grid)) if self.shuffled else positions

    def probed(self, positions: Int[ndarray, "positions"], channels: int) -> Float[ndarray, "channels positions"]:
        """Values of the first channels at these positions of :attr:`stored`, in e/Å³: a copy, quick on a cold disk."""
        starts = self.offset + FLOAT.itemsize * len(self.grid) * np.arange(channels)
        self.shard.announce(starts[:, None] + FLOAT.itemsize * positions)
        return self.stored[:channels, positions]

    def _natural(self, stored: ndarray) -> ndarray:
        return unshuffle(stored) if self.shuffled else stored

    def density(self) -> Density:
        """The entry as a Density (the values stay a view of the file where it is in C order)."""
        return Density(self.geometry, self.grid, self.values, provenance={"key": self.key, **self.meta})


class Store:
    """A packed store, opened for reading.

    Opening reads the names in the index and nothing else; ``store[key]`` parses one line and returns views of the
    memory-mapped shards. An open store can be pickled and survives a fork, so workers of a DataLoader can share it.

    Attributes:
        path: the folder.
        shuffled: whether voxels are in pseudo-random order, see :class:`StoreWriter`.

    Raises:
        InputError: if the folder is not a store, or one of a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lines = find_lines(self.path)
        self.shuffled = is_shuffled(self.path)
        self._open_files()

    def _open_files(self) -> None:
        self._shards: dict[str, Shard] = {}
        with open(self.path / INDEX, "rb") as file:
            self._index = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "shuffled": self.shuffled, "_lines": self._lines}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open_files()

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __contains__(self, key: object) -> bool:
        return key in self._lines

    def keys(self) -> list[str]:
        """Names of the entries, in the order in which they were written."""
        return list(self._lines)

    def __getitem__(self, key: str) -> StoreEntry:
        """One entry.

        Raises:
            InputError: for a name that is not in the store, or a shard that is missing or too short.
        """
        self._lines_of(key)
        with guarded(f"{self.path / INDEX}, entry {key!r}"):
            return self._entry(key)

    def _entry(self, key: str) -> StoreEntry:
        record = self._record(key)
        mesh = record["grid"]
        grid = Grid(np.array(mesh["cell"]), tuple(mesh["shape"]), np.array(mesh["origin"]))
        place, shape = (key, record["shard"], record["offset"]), (record["channels"], len(grid))
        baseline_at = record["baseline_offset"]
        return StoreEntry(
            key=key,
            geometry=Geometry(
                np.array(record["numbers"]),
                np.array(record["positions"]),
                np.array(record["cell"]),
                np.array(record["pbc"]),
            ),
            grid=grid,
            stored=self._view(*place, shape),
            stored_baseline=None
            if baseline_at is None
            else self._view(key, record["shard"], baseline_at, (1, len(grid))),
            shuffled=self.shuffled,
            formula=record["formula"],
            electrons=record["electrons"],
            shard=self._shards[record["shard"]],
            offset=record["offset"],
            electrons_expected=record["electrons_expected"],
            statistics=record["statistics"],
            meta=record["meta"],
        )

    def channels(self, key: str) -> int:
        """Number of channels of an entry, without touching its values."""
        self._lines_of(key)
        with guarded(f"{self.path / INDEX}, entry {key!r}"):
            return int(self._record(key)["channels"])

    def rejected(self) -> dict[str, str]:
        """What the writer refused and has not stored since: name → reason."""
        return {key: reason for key, reason in read_rejected(self.path).items() if key not in self}

    def hash(self) -> str:
        """SHA-256 (hex) of the contents: names, structures, grids and checksums of the values.

        It depends neither on the order of the entries nor on the shards they lie in.
        """
        digest = hashlib.sha256()
        for key in sorted(self._lines):
            with guarded(f"{self.path / INDEX}, entry {key!r}"):
                digest.update(content_line(self._record(key)))
        return digest.hexdigest()

    def check(self, verify_checksums: bool = True) -> dict[str, str]:
        """Read every entry again: name → what is wrong with it; empty if all is well.

        Every byte of index and shards is covered: the lines of the index by their checksums (which stores of 0.1.0 and
        older lack), their number by what the last writer left, the values by the checksums in the index, and the gaps
        between entries are zero.
        ``verify_checksums=False`` only looks whether each entry can be found in its shard.
        """
        problems = check_seal(self.path) | (check_lines(self.path) if verify_checksums else {})
        spans: dict[str, list[tuple[int, int]]] = {}
        for key in self._lines:
            try:
                entry = self[key]
            except InputError as error:
                problems[key] = str(error)
                continue
            record = self._record(key)
            shard, end = last_byte(record)
            spans.setdefault(shard, []).append((entry.offset, end))
            if verify_checksums and checksum(entry.values, entry.baseline) != record.get("sha256"):
                problems[key] = "the values differ from the checksum taken when they were written"
        if verify_checksums and not problems:
            problems |= self._check_gaps(spans)
        return problems

    def _check_gaps(self, spans: dict[str, list[tuple[int, int]]]) -> dict[str, str]:
        """Bytes of the shards that belong to no entry must be zero, and none may follow the last entry."""
        problems: dict[str, str] = {}
        for path in sorted(self.path.glob("densities-*.bin")):
            end, size = 0, path.stat().st_size
            for start, stop in sorted(spans.get(path.name, [])):
                if start < end:
                    problems[path.name] = f"two entries share the bytes from {start} on"
                elif self._shards[path.name].bytes[end:start].any():
                    problems[path.name] = f"bytes between two entries, {end} to {start}, were changed"
                end = max(end, stop)
            if size > end:
                problems[path.name] = f"{size - end} bytes follow the last entry; `data build --resume` removes them"
        return problems

    def _lines_of(self, key: str) -> tuple[int, int]:
        """Where the line of an entry starts and stops."""
        if key not in self._lines:
            raise InputError(f"{self.path} has no entry {key!r}; `charge3net data info {self.path} --keys` lists them")
        return self._lines[key]

    def _record(self, key: str) -> dict[str, Any]:
        start, stop = self._lines_of(key)
        record: dict[str, Any] = json.loads(self._index[start:stop])
        if record["key"] != key:
            raise ValueError(f"the line is that of {record['key']!r}")
        return record

    def _view(self, key: str, name: str, offset: int, shape: tuple[int, ...]) -> ndarray:
        if not re.fullmatch(r"densities-[0-9]{3,}\.bin", name):
            raise InputError(f"{self.path / INDEX}: entry {key!r} has no place in {name!r}; copy the store again")
        if name not in self._shards:
            try:
                self._shards[name] = Shard(self.path / name)
            except InputError as error:
                raise InputError(f"{error}, it holds entry {key!r}; copy the store again as a whole") from None
        shard = self._shards[name].bytes
        size = math.prod(shape) * FLOAT.itemsize
        if offset < 0 or size <= 0 or not isinstance(offset, int):
            raise InputError(f"{self.path / INDEX}: entry {key!r} has no place in {name}; copy the store again")
        if offset + size > len(shard):
            raise InputError(
                f"{self.path / name} ends at byte {len(shard)} but entry {key!r} needs {offset + size}; "
                "copy the store again as a whole"
            )
        return shard[offset : offset + size].view(FLOAT).reshape(shape)
