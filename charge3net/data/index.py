"""The files of a packed store: the index and its lines, the checks an entry must pass, repair after a crash.

Used by :mod:`charge3net.data.store`; the format is described in docs/data.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError

INDEX = "index.jsonl"
REJECTED = "rejected.jsonl"
HEADER = {"format": "charge3net-store", "version": 1}
#: Of a store with voxels in the order of :mod:`charge3net.data.shuffle`.
SHUFFLED_HEADER = {"format": "charge3net-store", "version": 2, "order": "shuffled"}
FLOAT = np.dtype("<f4")

#: Entries start at multiples of this many bytes in a shard.
ALIGNMENT = 64
#: Allowed difference between ∫ρ and the expected number of electrons, relative to the latter.
ELECTRON_TOLERANCE = 1e-3
#: Allowed difference in Å between the vectors of the grid and of the periodic cell (cube files are rounded).
CELL_TOLERANCE = 1e-3

#: What the hash of a store depends on; not where an entry lies, nor free-form text.
_HASHED = ("key", "numbers", "positions", "cell", "pbc", "grid", "channels", "sha256")

_FIELDS = {
    *("key", "formula", "numbers", "positions", "cell", "pbc", "grid", "channels", "electrons", "electrons_expected"),
    *("statistics", "sha256", "meta", "shard", "offset", "baseline_offset"),
}

_KEY = b'{"key":"'
#: The last field of a line: SHA-256 (hex) of the previous line's checksum and of the text before this field.
_CHECKSUM = re.compile(rb'(.*),"line_sha256":"([0-9a-f]{64})"}\n', re.DOTALL)
_scan_string = json.decoder.scanstring  # type: ignore[attr-defined]

Lines = dict[str, tuple[int, int]]


def dump(record: Mapping[str, Any]) -> str:
    """One JSON line without the newline; floats keep every digit, NaN is an error."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def sync(file: IO[bytes]) -> None:
    """Make sure that what was written has reached the disk."""
    file.flush()
    os.fsync(file.fileno())


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"densities-{number:03d}.bin"


def with_checksum(record: Mapping[str, Any], previous: str) -> tuple[bytes, str]:
    """An index line with its checksum, which also covers the lines before it, and that checksum.

    Args:
        record: the entry.
        previous: checksum of the line before, see :func:`line_checksum`.
    """
    body = dump(record).encode()[:-1]
    found = hashlib.sha256(previous.encode() + body).hexdigest()
    return body + f',"line_sha256":"{found}"}}\n'.encode(), found


def line_checksum(line: bytes) -> str:
    """The checksum in a line; of the header and of lines of older versions, that of the line itself."""
    match = _CHECKSUM.fullmatch(line)
    return match[2].decode() if match else hashlib.sha256(line).hexdigest()


def check_lines(folder: Path) -> dict[str, str]:
    """Compare every line of the index with its checksum: name of the entry → what is wrong."""
    problems: dict[str, str] = {}
    with open(folder / INDEX, "rb") as file:
        previous = line_checksum(file.readline())
        for number, line in enumerate(file, start=2):
            if not line.endswith(b"\n"):
                problems[f"{INDEX} line {number}"] = "ends within an entry; `charge3net data build --resume` repairs it"
                break
            match = _CHECKSUM.fullmatch(line)
            if match is None and not _is_plain(line):
                problems[f"{INDEX} line {number}"] = "this line was changed: its checksum cannot be read"
            if match is not None and hashlib.sha256(previous.encode() + match[1]).hexdigest() != match[2].decode():
                problems[f"{INDEX} line {number}"] = "this line, or the one before it, was changed, moved or removed"
            previous = line_checksum(line)
    return problems


def _is_plain(line: bytes) -> bool:
    """Whether a line is an entry as older versions wrote it, without a checksum."""
    try:
        return set(json.loads(line)) == _FIELDS
    except (ValueError, TypeError, RecursionError):
        return False


def find_lines(folder: Path) -> Lines:
    """Where in the index each entry's line starts and stops (bytes), in order; a line without an end is left out.

    Only the name at the start of a line is decoded, so a hundred thousand entries take a fraction of a second.

    Raises:
        InputError: if there is no index, or it is not one of ours, or one of a newer version.
    """
    lines: Lines = {}
    if not (folder / INDEX).is_file():
        raise InputError(f"{folder} is not a store: no {INDEX} in it; `charge3net data build` makes one")
    with open(folder / INDEX, "rb") as file:
        _check_header(folder, file.readline())
        start = file.tell()
        for number, line in enumerate(file, start=2):
            stop = start + len(line)
            if not line.endswith(b"\n"):
                break
            key = _key_of(line, folder, number)
            if key in lines:
                raise InputError(f"{folder / INDEX} line {number}: {key!r} occurs twice; copy the store again")
            lines[key] = (start, stop)
            start = stop
    return lines


def is_shuffled(folder: Path) -> bool:
    """Whether the voxels of a store are in pseudo-random order.

    Raises:
        InputError: as :func:`find_lines`.
    """
    with open(folder / INDEX, "rb") as file:
        return _check_header(folder, file.readline()) == SHUFFLED_HEADER


def _check_header(folder: Path, line: bytes) -> dict[str, Any]:
    header = None
    with contextlib.suppress(ValueError, RecursionError):
        header = json.loads(line)
    if not isinstance(header, dict) or header.get("format") != HEADER["format"]:
        raise InputError(f"{folder / INDEX} is not the index of a charge3net store: its first line is not a header")
    if header not in (HEADER, SHUFFLED_HEADER):
        raise InputError(
            f"{folder} is a store of version {header.get('version')}, this charge3net reads versions "
            "1 and 2; update charge3net or build the store again"
        )
    return header


def _key_of(line: bytes, folder: Path, number: int) -> str:
    try:
        if line.startswith(_KEY):
            return _scan_string(line.decode(), len(_KEY), True)[0]
        return str(json.loads(line)["key"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{folder / INDEX} line {number} is damaged; copy the store again or rebuild it") from None


def read_rejected(folder: Path) -> dict[str, str]:
    """Name → reason of what the writer refused; the last reason counts."""
    try:
        text = (folder / REJECTED).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    try:
        records = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return {str(record["key"]): str(record["reason"]) for record in records}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InputError(f"{folder / REJECTED} is damaged; remove it, it only lists files that were refused") from None


def as_float32(values: ndarray, what: str) -> ndarray:
    """The values as little-endian float32 in C order.

    Raises:
        InputError: if one is not a finite float32.
    """
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(f"{what} must be real numbers, found {values.dtype}")
    with np.errstate(over="ignore"):
        packed = np.ascontiguousarray(values, dtype=FLOAT)
    bad = packed.size - int(np.isfinite(packed).sum())
    if bad:
        raise InputError(f"{what} has {bad} of {packed.size} values that are not finite numbers")
    return packed


def checksum(values: ndarray, baseline: ndarray | None) -> str:
    """SHA-256 (hex) of the bytes of the values and then of the baseline."""
    digest = hashlib.sha256(np.ascontiguousarray(values).data)
    if baseline is not None:
        digest.update(np.ascontiguousarray(baseline).data)
    return digest.hexdigest()


def content_line(record: Mapping[str, Any]) -> bytes:
    """What of an entry the hash of its store depends on."""
    return dump({name: record[name] for name in _HASHED}).encode() + b"\n"


def describe(
    key: str,
    density: Density,
    values: Float[ndarray, "channels nx ny nz"],
    baseline: Float[ndarray, "nx ny nz"] | None,
    expected: float | None,
    meta: dict[str, Any],
) -> dict[str, Any]:
    """The index record of an entry, apart from where its values lie.

    Raises:
        InputError: if the baseline is on another grid, or the free-form part is not JSON.
    """
    geometry, grid, total = density.geometry, density.grid, values[0]
    statistics = {"minimum": float(total.min()), "maximum": float(total.max())}
    if baseline is not None:
        if baseline.shape != grid.shape:
            raise InputError(f"the superposition of atoms has shape {baseline.shape}, the density {grid.shape}")
        norm = float(np.abs(total).sum(dtype=np.float64))
        statistics["baseline_error"] = float(np.abs(total - baseline).sum(dtype=np.float64)) / norm if norm else 0.0
    try:
        dump(meta)
    except (TypeError, ValueError) as error:
        raise InputError(f"the free-form part (meta) is not JSON: {error}") from None
    return {
        "key": key,
        "formula": geometry.formula,
        "numbers": geometry.numbers.tolist(),
        "positions": geometry.positions.tolist(),
        "cell": geometry.cell.tolist(),
        "pbc": geometry.pbc.tolist(),
        "grid": {"cell": grid.cell.tolist(), "shape": list(grid.shape), "origin": grid.origin.tolist()},
        "channels": int(values.shape[0]),
        "electrons": float(total.sum(dtype=np.float64) * grid.voxel_volume),
        "electrons_expected": None if expected is None else float(expected),
        "statistics": statistics,
        "sha256": checksum(values, baseline),
        "meta": meta,
    }


def check_entry(record: Mapping[str, Any], density: Density, electron_tolerance: float) -> None:
    """Raise InputError unless the grid fits the cell and the electrons fit the expected number, if there is one."""
    geometry, grid = density.geometry, density.grid
    difference = np.abs(grid.cell - geometry.cell)[geometry.pbc].max(initial=0.0)
    if difference > CELL_TOLERANCE:
        raise InputError(f"the grid does not span the cell: a lattice vector differs by {difference:.3g} Å")
    found, expected = record["electrons"], record["electrons_expected"]
    if expected is None:
        return
    if not (np.isfinite(expected) and expected > 0):
        raise InputError(f"the expected number of electrons must be positive, found {expected}")
    if abs(found - expected) > electron_tolerance * expected:
        raise InputError(
            f"the density holds {found:.4f} electrons where {expected:g} are expected "
            f"(allowed difference {electron_tolerance * expected:.2g})"
        )


def open_index(folder: Path, shuffled: bool) -> IO[bytes]:
    """The index, locked for one writer; folder and index are made if there is nothing yet (of a shuffled store or not).

    Raises:
        InputError: if the folder cannot be made or holds something else, or another process holds the lock.
    """
    import fcntl

    index = folder / INDEX
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder for the store")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made a folder ({error.strerror or error}); name another") from error
    if not index.exists():
        others = [path.name for path in folder.iterdir() if path.suffix != ".tmp"]
        if others:
            raise InputError(f"{folder} is not a store and not empty (it holds {others[0]}); name another folder")
        temporary = folder / f"{INDEX}.{os.getpid()}.tmp"
        temporary.write_text(dump(SHUFFLED_HEADER if shuffled else HEADER) + "\n", encoding="utf-8")
        os.replace(temporary, index)
    file = open(index, "r+b")  # noqa: SIM115 - closed by the writer
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(f"another process is writing to {folder}; wait for it or name another folder") from None
    except OSError:  # a file system without locks
        pass
    return file


def last_byte(record: Mapping[str, Any]) -> tuple[str, int]:
    """The shard of an entry, and the byte behind its values and baseline there."""
    size = math.prod(int(n) for n in record["grid"]["shape"]) * FLOAT.itemsize
    blocks = record["channels"] + (record["baseline_offset"] is not None)
    return str(record["shard"]), int(record["offset"] + blocks * size)


def last_line(index: IO[bytes], lines: Lines) -> bytes:
    """The last line of an index that was repaired: that of an entry, or the header."""
    index.seek(max((start for start, _ in lines.values()), default=0))
    return index.readline()


def repair(folder: Path, index: IO[bytes], lines: Lines) -> tuple[int, int]:
    """Cut off what a crash left behind; returns (number of the last shard, its length in bytes).

    Entries without an index line vanish: the end of a line, the end of a shard, a whole shard.

    Raises:
        InputError: if a shard is shorter than the index requires, which no crash of the writer can cause.
    """
    index.truncate(max((stop for _, stop in lines.values()), default=len(index.readline())))
    ends: dict[str, int] = {}
    for start, stop in lines.values():
        index.seek(start)
        try:
            name, end = last_byte(json.loads(index.read(stop - start)))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{folder / INDEX} is damaged at byte {start}; copy the store again") from None
        ends[name] = max(ends.get(name, 0), end)
    for shard in folder.glob("densities-*.bin"):
        if shard.name not in ends:
            shard.unlink()
        elif shard.stat().st_size > ends[shard.name]:
            os.truncate(shard, ends[shard.name])
    for name, end in ends.items():
        if not (folder / name).is_file() or (folder / name).stat().st_size < end:
            raise InputError(f"{folder / name} is missing or too short; copy the store again as a whole")
    last = max(ends, default=shard_name(0), key=lambda name: int(name[10:-4]))
    return int(last[10:-4]), ends.get(last, 0)
