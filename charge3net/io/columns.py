"""Numbers in columns of fixed width, decoded many at a time.

A CHGCAR prints ``" 0.22326214404E+02"`` a million times over. Parsing each as text costs ten times what it costs to
look at all of them as integers: eight digits are one 64-bit word, and three multiplications turn that word into its
value (each step joins neighbouring digits, pairs, quadruples). The result is the float64 nearest to the printed
decimal: the mantissa is an exact integer below 2⁵³ and is divided by an exact power of ten, so one correctly rounded
operation gives it.
Fields that do not look as expected are left to Python's own float.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from charge3net.io.numbers import parse_number

#: Bytes that must be free in front of the first field: a word is loaded from up to this far before its last digits.
PADDING = 16

_FIELD = re.compile(rb" *-?\d?\.(\d+)([EeDd])[+-]\d\d")
_U64 = np.uint64
_U32 = np.uint32
_MAX_EXACT_POWER = 22  # 10²² is the largest power of ten that float64 holds exactly
_MAX_DIGITS = 14  # with the leading digit 15, so below 2⁵³


@dataclass(frozen=True)
class Columns:
    """Where sign, digits and exponent stand in the fields of a line, as in ``" 0.22326214404E+02 -.17238274859E-08"``.

    Attributes:
        width: characters per field.
        dot: position of the decimal point in the field.
        digits: number of digits between the point and the exponent.
        exponent: the exponent's letter, one of ``E e D d``.
        per_line: number of fields in the line.
        ending: what stands behind the last field, line break included.
    """

    width: int
    dot: int
    digits: int
    exponent: bytes
    per_line: int
    ending: bytes

    @classmethod
    def of(cls, line: bytes) -> Columns | None:
        """The columns of a line of numbers, or None when it is not made of equal fields that :func:`decode` knows."""
        body = line.rstrip()
        first = _FIELD.match(body)
        if first is None:
            return None
        width = first.end()
        fields = [_FIELD.fullmatch(body, start, start + width) for start in range(0, len(body), width)]
        digits = len(first[1])
        dot = width - digits - 5
        if not all(fields) or {(len(f[1]), f[2]) for f in fields if f} != {(digits, first[2])}:
            return None
        if dot < 2 or width > 24 or not 1 <= digits <= _MAX_DIGITS:
            return None
        return cls(width, dot, digits, first[2], len(fields), line[len(body) :])


class Decoder:
    """Decodes blocks of fields; holds the scratch arrays, whose pages would otherwise be fetched anew for every block.

    Args:
        columns: the layout of one field.
        capacity: the largest number of fields in a block.
    """

    def __init__(self, columns: Columns, capacity: int) -> None:
        self.columns = columns
        self._mantissa, self._high, self._odd, self._spare = np.empty((4, capacity), dtype=_U64)
        self._lead = np.empty(capacity, dtype=np.intp)
        self._words, self._index, self._odd32 = np.empty((3, capacity), dtype=_U32)
        self._bytes = np.empty(capacity, dtype=np.uint8)
        self._values, self._signs = np.empty((2, capacity))
        self._fixed = [(columns.dot, ord("."))] + [(i, ord(" ")) for i in range(columns.dot - 2)]

    def decode(
        self, text: UInt8[ndarray, "bytes"], offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> Float[ndarray, "values"]:
        """The numbers whose fields start at ``offset + i·strides[0] + j·strides[1] + …`` in ``text``, in C order.

        The result is overwritten by the next call. At least :data:`PADDING` bytes must precede the first field.

        Raises:
            ValueError: for a field that is no number; its text is in the message.
        """
        n = math.prod(shape)
        columns = self.columns
        mark = columns.dot + 1 + columns.digits

        def load(target: ndarray, position: int, dtype: type) -> ndarray:
            view = np.ndarray(shape, dtype, text, offset + position, strides)
            target = target[:n]
            target.reshape(shape)[...] = view
            return target

        mantissa = load(self._mantissa, mark - 8, _U64)
        odd, spare = self._odd[:n], self._spare[:n]
        _spell(mantissa, min(columns.digits, 8), odd)
        if columns.digits > 8:
            high = load(self._high, mark - 16, _U64)
            _spell(high, columns.digits - 8, spare)
            odd |= spare
            high *= _U64(10**8)
            mantissa += high
        lead = load(self._lead, columns.dot - 2, np.uint16)
        _UNITS.take(lead, out=spare, mode="clip")
        if spare.any():
            spare *= _U64(10**columns.digits)
            mantissa += spare
        values, signs = self._values[:n], self._signs[:n]
        _SIGNS.take(lead, out=signs, mode="clip")
        np.multiply(mantissa.view(np.int64), signs, out=values)
        self._divide(values, load(self._words, mark, _U32), signs, lead)
        regular = not (np.isnan(values.sum()) or odd.any() or self._odd32[:n].any())
        if not (regular and all((load(self._bytes, i, np.uint8) == char).all() for i, char in self._fixed)):
            wrong = np.isnan(values) | (odd != 0) | (self._odd32[:n] != 0)
            for i, char in self._fixed:
                wrong |= load(self._bytes, i, np.uint8) != char
            fields = np.ndarray(shape, f"S{columns.width}", text, offset, strides).reshape(-1)[wrong]
            values[wrong] = _parse(fields.tolist())
        return values

    def _divide(self, values: ndarray, words: ndarray, divisors: ndarray, index64: ndarray) -> None:
        """Divide by the power of ten that ``E+dd`` in ``words`` asks for; NaN where float64 does not hold it exactly.

        ``_odd32`` becomes non-zero where there is no such exponent.
        """
        index, odd = self._index[: len(values)], self._odd32[: len(values)]
        words ^= _U32(self.columns.exponent[0] | ord("+") << 8 | 0x30300000)
        np.add(words, _U32(0x06060000), out=odd)
        odd |= words
        odd &= _U32(0xF0F0F9FF)  # "-" and "+" differ by 6, the two bits that this mask lets through
        np.right_shift(words, _U32(16), out=index)
        index &= _U32(0xFF)
        index *= _U32(10)
        index += words >> _U32(24)
        words >>= _U32(2)
        words &= _U32(0x180)
        index += words
        index &= _U32(0x1FF)
        index64[...] = index
        _DIVISORS[self.columns.digits].take(index64, out=divisors, mode="clip")
        values /= divisors


def _spell(words: ndarray, count: int, odd: ndarray) -> None:
    """Replace 8 characters by the number that the last ``count`` of them spell; ``odd`` non-zero where one is no digit.

    Little-endian: the last character is the highest byte.
    """
    words ^= _U64(0x3030303030303030)
    if count < 8:
        words &= _U64(~((1 << (64 - 8 * count)) - 1) & 0xFFFFFFFFFFFFFFFF)
    np.add(words, _U64(0x0606060606060606), out=odd)  # a digit plus 6 stays below 16
    odd |= words
    odd &= _U64(0xF0F0F0F0F0F0F0F0)
    for factor, shift, mask in _JOINS:
        words *= factor
        words >>= shift
        words &= mask


def _parse(fields: list[bytes]) -> list[float]:
    """Python's value of each field."""
    try:
        return list(map(float, fields))
    except ValueError:
        return [parse_number(field) for field in fields]


_JOINS = (
    (_U64(10 << 8 | 1), _U64(8), _U64(0x00FF00FF00FF00FF)),
    (_U64(100 << 16 | 1), _U64(16), _U64(0x0000FFFF0000FFFF)),
    (_U64(10000 << 32 | 1), _U64(32), _U64(0x00000000FFFFFFFF)),
)


def _divisor_table(digits: int) -> ndarray:
    """[512] 10^(digits − exponent) at index |exponent| (+ 384 for negative ones); NaN where it is not exact."""
    table = np.full(512, np.nan)
    for exponent in range(100):
        if digits - exponent >= 0:
            table[exponent] = 10.0 ** (digits - exponent)
        if digits + exponent <= _MAX_EXACT_POWER:
            table[384 + exponent] = 10.0 ** (digits + exponent)
    return table


def _lead_tables() -> tuple[ndarray, ndarray]:
    """[65536] the sign (NaN for what is none) and the units digit that the two characters before the point spell."""
    signs = np.full(65536, np.nan)
    units = np.zeros(65536, dtype=_U64)
    for pair in [" -", "  ", *(f"{sign}{digit}" for sign in " -" for digit in range(10))]:
        code = ord(pair[0]) | ord(pair[1]) << 8
        signs[code] = -1.0 if "-" in pair else 1.0
        units[code] = int(pair[1]) if pair[1].isdigit() else 0
    return signs, units


_DIVISORS = {digits: _divisor_table(digits) for digits in range(1, _MAX_DIGITS + 1)}
_SIGNS, _UNITS = _lead_tables()
