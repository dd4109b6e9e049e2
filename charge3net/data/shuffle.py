"""The fixed pseudo-random order of the voxels of a density in a shuffled store.

Random probes of a density in C order lie in as many pages of the file as there are probes, and a cold disk is asked for
each. In pseudo-random order a contiguous range of the file is a random sample: one page. The order is a function of the
number of voxels alone: a Feistel network of four rounds on the numbers below 4^h (Luby & Rackoff, SIAM J. Comput. 17,
1988), h the least with n ≤ 4^h, repeated until the number is below n (Black & Rogaway, CT-RSA 2002).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

_ROUNDS = 4
_U32 = np.uint32


def shuffled_voxels(positions: Int[ndarray, "positions"], n_voxels: int) -> Int[ndarray, "positions"]:
    """Flat index (C order) of the voxels at these positions, 0 … n_voxels − 1, of a shuffled density."""
    half = max((max(n_voxels - 1, 1).bit_length() + 1) // 2, 1)
    voxels = _encrypt(np.asarray(positions).astype(_U32), half)
    while (outside := np.flatnonzero(voxels >= n_voxels)).size:
        voxels[outside] = _encrypt(voxels[outside], half)
    return voxels.astype(np.int64)


def shuffle(values: Float[ndarray, "channels *grid"]) -> Float[ndarray, "channels voxels"]:
    """Values in C order in the order of a shuffled store."""
    flat = values.reshape(len(values), -1)
    return np.take(flat, whole_order(flat.shape[1]), axis=1)


def unshuffle(stored: Float[ndarray, "channels voxels"]) -> Float[ndarray, "channels voxels"]:
    """The inverse of :func:`shuffle`, as a flat array of a channel each."""
    values = np.empty_like(stored)
    values[:, whole_order(stored.shape[1])] = stored
    return values


@lru_cache(maxsize=2)
def whole_order(n_voxels: int) -> Int[ndarray, "voxels"]:
    """[n_voxels] the voxel at each position."""
    order = shuffled_voxels(np.arange(n_voxels), n_voxels)
    order.setflags(write=False)
    return order


def _encrypt(numbers: ndarray, half: int) -> ndarray:
    """One pass of the network over numbers of 2·half bits."""
    mask = _U32((1 << half) - 1)
    left, right = numbers >> _U32(half), numbers & mask
    for i in range(_ROUNDS):
        left, right = right, left ^ (_mix(right + _U32((i + 1) * 0x9E3779B9 & 0xFFFFFFFF)) & mask)
    return left << _U32(half) | right


def _mix(numbers: ndarray) -> ndarray:
    """The final mixer of MurmurHash3 (32 bits, public domain): every bit of the input changes half of the output."""
    numbers = numbers ^ numbers >> _U32(16)
    numbers = numbers * _U32(0x85EBCA6B)
    numbers = numbers ^ numbers >> _U32(13)
    numbers = numbers * _U32(0xC2B2AE35)
    return numbers ^ numbers >> _U32(16)
