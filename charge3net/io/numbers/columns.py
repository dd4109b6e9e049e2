"""Numbers in columns of fixed width, decoded many at a time.

A CHGCAR prints ``" 0.22326214404E+02"`` a million times over. Parsing each as text costs ten times what it costs to
look at all of them as integers: eight digits are one 64-bit word, and three multiplications turn that word into its
value (each step joins neighbouring digits, pairs, quadruples). The result is the float64 nearest to the printed
decimal: the mantissa is an exact integer below 2⁵³ and is divided by an exact power of ten, so one correctly rounded
operation gives it.
Fields that do not look as expected are left to Python's own float.

The compiled library does the same a field at a time (:mod:`charge3net.io.numbers.compiled`), to the same bits;
without it numpy does each step for a block of fields.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from charge3net.io.numbers.compiled import compiled_reading, decode_columns
from charge3net.io.numbers.fortran import lost_point, parse_number

#: Bytes that must be free in front of the first field: a word is loaded from up to this far before its last digits.
PADDING = 16

_FIELD = re.compile(rb" *-?\d?\.(\d+)([EeDd])[+-]\d\d")
_U64 = np.uint64
_U32 = np.uint32
_MAX_EXACT_POWER = 22  # 10²² is the largest power of ten that float64 holds exactly
# Sign, units digit, point and the digits beside it stand in one word of 8 characters: up to 5 digits, 8 more in a
# second word. With the units digit that makes 14, so below 2⁵³.
_DIGITS = frozenset((*range(1, 6), *range(9, 14)))


@dataclass(frozen=True)
class Columns:
    """Positions of sign, digits and exponent in the fields of a line, as in ``" 0.22326214404E+02 -.17238274859E-08"``.

    Attributes:
        width: characters per field.
        dot: position of the decimal point in the field.
        digits: number of digits between the point and the exponent.
        exponent: the exponent's letter, one of ``E e D d``.
        per_line: number of fields in the line.
        ending: the text after the last field, line break included.
        zero_units: whether the digit before the point is 0 or missing, as Fortran prints it.
    """

    width: int
    dot: int
    digits: int
    exponent: bytes
    per_line: int
    ending: bytes
    zero_units: bool

    @classmethod
    def of(cls, line: bytes) -> Columns | None:
        """The columns of a line of numbers, or None when it is not made of equal fields that :class:`Decoder` knows."""
        body = line.rstrip()
        first = _FIELD.match(body)
        if first is None:
            return None
        width, digits = first.end(), len(first[1])
        fields = [_FIELD.fullmatch(body, start, start + width) for start in range(0, len(body), width)]
        dot = width - digits - 5
        if not all(fields) or {(len(f[1]), f[2]) for f in fields if f} != {(digits, first[2])}:
            return None
        if dot < 2 or width > 24 or digits not in _DIGITS:
            return None
        units = [body[start + dot - 1 : start + dot] for start in range(0, len(body), width)]
        zero_units = set(units) <= {b"0", b"-", b" "} and any(f[1].strip(b"0") for f in fields if f)
        return cls(width, dot, digits, first[2], len(fields), line[len(body) :], zero_units)

    def like(self, line: bytes) -> bool:
        """Whether the numbers of another line are printed in the same way."""
        other = Columns.of(line)
        return other is not None and (other.width, other.digits) == (self.width, self.digits)


class Decoder:
    """Decodes blocks of fields; holds the scratch arrays, which would otherwise be allocated for every block.

    Args:
        columns: the layout of one field.
        capacity: the largest number of fields in a block.

    Attributes:
        odd: whether the last block had fields that were left to Python's float; all others are finite numbers.
    """

    def __init__(self, columns: Columns, capacity: int) -> None:
        self.columns = columns
        self.odd = False
        self._compiled = compiled_reading()
        if self._compiled is not None:
            return
        self._head, self._tail, self._odd, self._spare = np.empty((4, capacity), dtype=_U64)
        self._index = np.empty(capacity, dtype=np.intp)
        self._words, self._spare32 = np.empty((2, capacity), dtype=_U32)
        self._factors = np.empty(capacity)
        self._signs = np.where(_UNITS > 0, np.nan, _SIGNS) if columns.zero_units else _SIGNS
        self._divisors = _divisor_table(columns.digits)

    def decode(
        self,
        text: UInt8[ndarray, "bytes"],
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        values: Float[ndarray, "values"],
    ) -> None:
        """Fill ``values`` with the numbers whose fields start at ``offset + i·strides[0] + …``, in C order.

        Args:
            text: the characters; at least :data:`PADDING` of them must precede the first field.
            offset: where the first field starts.
            shape: number of fields along each axis.
            strides: characters from one field to the next along each.
            values: [values] contiguous, as many as there are fields.

        Raises:
            ValueError: for a field that is no number; its text is in the message.
        """
        if self._compiled is not None:
            layout = (self.columns.dot, self.columns.digits, self.columns.exponent[0])
            left = decode_columns(self._compiled, text, offset, shape, strides, layout, values)
            wrong = np.isnan(values) if left else None
        else:
            wrong = self._decode_words(text, offset, shape, strides, values)
        self.odd = wrong is not None
        if wrong is not None:
            fields = np.ndarray(shape, f"S{self.columns.width}", text, offset, strides).reshape(-1)[wrong]
            values[wrong] = _parse(fields.tolist())

    def _decode_words(
        self, text: ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], values: ndarray
    ) -> Bool[ndarray, "values"] | None:
        """Fill the values step by step for all fields; returns which of them are not right, None if all are."""
        columns, n = self.columns, math.prod(shape)
        mark = columns.dot + 1 + columns.digits

        def load(target: ndarray, position: int) -> ndarray:
            target[:n].reshape(shape)[...] = np.ndarray(shape, target.dtype, text, offset + position, strides)
            return target[:n]

        beside = columns.digits - 8 if columns.digits > 8 else columns.digits
        head = load(self._head, mark - 16 if columns.digits > 8 else mark - 8)
        odd, spare, index = self._odd[:n], self._spare[:n], self._index[:n]
        np.right_shift(head, _U64(8 * (5 - beside)), out=spare)
        np.bitwise_and(spare, _U64(0xFFFF), out=index.view(_U64))  # the two characters before the point
        _spell(head, beside, odd, point=True)
        if columns.digits > 8:
            tail = load(self._tail, mark - 8)
            _spell(tail, 8, spare, point=False)
            odd |= spare
            head *= _U64(10**8)
            head += tail
        if not columns.zero_units:
            _UNITS.take(index, out=spare, mode="clip")
            spare *= _U64(10**columns.digits)
            head += spare
        factors = self._factors[:n]
        self._signs.take(index, out=factors, mode="clip")
        np.multiply(head.view(np.int64), factors, out=values)
        wrong_exponent = self._divide(values, load(self._words, mark), factors, index)
        blanks = np.ndarray((*shape, columns.dot - 2), np.uint8, text, offset, (*strides, 1))
        if not (np.isnan(values.sum()) or odd.any() or wrong_exponent.any() or (blanks != ord(" ")).any()):
            return None
        return np.isnan(values) | (odd != 0) | (wrong_exponent != 0) | (blanks != ord(" ")).any(axis=-1).reshape(n)

    def _divide(self, values: ndarray, words: ndarray, divisors: ndarray, index: ndarray) -> ndarray:
        """Divide by the power of ten that ``E+dd`` in ``words`` asks for; NaN where float64 does not hold it exactly.

        Returns [n] non-zero where there is no such exponent.
        """
        spare = self._spare32[: len(values)]
        words ^= _U32(self.columns.exponent[0] | ord("+") << 8 | 0x30300000)  # bytes now: 0, 0 or 6 (minus), tens, ones
        np.right_shift(words, _U32(8), out=spare)
        spare *= _U32(1 | 10 << 8 | 21 << 16)  # third byte: ones + 10·tens + 21·6 (minus)
        spare >>= _U32(16)
        spare &= _U32(0xFF)
        index[...] = spare
        self._divisors.take(index, out=divisors, mode="clip")
        values /= divisors
        np.add(words, _U32(0x06060200), out=spare)  # a digit plus 6 stays below 16; 2 and 4 in place of 0 and 6 show
        spare &= _U32(0xF0F00400)
        words &= _U32(0xF0F0F9FF)
        spare |= words
        return spare


def _spell(words: ndarray, count: int, odd: ndarray, point: bool) -> None:
    """Replace 8 characters by the number that the last ``count`` of them spell; ``odd`` non-zero where one is no digit.

    With ``point``, a point must precede them. Little-endian: the last character is the highest byte.
    """
    dropped = 8 - count - point
    first = ord(".") << 8 * dropped if point else 0
    digits = ~((1 << 8 * (dropped + point)) - 1) & 0xFFFFFFFFFFFFFFFF
    words ^= _U64(0x3030303030303030 & digits | first)
    words &= _U64(~((1 << 8 * dropped) - 1) & 0xFFFFFFFFFFFFFFFF)
    np.add(words, _U64(0x0606060606060606 & digits), out=odd)  # a digit plus 6 stays below 16
    odd |= words
    odd &= _U64(0xF0F0F0F0F0F0F0F0 & digits | (0xFF << 8 * dropped if point else 0))
    for factor, shift, mask in _JOINS:
        words *= factor
        words >>= shift
        words &= mask


_JOINS = (
    (_U64(10 << 8 | 1), _U64(8), _U64(0x00FF00FF00FF00FF)),
    (_U64(100 << 16 | 1), _U64(16), _U64(0x0000FFFF0000FFFF)),
    (_U64(10000 << 32 | 1), _U64(32), _U64(0x00000000FFFFFFFF)),
)


def _divisor_table(digits: int) -> ndarray:
    """[256] 10^(digits − exponent) at index |exponent| (+ 126 for negative ones); NaN where it is not exact."""
    table = np.full(256, np.nan)
    for exponent in range(100):
        if digits - exponent >= 0:
            table[exponent] = 10.0 ** (digits - exponent)
        if digits + exponent <= _MAX_EXACT_POWER:
            table[126 + exponent] = 10.0 ** (digits + exponent)
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


_SIGNS, _UNITS = _lead_tables()


def _parse(fields: list[bytes]) -> list[float]:
    """Python's value of each field.

    Raises:
        ValueError: for a field that is no number, or has lost its decimal point.
    """
    text = b" ".join(fields)
    if (token := lost_point(text)) is not None:
        raise ValueError(f"{token.decode('ascii', 'replace')!r} (a number without its decimal point)")
    return [parse_number(field) for field in fields]
