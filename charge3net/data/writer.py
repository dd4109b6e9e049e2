"""Writing a store: entries are checked, appended, and made safe against a crash in groups."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from charge3net.data.index import (
    ALIGNMENT,
    ELECTRON_TOLERANCE,
    REJECTED,
    as_float32,
    check_entry,
    describe,
    dump,
    find_lines,
    is_shuffled,
    last_line,
    line_checksum,
    open_index,
    read_rejected,
    repair,
    shard_name,
    sync,
    with_checksum,
)
from charge3net.data.seal import seal, unseal
from charge3net.data.shuffle import shuffle
from charge3net.density import Density
from charge3net.errors import InputError

#: Entries are committed together: at least this often, or after this many bytes.
COMMIT_SECONDS = 1.0
COMMIT_BYTES = 1 << 28


class StoreWriter:
    """Adds entries to a store, new or old; one writer at a time.

    Every entry is checked and its values are appended. :meth:`commit` makes sure that they are on disk and only then
    writes the index lines; it is called about every second, and by :meth:`close`. After a crash the next writer cuts
    off what has no index line, so a store never holds half an entry. Entries that fail a check are listed in
    ``rejected.jsonl`` and do not stop the rest::

        with StoreWriter("store") as writer:
            for key, density in densities:
                if not writer.done(key):
                    writer.add(key, density, electrons=8.0)

    Args:
        path: folder of the store; made if it does not exist.
        shuffled: store voxels in a fixed pseudo-random order, so that random probes are one range of the file: for sets
            that do not fit into memory. Whole densities take longer to read. None: as the store is, in C order if new.
        electron_tolerance: allowed |∫ρ − expected| / expected.
        shard_bytes: a shard is closed when the next entry would make it longer than this.

    Raises:
        InputError: if the folder holds something else or a store of the other order, or another process writes to it.
    """

    def __init__(
        self,
        path: str | Path,
        electron_tolerance: float = ELECTRON_TOLERANCE,
        shard_bytes: int = 2**31,
        shuffled: bool | None = None,
    ) -> None:
        self.path = Path(path)
        self.electron_tolerance = electron_tolerance
        self.shard_bytes = shard_bytes
        self._index = open_index(self.path, bool(shuffled))
        try:
            self._lines = find_lines(self.path)
            self.shuffled = is_shuffled(self.path)
            if shuffled is not None and shuffled != self.shuffled:
                raise InputError(
                    f"{self.path} is {'' if self.shuffled else 'not '}a shuffled store; name another folder"
                )
            self._shard, self._end = repair(self.path, self._index, self._lines)
            self._checksum = line_checksum(last_line(self._index, self._lines))
            self._pending: dict[str, bytes] = {}  # index lines of entries whose values may not be on disk
            self._unsafe, self._committed = 0, time.monotonic()
            self._rejected = {k: r for k, r in read_rejected(self.path).items() if k not in self._lines}
        except BaseException:
            self._index.close()
            raise

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._lines) + len(self._pending)

    @property
    def rejected(self) -> dict[str, str]:
        """Refused and not stored since: name → reason."""
        return dict(self._rejected)

    def done(self, key: str) -> bool:
        """Whether this entry was added, by this writer or an earlier one."""
        return key in self._lines or key in self._pending

    def add(
        self,
        key: str,
        density: Density,
        *,
        electrons: float | None = None,
        baseline: Float[ndarray, "nx ny nz"] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> bool:
        """Check one density and store it.

        Args:
            key: name of the entry, new to the store.
            density: values in e/Å³; they are rounded to float32.
            electrons: number of electrons ∫ρ must give; not checked when None.
            baseline: [nx, ny, nz] superposition of atomic densities on the same grid in e/Å³.
            meta: anything JSON can hold.

        Returns:
            True when stored; False when refused, with the reason in ``rejected``.

        Raises:
            InputError: if the name is empty or taken.
        """
        if not key or self.done(key):
            raise InputError(f"{self.path}: entry names are unique and not empty, found {key!r} again or empty")
        try:
            values = as_float32(density.values, "the density")
            atoms = None if baseline is None else as_float32(baseline, "the superposition of atoms")
            record = describe(key, density, values, atoms, electrons, dict(meta or {}))
            check_entry(record, density, self.electron_tolerance)
        except InputError as error:
            self.reject(key, str(error))
            return False
        self._write(key, record, values, atoms)
        return True

    def reject(self, key: str, reason: str) -> None:
        """List an entry as refused, e.g. because its file could not be read."""
        if self._rejected.get(key) != reason:
            self._rejected[key] = reason
            with open(self.path / REJECTED, "a", encoding="utf-8") as file:
                file.write(dump({"key": key, "reason": reason}) + "\n")

    def commit(self) -> None:
        """Make what was added so far part of the store: values to disk, then index lines."""
        self._committed = time.monotonic()
        if not self._pending or self._index.closed:
            return
        with open(self.path / shard_name(self._shard), "r+b") as file:
            sync(file)
        unseal(self.path)
        at = self._index.seek(0, os.SEEK_END)
        try:
            self._index.write(b"".join(self._pending.values()))
            sync(self._index)
        except BaseException:  # a line may be half written: the next writer repairs it
            with contextlib.suppress(OSError):
                self._index.close()
            raise
        for key, line in self._pending.items():
            self._lines[key] = (at, at + len(line))
            at += len(line)
        self._pending, self._unsafe = {}, 0

    def close(self) -> None:
        """Commit, write down where the index ends, and release the store for other writers."""
        try:
            self.commit()
            if not self._index.closed:
                seal(self.path, len(self._lines), self._checksum)
        finally:
            self._index.close()

    def _write(self, key: str, record: dict[str, Any], values: ndarray, baseline: ndarray | None) -> None:
        size = values.nbytes + (0 if baseline is None else baseline.nbytes)
        start = -(-self._end // ALIGNMENT) * ALIGNMENT
        if self._end and start + size > self.shard_bytes:
            self.commit()
            self._shard, start = self._shard + 1, 0
        record["shard"], record["offset"] = shard_name(self._shard), start
        record["baseline_offset"] = None if baseline is None else start + values.nbytes
        blocks = [values] if baseline is None else [values, baseline[None]]
        with open(self.path / record["shard"], "r+b" if start else "wb") as file:
            file.seek(start)
            for block in blocks:
                file.write((shuffle(block) if self.shuffled else block).data)
        line, self._checksum = with_checksum(record, self._checksum)
        self._end, self._pending[key] = start + size, line
        self._unsafe += size
        self._rejected.pop(key, None)
        if self._unsafe >= COMMIT_BYTES or time.monotonic() - self._committed >= COMMIT_SECONDS:
            self.commit()
