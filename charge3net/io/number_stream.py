"""Streams of numbers: the body of a CHGCAR or cube file, into arrays."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from charge3net.io.files import BLANK_LINES, Source
from charge3net.io.numbers.columns import PADDING, Columns, Decoder
from charge3net.io.numbers.compiled import compiled_reading
from charge3net.io.numbers.fortran import lost_point, parse_numbers
from charge3net.kernels.threads import threads

_BLOCK = 1 << 15  # values; their text and scratch arrays stay in the cache
_THREADED_BLOCK = 1 << 17  # each block starts threads


class ValueReader:
    """The next ``count`` numbers of a file, in parts; by columns of fixed width as long as that works.

    When all are read the source is left at the start of the line after the last number.

    Args:
        source: the file, at the start of the first line of numbers.
        count: how many numbers to read.
        what: what they are, for messages: ``"the grid 3 x 4 x 5"``.
        row: after how many numbers the file begins a new line in any case (a hint; 0 when it does not).

    Attributes:
        columns: how the numbers of the first line are printed; None if not in equal columns.
    """

    def __init__(self, source: Source, count: int, what: str, row: int = 0) -> None:
        self._source, self._count, self._what = source, count, what
        self._blank_lines = 0
        self._done = 0  # numbers taken from the file
        self._rest = np.empty(0)  # taken, not yet asked for
        first = source.line()
        source.push(first)
        self._per_line = max(len(first.split()), 1)
        self.columns = Columns.of(first)
        self._rows: list[_Rows] = []  # layouts to be tried, one after the other
        if self.columns is not None:
            lengths = dict.fromkeys((row or self.columns.per_line, self.columns.per_line))
            self._rows = [_Rows(self.columns, length) for length in lengths]

    def fill(self, target: Float[ndarray, "values"]) -> None:
        """Fill a contiguous array with the next numbers.

        Raises:
            InputError: when the file has fewer numbers, more on the last line (but for zeros that fill it), a number
                without its decimal point, something that is no number, or NaN or infinity.
        """
        filled = 0
        while filled < len(target):
            if len(self._rest):
                part = self._rest[: len(target) - filled]
                target[filled : filled + len(part)] = part
                self._rest = self._rest[len(part) :]
                filled += len(part)
            else:
                filled += self._read(target[filled:])
        if self._done > self._count and self._rest[self._count - self._done :].any():
            raise self._source.error(f"{self._what} needs {self._count} numbers, the line with the last one has more")

    def _read(self, target: ndarray) -> int:
        """Numbers put into the target; those of the last line that do not fit are stored for the next call."""
        left = self._count - self._done
        while self._rows:
            rows = self._rows[0]
            if left < rows.length:
                self._rows.pop(0)
                continue
            direct = len(target) >= rows.length
            values = target if direct else np.empty(rows.length)
            taken = rows.read(self._source, values[: left // rows.length * rows.length])
            if rows.odd:
                self._check_finite(values[:taken])
            self._done += taken
            if rows.ended:
                self._rows.pop(0)
            if taken:
                self._rest = self._rest if direct else values
                return taken if direct else 0
        self._rest = self._read_text(left)
        return 0

    def _read_text(self, left: int) -> Float[ndarray, "values"]:
        """The numbers of the next lines, whatever their layout."""
        source, what = self._source, self._what
        lines = max(min(left, _BLOCK) // self._per_line, 1)
        text = b"".join(itertools.takewhile(bool, (source.line() for _ in range(lines))))
        if not text:
            raise source.error(f"{what} needs {self._count} numbers, the file ends after {self._done}")
        self._blank_lines = 0 if text.strip() else self._blank_lines + lines
        if self._blank_lines > BLANK_LINES:
            raise source.error(f"{what} needs {self._count} numbers, found blank lines after {self._done}")
        width = self.columns.width if self.columns else 1
        if not text.endswith(b"\n") and len(text.rsplit(b"\n", 1)[-1].rstrip()) % width:
            raise source.error(f"{what} needs {self._count} numbers, the file ends within a number")
        try:
            values = np.array(parse_numbers(text))
        except ValueError as error:
            found = self._done + _numbers_before(text)
            raise source.error(f"{what} needs {self._count} numbers, found {error} after {found}") from None
        if (token := lost_point(text)) is not None:
            lost = token.decode("ascii", "replace")
            raise source.error(f"expected numbers with a decimal point in {what}, found {lost!r}")
        self._check_finite(values)
        self._done += len(values)
        return values

    def _check_finite(self, values: ndarray) -> None:
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            number = f"number {self._done + bad + 1} of {self._what}"
            raise self._source.error(f"{number} is {values[bad]}; expected finite numbers")


class _Rows:
    """Numbers in fixed columns and rows of equal length: full lines and, if need be, a shorter one.

    Attributes:
        length: numbers in a row.
        odd: whether the numbers read last may hold one that is not finite.
        ended: whether a row came that is different; it is put back.
    """

    def __init__(self, columns: Columns, length: int) -> None:
        self.length, self.odd, self.ended = length, False, False
        self._columns = columns
        self._line = columns.per_line * columns.width + len(columns.ending)
        self._full, self._short = divmod(length, columns.per_line)
        rest = self._short * columns.width + len(columns.ending) if self._short else 0
        self._bytes = self._full * self._line + rest
        block = _THREADED_BLOCK if compiled_reading() is not None and threads() > 1 else _BLOCK
        self._capacity = max(block // length, 1)
        self._text = np.empty(PADDING + self._capacity * self._bytes, dtype=np.uint8)
        self._decoder = Decoder(columns, self._capacity * length)

    def read(self, source: Source, target: Float[ndarray, "values"]) -> int:
        """Whole rows into the target, not more than a block; returns how many numbers."""
        wanted = min(len(target) // self.length, self._capacity)
        body = self._text.data[PADDING : PADDING + wanted * self._bytes]
        filled = source.fill(body)
        rows = self._text[PADDING : PADDING + filled // self._bytes * self._bytes].reshape(-1, self._bytes)
        alike = self._alike(rows)
        good = len(rows) if alike.all() else int(np.argmin(alike))
        try:
            self._decode(target[: good * self.length])
        except ValueError:
            good = 0
        source.push(body[good * self._bytes : filled])
        self.ended = good < wanted
        return good * self.length

    def _alike(self, rows: UInt8[ndarray, "rows bytes"]) -> Bool[ndarray, "rows"]:
        """Which rows have their line endings where they belong."""
        ending = self._columns.ending
        ends = [*range(self._line, self._full * self._line + 1, self._line), *([self._bytes] if self._short else [])]
        alike = np.ones(len(rows), dtype=bool)
        for end in ends:
            for place, code in zip(range(end - len(ending), end), ending, strict=True):
                alike &= rows[:, place] == code
        return alike

    def _decode(self, target: Float[ndarray, "values"]) -> None:
        columns, decoder = self._columns, self._decoder
        count = len(target) // self.length
        full = (count, self._full, columns.per_line)
        strides = (self._bytes, self._line, columns.width)
        if not self._short:
            decoder.decode(self._text, PADDING, full, strides, target)
            self.odd = decoder.odd
            return
        rows = target.reshape(count, self.length)
        lines = np.empty((count, self.length - self._short))
        decoder.decode(self._text, PADDING, full, strides, lines.reshape(-1))
        self.odd = decoder.odd
        rows[:, : -self._short] = lines
        ends = np.empty((count, self._short))
        offset = PADDING + self._full * self._line
        decoder.decode(self._text, offset, ends.shape, (self._bytes, columns.width), ends.reshape(-1))
        self.odd |= decoder.odd
        rows[:, -self._short :] = ends


def _numbers_before(text: bytes) -> int:
    """How many tokens of a text can be read before the first that is no number."""
    for index, token in enumerate(text.split()):
        try:
            parse_numbers(token)
        except ValueError:
            return index
    return 0
