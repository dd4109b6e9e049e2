"""Files as streams: compression by suffix, whole-or-nothing writing, errors in one sentence."""

from __future__ import annotations

import bz2
import ctypes
import gzip
import io
import logging
import lzma
import os
import signal
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from charge3net.errors import InputError

logger = logging.getLogger(__name__)

unpack_gzip: ModuleType = gzip
unpack_zlib: ModuleType = zlib
with suppress(ImportError):  # ISA-L decompresses three times as fast as zlib
    from isal import igzip, isal_zlib

    unpack_gzip, unpack_zlib = igzip, isal_zlib

#: Suffixes that are read; all but ``.zz`` (bare zlib) are written too.
COMPRESSIONS = (".gz", ".xz", ".bz2", ".lz4", ".zz")

#: Decompressed text may be this many bytes in any case, and this many times the size of the compressed file.
FREE_BYTES, LARGEST_RATIO = 1 << 27, 200
#: Seconds that a parser of text with a free form may take.
TIME_LIMIT = 120.0
#: Blank lines in a row that are taken for a gap in a file.
BLANK_LINES = 100

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
        suffix = split_compression(name)[1]
        self._raw = stream
        self._stored = stream if suffix else None
        self._decompressed = 0
        self._stream = _decompressed(stream, suffix)
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
    with stream, guarded(str(path)):
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        yield Source(stream, str(path))


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Turn whatever a parser raises into an InputError of one sentence with the file's name."""
    try:
        yield
    except InputError as error:
        raise error if str(error).startswith(name) else InputError(f"{name}: {error}") from None
    except MemoryError:
        raise InputError(f"{name}: does not fit into memory") from None
    except RecursionError:
        raise InputError(f"{name}: is nested too deeply to be read") from None
    except Exception as error:
        raise InputError(f"{name}: cannot be read ({reason(error)})") from error


@contextmanager
def time_limit(source: Source, seconds: float = TIME_LIMIT) -> Iterator[None]:
    """Stop a parser that takes longer than this, in any thread: between two steps of Python, not within one.

    Raises:
        InputError: when the time is over.
    """
    in_main = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")
    try:
        with _alarm(seconds) if in_main else _alarm_in_thread(seconds):
            yield
    except TimeoutError:
        raise source.error(f"reading was stopped after {seconds:g} s") from None


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """TimeoutError in the main thread by a signal, after this time."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _alarm_in_thread(seconds: float) -> Iterator[None]:
    """TimeoutError in this thread, set by another one after this time; signals reach the main thread only."""
    here, lock, over = ctypes.c_ulong(threading.get_ident()), threading.Lock(), False

    def stop() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(here, ctypes.py_object(TimeoutError))

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            over = True
        ctypes.pythonapi.PyThreadState_SetAsyncExc(here, None)  # one that has not arrived


def printable(text: str) -> str:
    """A text from a file for a message of one line: control characters become question marks."""
    return "".join(c if c.isprintable() else "?" for c in text)


def reason(error: BaseException) -> str:
    """What an exception says, in one short line."""
    text = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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
