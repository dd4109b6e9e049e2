"""One store from the stores of several jobs: values are copied byte by byte, index lines get their new place."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from charge3net.data.index import (
    HEADER,
    INDEX,
    REJECTED,
    SHUFFLED_HEADER,
    dump,
    find_lines,
    is_shuffled,
    last_byte,
    line_checksum,
    read_rejected,
    shard_name,
    sync,
    with_checksum,
)
from charge3net.errors import InputError
from charge3net.io.files import guarded, write_whole
from charge3net.io.json_files import read_json

#: In the store of a finished part: which one it is, and of which files.
PART = "part.json"


@dataclass(frozen=True)
class PartRecord:
    """What a finished part says of itself.

    Attributes:
        part, of: number of the part, from 1, and how many there are.
        files: SHA-256 (hex) of the names of all entries, of all parts.
    """

    part: int
    of: int
    files: str


@dataclass(frozen=True)
class MergeResult:
    """What was merged.

    Attributes:
        entries: in the new store.
        rejected: name → reason, of what no part has stored.
        size: of the values, bytes.
    """

    entries: int
    rejected: dict[str, str]
    size: int


def hash_of_names(names: Iterable[str]) -> str:
    """SHA-256 (hex) of the names of entries, in their order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def write_part(store: Path, record: PartRecord) -> None:
    """Mark the store of a part as finished."""
    write_whole(store / PART, json.dumps(asdict(record)) + "\n")


def merge_stores(stores: Sequence[Path], output: Path) -> MergeResult:
    """Write a store with the entries of several, whole or not at all; those stay as they are.

    The order is that of the parts, so the result is what one ``data build`` would have made, but for the limits of its
    shards.

    Args:
        stores: stores of the parts of one ``data build --part``, all of them, in any order; or any stores.
        output: folder that does not exist.

    Raises:
        InputError: if a part is missing or not finished, two stores hold an entry of one name or are in different
            orders of voxels, a store is being written to, or the output exists.
    """
    if output.exists():
        raise InputError(f"{output} exists; name another folder")
    ordered = _in_order([Path(store) for store in stores])
    orders = {is_shuffled(store) for store in ordered}
    if len(orders) > 1:
        raise InputError("stores with shuffled and with unshuffled voxels cannot be merged; build them alike")
    _check_names(ordered)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as beside:
        new = Path(beside) / "store"
        new.mkdir()
        result = _merge(ordered, new, SHUFFLED_HEADER if orders.pop() else HEADER)
        os.rename(new, output)
    return result


def _in_order(stores: list[Path]) -> list[Path]:
    """Parts by number, if they are parts.

    Raises:
        InputError: if some are parts and not all parts of one build are there once.
    """
    if len({store.resolve() for store in stores}) < len(stores):
        raise InputError("a store is given twice; give each once")
    records = {store: _record_of(store) for store in stores}
    known = {store: record for store, record in records.items() if record is not None}
    if not known:
        return stores
    first = next(iter(known.values()))
    for store, record in records.items():
        if record is None:
            raise InputError(f"{store} is not a finished part: no {PART} in it; run its `data build --part` to the end")
        if (record.of, record.files) != (first.of, first.files):
            raise InputError(f"{store} is a part of another build: of {record.of} parts, or of other files")
    numbers = {record.part: store for store, record in known.items()}
    missing = [str(number) for number in range(1, first.of + 1) if number not in numbers]
    if missing:
        raise InputError(f"of {first.of} parts these are not given: {', '.join(missing)}")
    return [numbers[number] for number in sorted(numbers)]


def _record_of(store: Path) -> PartRecord | None:
    find_lines(store)  # says so if it is no store
    if not (store / PART).is_file():
        return None
    with guarded(str(store / PART)):
        return PartRecord(**read_json(store / PART, "the record of a part"))


def _check_names(stores: list[Path]) -> None:
    holder: dict[str, Path] = {}
    for store in stores:
        for key in find_lines(store):
            if key in holder:
                raise InputError(f"{holder[key]} and {store} both have an entry {key!r}; rename or leave out one")
            holder[key] = store


def _merge(stores: list[Path], new: Path, header: dict[str, Any]) -> MergeResult:
    shards, size, entries = 0, 0, 0
    rejected: dict[str, str] = {}
    stored: set[str] = set()
    with open(new / INDEX, "wb") as index:
        line = dump(header).encode() + b"\n"
        index.write(line)
        previous = line_checksum(line)
        for store in stores:
            with open(store / INDEX, "rb") as old:
                _refuse_writers(store, old)
                numbers: dict[str, int] = {}
                ends: dict[str, int] = {}
                for start, stop in find_lines(store).values():
                    record = _record(store, old, start, stop)
                    name, end = last_byte(record)
                    ends[name] = max(ends.get(name, 0), end)
                    record["shard"] = shard_name(numbers.setdefault(name, shards + len(numbers)))
                    line, previous = with_checksum(record, previous)
                    index.write(line)
                    stored.add(record["key"])
                    entries += 1
                for name, number in numbers.items():
                    _copy(store / name, new / shard_name(number), ends[name])
            shards, size = shards + len(numbers), size + sum(ends.values())
            rejected |= read_rejected(store)
        sync(index)
    rejected = {key: reason for key, reason in rejected.items() if key not in stored}
    if rejected:
        lines = [dump({"key": key, "reason": reason}) + "\n" for key, reason in rejected.items()]
        write_whole(new / REJECTED, "".join(lines))
    return MergeResult(entries, rejected, size)


def _record(store: Path, index: IO[bytes], start: int, stop: int) -> dict[str, Any]:
    index.seek(start)
    with guarded(f"{store / INDEX} at byte {start}"):
        record: dict[str, Any] = json.loads(index.read(stop - start))
        record.pop("line_sha256", None)
        return record


def _refuse_writers(store: Path, index: IO[bytes]) -> None:
    """Raise InputError if a process is writing to the store; while the file is open none can begin to."""
    try:
        fcntl.flock(index, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"another process is writing to {store}; wait for it") from None
    except OSError:  # a file system without locks
        pass


def _copy(source: Path, target: Path, size: int) -> None:
    """The first bytes of a shard, on the disk when this returns.

    Raises:
        InputError: if the shard is shorter.
    """
    if not source.is_file() or source.stat().st_size < size:
        raise InputError(f"{source} is missing or too short; copy the store again as a whole")
    shutil.copyfile(source, target)
    with open(target, "r+b") as file:
        file.truncate(size)
        sync(file)
