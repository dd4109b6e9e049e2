"""Streams of numbers: the body of a CHGCAR or cube file, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy import ndarray

from charge3net.io.columns import PADDING, Columns, Decoder
from charge3net.io.compiled import compiled_reading
from charge3net.io.files import Source
from charge3net.io.numbers import parse_numbers

_BLOCK = 32768  # values; the scratch arrays of a block stay in the cache
_COMPILED_BLOCK = 1 << 17  # there is hardly any scratch, and each block starts threads


def read_values(source: Source, count: int, what: str, row: int = 0) -> Iterator[ndarray]:
    """The next ``count`` numbers of a file as consecutive float64 arrays; asking for the next overwrites the last.

    The source is left at the start of the line after the last number.

    Args:
        source: the file, at the start of the first line of numbers.
        count: how many numbers to read.
        what: what they are, for messages: ``"the grid 3 x 4 x 5"``.
        row: after how many numbers the file begins a new line in any case (a hint; 0 when it does not).

    Raises:
        InputError: when the file has fewer numbers, more on the last line, something that is no number, or NaN or
            infinity.
    """
    done = 0
    for block in _blocks(source, count, what, row):
        if done + len(block) > count:
            raise source.error(f"{what} needs {count} numbers, the line with the last one has more")
        if not np.isfinite(block.sum()) and not np.isfinite(block).all():
            bad = int(np.flatnonzero(~np.isfinite(block))[0])
            raise source.error(f"number {done + bad + 1} of {what} is {block[bad]}; expected finite numbers")
        done += len(block)
        yield block


def _blocks(source: Source, count: int, what: str, row: int) -> Iterator[ndarray]:
    """Blocks of numbers, up to and including the line that completes ``count``: by columns as long as that works."""
    done = 0
    first = source.line()
    source.push(first)
    columns = Columns.of(first)
    if columns is not None:
        for length in {row or columns.per_line: None, columns.per_line: None}:
            for block in _column_blocks(source, columns, count - done, length):
                done += len(block)
                yield block
    per_line = max(len(first.split()), 1)
    while done < count:
        lines = max(min(count - done, _BLOCK) // per_line, 1)
        text = b"".join(itertools.takewhile(bool, (source.line() for _ in range(lines))))
        if not text:
            raise source.error(f"{what} needs {count} numbers, the file ends after {done}")
        if columns and not text.endswith(b"\n") and len(text.rsplit(b"\n", 1)[-1].rstrip()) % columns.width:
            raise source.error(f"{what} needs {count} numbers, the file ends within a number")
        try:
            block = np.array(parse_numbers(text))
        except ValueError as error:
            found = _numbers_before(text)
            raise source.error(f"{what} needs {count} numbers, found {error} after {done + found}") from None
        done += len(block)
        yield block


def _column_blocks(source: Source, columns: Columns, count: int, row: int) -> Iterator[ndarray]:
    """Blocks of whole rows in fixed columns; stops, with the rest put back, before the first row that is different.

    A row is a number of full lines and, if need be, a shorter one.
    """
    width, ending = columns.width, np.frombuffer(columns.ending, dtype=np.uint8)
    line = columns.per_line * width + len(ending)
    full, short = divmod(row, columns.per_line)
    length = full * line + (short * width + len(ending) if short else 0)
    capacity = max((_BLOCK if compiled_reading() is None else _COMPILED_BLOCK) // row, 1)
    text = np.empty(PADDING + capacity * length, dtype=np.uint8)
    body = text.data[PADDING:]
    decoder = Decoder(columns, capacity * row)
    values = np.empty((capacity if short else 0, row))
    done = 0
    while count - done >= row:
        wanted = min((count - done) // row, capacity)
        filled = source.fill(body[: wanted * length])
        rows = text[PADDING : PADDING + filled // length * length].reshape(-1, length)
        lines = rows[:, : full * line].reshape(-1, full, line)
        alike = (lines[:, :, line - len(ending) :] == ending).all(axis=(1, 2))
        alike &= (rows[:, length - len(ending) :] == ending).all(axis=1)
        good = len(rows) if alike.all() else int(np.argmin(alike))
        try:
            block = decoder.decode(text, PADDING, (good, full, columns.per_line), (length, line, width))
            if short:
                values[:good, : row - short] = block.reshape(good, row - short)
                block = decoder.decode(text, PADDING + full * line, (good, short), (length, width))
                values[:good, row - short :] = block.reshape(good, short)
                block = values[:good].reshape(-1)
        except ValueError:
            good = 0
        if good:
            yield block
        source.push(body[good * length : filled])
        done += good * row
        if good < wanted:
            return


def _numbers_before(text: bytes) -> int:
    """How many tokens of a text can be read before the first that is no number."""
    for index, token in enumerate(text.split()):
        try:
            parse_numbers(token)
        except ValueError:
            return index
    return 0
