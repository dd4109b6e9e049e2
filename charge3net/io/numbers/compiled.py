"""The compiled part of reading: columns of numbers, and grids transposed to C order.

The numpy code beside every call gives the same numbers to the last bit; it is what runs without the compiled library.
Calls release the interpreter's lock and share the work among :func:`charge3net.kernels.threads.threads`.
"""

from __future__ import annotations

import ctypes
import math
from ctypes import c_double, c_int, c_int64, c_void_p
from functools import cache

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from charge3net.kernels import enabled
from charge3net.kernels.library import library
from charge3net.kernels.threads import threads

_LOW, _HIGH = -125, 125  # powers of ten with a 64-bit table entry


def compiled_reading() -> ctypes.CDLL | None:
    """The compiled library, or None where it is not there or switched off."""
    return library().handle if enabled() else None


def decode_columns(
    handle: ctypes.CDLL,
    text: UInt8[ndarray, "bytes"],
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    layout: tuple[int, int, int],
    values: Float[ndarray, "values"],
) -> int:
    """Fill ``values`` with the numbers whose fields start at ``offset + i·strides[0] + …``; NaN for odd fields.

    Args:
        handle: the compiled library.
        text: the characters; 16 of them must precede ``offset``.
        offset: where the first field starts.
        shape: number of fields along up to three axes.
        strides: characters from one field to the next along each.
        layout: characters before the point, digits behind it, code of the exponent's letter.
        values: [values] the product of ``shape``.

    Returns:
        How many fields are left as NaN: they are no such numbers, or (one in hundreds of those beyond 10^±22) their
        rounding is not settled.
    """
    missing = 3 - len(shape)
    counts = (c_int64 * 3)(*(1,) * missing, *shape)
    steps = (c_int64 * 3)(*(0,) * missing, *strides)
    assert len(values) == math.prod(shape)
    handle.c3n_decode_columns.restype = c_int64
    return handle.c3n_decode_columns(
        c_void_p(text.ctypes.data + offset),
        *(counts, steps),
        *map(c_int, layout),
        *(c_void_p(_powers().ctypes.data), c_int(_LOW), c_int(_HIGH)),
        c_int(threads() if len(values) > 1 << 14 else 1),
        c_void_p(values.ctypes.data),
    )


def turn_planes(
    handle: ctypes.CDLL, planes: Float[ndarray, "planes ny nx"], volume: float, out: Float[ndarray, "nx ny nz"], z: int
) -> None:
    """``out[:, :, z : z + planes] = planes.T / volume``, both in C order."""
    count, ny, nx = planes.shape
    assert out.shape[:2] == (nx, ny)
    handle.c3n_turn_planes(
        c_void_p(planes.ctypes.data),
        *map(c_int64, (count, nx, ny, out.shape[2])),
        c_double(volume),
        c_int(threads() if planes.size > 1 << 14 else 1),
        c_void_p(out.ctypes.data + z * out.itemsize),
    )


@cache
def _powers() -> ndarray:
    """The leading 64 bits of 10^q, cut off, for q = _LOW … _HIGH."""
    return np.array([_leading_bits(q) for q in range(_LOW, _HIGH + 1)], dtype=np.uint64)


def _leading_bits(q: int) -> int:
    """floor(10^q·2^k) with the k that makes it 64 bits long."""
    over, under = (10**q, 1) if q >= 0 else (1, 10**-q)
    bits = (over << 512) // under
    return bits >> (bits.bit_length() - 64)
