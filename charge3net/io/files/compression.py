"""Compression of files by their suffix."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any, TypeAlias

unpack_gzip: ModuleType = gzip
unpack_zlib: ModuleType = zlib
with suppress(ImportError):  # ISA-L decompresses three times as fast as zlib
    from isal import igzip, isal_zlib

    unpack_gzip, unpack_zlib = igzip, isal_zlib

#: Suffixes that are read; all but ``.zz`` (bare zlib) are written too.
COMPRESSIONS = (".gz", ".xz", ".bz2", ".lz4", ".zz")

ByteStream: TypeAlias = io.RawIOBase | io.BufferedIOBase

#: What a damaged stream raises; lz4 raises RuntimeError.
DAMAGED: tuple[type[Exception], ...] = (EOFError, OSError, lzma.LZMAError, zlib.error, unpack_zlib.error, RuntimeError)


def split_compression(name: str) -> tuple[str, str]:
    """The name without its compression suffix, and that suffix (empty when there is none)."""
    for suffix in COMPRESSIONS:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], suffix
    return name, ""


def decompressed(stream: Any, suffix: str) -> Any:
    """A stream of the bytes that a compressed one holds; the stream itself for an empty suffix."""
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
def compressed(stream: Any, suffix: str) -> Iterator[io.BufferedIOBase]:
    """A stream that is written to another one, compressed as the suffix says."""
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
