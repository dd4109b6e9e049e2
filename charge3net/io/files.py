"""Files as streams: compression by suffix, whole-or-nothing writing, errors in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from charge3net.errors import InputError

unpack_gzip: ModuleType = gzip
unpack_zlib: ModuleType = zlib
with suppress(ImportError):  # ISA-L decompresses three times as fast as zlib
    from isal import igzip, isal_zlib

    unpack_gzip, unpack_zlib = igzip, isal_zlib

#: Suffixes that are read; all but ``.zz`` (bare zlib) are written too.
COMPRESSIONS = (".gz", ".xz", ".bz2", ".lz4", ".zz")

ByteStream: TypeAlias = io.RawIOBase | io.BufferedIOBase

# lz4 raises RuntimeError
_DAMAGED: tuple[type[Exception], ...] = (EOFError, OSError, lzma.LZMAError, zlib.error, unpack_zlib.error, RuntimeError)


def split_compression(name: str) -> tuple[str, str]:
    """The name without its compression suffix, and that suffix (empty when there is none)."""
    for suffix in COMPRESSIONS:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], suffix
    return name, ""


class Source:
    """Bytes of one file, read line by line or in blocks, with a way to put back what was read too far.

    Args:
        stream: the opened, still compressed file.
        name: its name; decides on the compression and stands in messages.

    Raises:
        InputError: from every method when the file is damaged.
    """

    def __init__(self, stream: ByteStream, name: str) -> None:
        self.name = name
        self._stream = _decompressed(stream, split_compression(name)[1])
        self._rest = b""  # read from the stream, not yet asked for from _at on
        self._at = 0

    def error(self, message: str) -> InputError:
        """An InputError about this file, to be raised."""
        return InputError(f"{self.name}: {message}")

    def push(self, data: bytes | memoryview) -> None:
        """Put bytes back in front of what comes next."""
        self._rest = bytes(data) + self._rest[self._at :]
        self._at = 0

    def fill(self, target: memoryview) -> int:
        """Fill the target as far as the file goes; returns the number of bytes."""
        filled = min(len(self._rest) - self._at, len(target))
        target[:filled] = self._rest[self._at : self._at + filled]
        self._at += filled
        while filled < len(target):
            got = self._guard(self._stream.readinto, target[filled:])
            if not got:
                break
            filled += got
        return filled

    def line(self) -> bytes:
        """The next line with its line break; empty at the end of the file.

        Raises:
            InputError: for a line of more than a million characters: that is no text file.
        """
        while (end := self._rest.find(b"\n", self._at)) < 0:
            if len(self._rest) - self._at > 1_000_000:
                raise self.error("a line has more than a million characters, so this is not a text file")
            more = self._guard(self._stream.read, 1 << 16)
            self._rest, self._at = self._rest[self._at :] + more, 0
            if not more:
                end = len(self._rest) - 1
                break
        start, self._at = self._at, end + 1
        return self._rest[start : self._at]

    def text_line(self, what: str) -> str:
        """The next line as text, without surrounding blanks.

        Args:
            what: what the line should hold, for the message when the file is over.
        """
        line = self.line()
        if not line:
            raise self.error(f"the file ends where {what} was expected")
        if b"\0" in line:
            raise self.error(f"expected {what}, found binary data")
        return line.decode("utf-8", "replace").strip()

    def read_all(self) -> bytes:
        """Everything that is left."""
        data = self._rest[self._at :] + self._guard(self._stream.read)
        self._rest, self._at = b"", 0
        return data

    def _guard(self, read: Any, *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except _DAMAGED as error:
            raise self.error(f"the compressed file is damaged or cut short ({error})") from None


@contextmanager
def open_source(path: str | Path) -> Iterator[Source]:
    """Open a file, compressed or not, for reading.

    Raises:
        InputError: when it cannot be opened, is a folder, or is empty.
    """
    path = Path(path)
    try:
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    with stream:
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        yield Source(stream, str(path))


@contextmanager
def atomic_output(path: str | Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for writing, compressed by suffix; it appears under its name only when all went well.

    Raises:
        InputError: for a folder that does not exist or may not be written, or a suffix that is only read (``.zz``).
    """
    path = Path(path)
    suffix = split_compression(path.name)[1]
    if suffix == ".zz":
        raise InputError(f"{path}: .zz files are only read; write .gz, .xz, .bz2 or .lz4")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as raw, _compressed(raw, suffix) as stream:
            yield stream
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all.

    Raises:
        InputError: as :func:`atomic_output`.
    """
    with atomic_output(path) as stream:
        stream.write(text.encode())


def _decompressed(stream: Any, suffix: str) -> Any:
    if suffix == ".gz":
        return unpack_gzip.open(stream)
    if suffix == ".xz":
        return lzma.LZMAFile(stream)
    if suffix == ".bz2":
        return bz2.BZ2File(stream)
    if suffix == ".lz4":
        import lz4.frame

        return lz4.frame.LZ4FrameFile(stream)
    if suffix == ".zz":
        return io.BufferedReader(_ZlibReader(stream))
    return stream


@contextmanager
def _compressed(stream: Any, suffix: str) -> Iterator[io.BufferedIOBase]:
    if suffix == "":
        yield stream
        return
    packed: Any
    if suffix == ".gz":  # no name and no time inside, so that equal densities give equal files
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=stream, mtime=0)
    elif suffix == ".xz":
        packed = lzma.open(stream, "wb", preset=3)  # noqa: SIM115
    elif suffix == ".bz2":
        packed = bz2.open(stream, "wb")  # noqa: SIM115
    else:
        import lz4.frame

        packed = lz4.frame.LZ4FrameFile(stream, mode="wb")
    with packed:
        yield packed


class _ZlibReader(io.RawIOBase):
    """A bare zlib stream (``.zz``) as a readable file."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._zlib = unpack_zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        """Fill the buffer with decompressed bytes; 0 at the end."""
        view = memoryview(target).cast("B")
        data = b""
        while not data and not self._zlib.eof:
            packed = self._zlib.unconsumed_tail or self._stream.read(1 << 16)
            if not packed:
                raise EOFError("the stream ends before its end mark")
            data = self._zlib.decompress(packed, len(view))
        view[: len(data)] = data
        return len(data)
