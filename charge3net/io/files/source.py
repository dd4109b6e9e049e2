"""A file as a stream of lines or blocks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from charge3net.errors import InputError
from charge3net.io.files.compression import DAMAGED, ByteStream, decompressed, split_compression
from charge3net.io.files.messages import guarded, printable

logger = logging.getLogger("charge3net.io.files")

#: Decompressed text may be this many bytes in any case, and this many times the size of the compressed file.
FREE_BYTES, LARGEST_RATIO = 1 << 27, 200
#: Blank lines in a row that are taken for a gap in a file.
BLANK_LINES = 100


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
        suffix = split_compression(name)[1]
        self._raw = stream
        self._stored = stream if suffix else None
        self._decompressed = 0
        self._stream = decompressed(stream, suffix)
        self._rest = b""  # read from the stream, not yet asked for from _at on
        self._at = 0

    def error(self, message: str) -> InputError:
        """An InputError about this file, to be raised."""
        return InputError(f"{self.name}: {printable(message)}")

    def warn(self, message: str) -> None:
        """Log a warning about this file."""
        logger.warning("%s: %s", self.name, message)

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
            got = self._guard(self._stream.readinto, target[filled : filled + FREE_BYTES])
            if not got:
                break
            self._count(got)
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
            self._count(len(more))
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

    def content_line(self) -> bytes:
        """The next line that is not blank, with its line break; empty at the end of the file.

        Raises:
            InputError: for more than :data:`BLANK_LINES` blank lines.
        """
        for _ in range(BLANK_LINES):
            line = self.line()
            if not line or line.strip():
                return line
        raise self.error(f"more than {BLANK_LINES} blank lines follow each other")

    def read_all(self, limit: int | None = None) -> bytes:
        """Everything that is left.

        Args:
            limit: the largest number of bytes to accept; None for what fits into memory.

        Raises:
            InputError: for a file that is larger than the limit.
        """
        blocks = [self._rest[self._at :]]
        size = len(blocks[0])
        while block := self._guard(self._stream.read, 1 << 24):
            self._count(len(block))
            blocks.append(block)
            size += len(block)
            if limit is not None and size > limit:
                raise self.error(f"the file has more than {limit >> 20} MiB, too large for its format")
        self._rest, self._at = b"", 0
        return b"".join(blocks)

    def check_room(self, needed: int, what: str) -> None:
        """Refuse what a file announces when the file is too small to hold it.

        Args:
            needed: the least number of bytes of text that it takes.
            what: what is announced, for the message.
        """
        try:
            size = os.fstat(self._raw.fileno()).st_size
        except (OSError, ValueError, AttributeError):  # not a file
            size = 1 << 40
        room = size if self._stored is None else max(LARGEST_RATIO * size, FREE_BYTES)
        if needed > room + 16:
            raise self.error(f"{what}, more than the file can hold")

    def _count(self, size: int) -> None:
        """Refuse a small compressed file that expands to far more than a density would."""
        self._decompressed += size
        if self._stored is None or self._decompressed <= FREE_BYTES:
            return
        try:
            stored = self._stored.tell()
        except (OSError, ValueError, AttributeError):  # a stream without a position
            return
        if self._decompressed > LARGEST_RATIO * max(stored, 1):
            raise self.error(f"expands to more than {LARGEST_RATIO} times its size; decompress it if you trust it")

    def _guard(self, read: Any, *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except DAMAGED as error:
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
    with stream, guarded(str(path)):
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        yield Source(stream, str(path))
