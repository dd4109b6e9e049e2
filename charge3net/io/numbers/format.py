"""Numbers as text, many at a time: the inverse of :mod:`charge3net.io.numbers.columns`.

The decimal mantissa is found as ``round(|x|·10^k)`` in float64. That can be wrong only when the product lies within its
rounding error of a half; those few (one in some thousands) are left to Python, so the digits are Python's for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from io import BufferedIOBase

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError

_BLOCK = 20_000
_AMBIGUOUS = 5e-4  # of the last digit; the error of the product is below 5e-5 of it for 11 digits
_SMALLEST = 1e-98  # what is smaller becomes 0: its exponent would need three digits
_POWERS = np.array([float(f"1e{k}") for k in range(-120, 121)])


@dataclass(frozen=True)
class NumberFormat:
    """How one number is printed.

    Attributes:
        digits: significant digits, 5 … 11.
        width: characters, the blank between two numbers included.
        zero_lead: Fortran's ``0.123E+02``, a negative number as ``-.123E+02``; else C's ``1.23E+01``.
    """

    digits: int
    width: int
    zero_lead: bool

    @cached_property
    def _dtype(self) -> np.dtype:
        """The characters of a number: the text before the last 8 (4) digits, groups of 4 digits, the exponent."""
        groups = (self.digits - 1) // 4
        head = self.width - 4 * groups - 4
        names = ["head", *(f"group{i}" for i in range(groups)), "exponent"]
        return np.dtype([(name, f"S{head if name == 'head' else 4}") for name in names])

    @cached_property
    def _heads(self) -> ndarray:
        """[2·n] text before the groups for every value of the leading digits; the second half with a minus sign."""
        leading = self.digits - 4 * ((self.digits - 1) // 4)
        size = self._dtype["head"].itemsize
        plain = [f"{i:0{leading}d}" for i in range(10**leading)]
        if self.zero_lead:
            texts = [f"{sign}.{digits}" for sign in "0-" for digits in plain]
        else:
            texts = [f"{sign}{digits[0]}.{digits[1:]}" for sign in ("", "-") for digits in plain]
        return np.array([text.rjust(size) for text in texts], dtype=f"S{size}")

    def format(self, values: Float[ndarray, "n"]) -> ndarray:
        """[n] the printed numbers as a structured array of bytes.

        Raises:
            InputError: for NaN, infinity, or 1e99 and more.
        """
        magnitude = np.abs(values)
        if not (magnitude < 9e98).all():
            raise InputError(f"only finite numbers below 1e99 can be written, found {values[~(magnitude < 9e98)][0]}")
        mantissa, exponent = self._decimal(magnitude)
        text = np.empty(len(values), dtype=self._dtype)
        shown = exponent + 1 if self.zero_lead else exponent
        shown[mantissa == 0] = 0
        text["exponent"] = _EXPONENTS.take(shown + 99)
        for i in reversed(range(len(text.dtype) - 2)):
            rest = mantissa // 10_000
            text[f"group{i}"] = _GROUPS.take(mantissa - rest * 10_000)
            mantissa = rest
        text["head"] = self._heads.take(mantissa + (values <= -_SMALLEST) * (len(self._heads) // 2))
        return text

    def _decimal(self, magnitude: ndarray) -> tuple[ndarray, ndarray]:
        """[n] m of ``digits`` digits and [n] exponents e with ``|x| ≈ m·10^(e + 1 − digits)``; 0 if too small."""
        tiny = magnitude < _SMALLEST
        x = np.where(tiny, 1.0, magnitude) if tiny.any() else magnitude
        exponent = np.floor(np.log10(x)).astype(np.int64)
        scaled = x * _POWERS.take(self.digits - 1 - exponent + 120)
        low = (scaled < 10.0 ** (self.digits - 1)).astype(np.int64)  # log10 may be off by one at powers of ten
        low -= scaled >= 10.0**self.digits
        if low.any():
            exponent -= low
            scaled = x * _POWERS.take(self.digits - 1 - exponent + 120)
        rounded = np.rint(scaled)
        mantissa = rounded.astype(np.int64)
        unsure = np.abs(np.abs(scaled - rounded) - 0.5) < _AMBIGUOUS
        for index in np.flatnonzero(unsure):
            digits, power = f"{x[index]:.{self.digits - 1}E}".split("E")
            mantissa[index], exponent[index] = int(digits.replace(".", "")), int(power)
        carried = mantissa == 10**self.digits
        mantissa[carried] //= 10
        exponent[carried] += 1
        mantissa[tiny], exponent[tiny] = 0, 0
        return mantissa, exponent


_GROUPS = np.array([f"{i:04d}" for i in range(10_000)], dtype="S4")
_EXPONENTS = np.array([f"E{i:+03d}" for i in range(-99, 100)], dtype="S4")


def write_numbers(
    stream: BufferedIOBase, blocks: Iterable[Float[ndarray, "_"]], style: NumberFormat, per_line: int, row: int = 0
) -> None:
    """Write numbers, ``per_line`` in a line.

    Args:
        stream: where to.
        blocks: the numbers, as consecutive arrays of any length.
        style: how each is printed.
        per_line: numbers in a full line.
        row: begin a new line after this many numbers in any case (0: never).

    Raises:
        InputError: for numbers that are not finite.
    """
    row = row or per_line
    block = max(_BLOCK // row, 1) * row
    rest = np.empty(0)
    for values in blocks:
        values = np.concatenate([rest, values])
        whole = len(values) // row * row
        for start in range(0, whole, block):
            stream.write(_lines(style.format(values[start : min(start + block, whole)]), style, per_line, row))
        rest = values[whole:]
    if len(rest):
        stream.write(_lines(style.format(rest), style, per_line, len(rest)))


def _lines(text: ndarray, style: NumberFormat, per_line: int, row: int) -> bytes:
    """Printed numbers with line breaks after every ``per_line`` of a row and after the row."""
    full, short = divmod(row, per_line)
    line = per_line * style.width + 1
    page = np.full((len(text) // row, full * line + (short * style.width + 1 if short else 0)), ord("\n"), np.uint8)
    characters = np.frombuffer(text.tobytes(), dtype=np.uint8).reshape(len(page), row * style.width)
    lines = page[:, : full * line].reshape(len(page), full, line)
    split = full * per_line * style.width
    lines[:, :, :-1] = characters[:, :split].reshape(len(page), full, line - 1)
    page[:, full * line : full * line + short * style.width] = characters[:, split:]
    return page.tobytes()
