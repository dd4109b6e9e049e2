"""Which plane waves the charge density of pw.x has, in which order, and on which FFT grid.

pw.x takes the coefficients of a charge-density file one after the other and ignores the Miller indices beside them, so
a file in another order is accepted without a message and means nothing. List and order follow from the cell and the
cutoff alone: the waves below the cutoff, in the order of a loop over their indices, sorted by length with a heap sort
that takes lengths closer than 1e-8 for equal. As this is no consistent order ("equal" is not transitive), the result
depends on the steps of the sort, and no other sort replaces it where lengths differ by about 1e-8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

from charge3net.errors import InputError

#: Squared lengths, in units of (2π/alat)², that differ by less count as equal.
TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class PlaneWaves:
    """The plane waves exp(iG·r) of a density, in the order of pw.x.

    Attributes:
        cell: [3, 3] lattice vectors as rows, in bohr.
        miller: [waves, 3] G = miller @ reciprocal.
        gamma_only: one wave of each pair G, −G is listed: the density is real.
        shape: the FFT grid of pw.x.
    """

    cell: Float[ndarray, "3 3"]
    miller: Int[ndarray, "waves 3"]
    gamma_only: bool
    shape: tuple[int, int, int]

    @property
    def reciprocal(self) -> Float[ndarray, "3 3"]:
        """[3, 3] reciprocal vectors as rows in bohr⁻¹, with the factor 2π."""
        return 2 * np.pi * reciprocal_vectors(self.cell)

    def coefficients(self, values: Float[ndarray, "channels nx ny nz"]) -> Complex[ndarray, "channels waves"]:
        """[channels, waves] coefficients of values on a grid of any shape with its corner at the origin.

        ρ(r) = Σ ρ(G) exp(iG·r); waves that the grid cannot hold have the coefficient 0.
        """
        return coefficients(values, self.miller)

    def values(
        self, found: Complex[ndarray, "channels waves"], shape: tuple[int, int, int] | None = None
    ) -> Float[ndarray, "channels nx ny nz"]:
        """[channels, nx, ny, nz] the values of these coefficients on the FFT grid, or on a grid of another shape."""
        return grid_values(found, self.miller, shape or self.shape)


def plane_waves(
    cell: Float[ndarray, "3 3"],
    ecutrho: float,
    gamma_only: bool = False,
    alat: float | None = None,
    shape: tuple[int, int, int] | None = None,
) -> PlaneWaves:
    """The plane waves of pw.x for the density.

    Args:
        cell: [3, 3] lattice vectors as rows, in bohr, with all digits of the user's input.
        ecutrho: cutoff of the density in Ry: |G|² ≤ ecutrho, in bohr⁻².
        gamma_only: for ``K_POINTS gamma``.
        alat: the unit of length of pw.x in bohr: celldm(1), or the length of the first vector where there is none.
        shape: of the FFT grid, where the input gives it (nr1, nr2, nr3).

    Raises:
        InputError: for a cell without volume or a cutoff that is not positive.
    """
    cell = np.asarray(cell, dtype=np.float64)
    if not (np.isfinite(ecutrho) and ecutrho > 0):
        raise InputError(f"the cutoff of the density (ecutrho) is a positive energy in Ry, found {ecutrho}")
    if not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-9:
        raise InputError("plane waves need a cell with a volume")
    unit = float(np.linalg.norm(cell[0])) if alat is None else alat
    miller, squared = _inside(cell / unit, ecutrho / (2 * np.pi / unit) ** 2, gamma_only)
    if shape is not None:  # pw.x lists the waves that its grid holds
        held = (2 * np.abs(miller) < np.array(shape)).all(axis=1)
        miller, squared = miller[held], squared[held]
    order = order_by_length(squared)
    if shape is None:
        needed = [good_fft_number(2 * int(n) + 1) for n in np.abs(miller).max(axis=0)]
        shape = (needed[0], needed[1], needed[2])
    return PlaneWaves(cell, miller[order], gamma_only, shape)


def reciprocal_vectors(cell: Float[ndarray, "3 3"]) -> Float[ndarray, "3 3"]:
    """[3, 3] vectors b with a_i·b_j = δ_ij, as rows, in the inverse unit of the cell."""
    a, b, c = cell
    return np.array([np.cross(b, c), np.cross(c, a), np.cross(a, b)]) / np.dot(a, np.cross(b, c))


def good_fft_number(n: int) -> int:
    """The smallest product of 2, 3 and 5 that is at least n."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def coefficients(
    values: Float[ndarray, "channels nx ny nz"], miller: Int[ndarray, "waves 3"]
) -> Complex[ndarray, "channels waves"]:
    """[channels, waves] Fourier coefficients: fftn(values)/n at these Miller indices, 0 where the grid has none."""
    shape = np.array(values.shape[1:])
    held = (2 * np.abs(miller) < shape).all(axis=1)
    places = np.ravel_multi_index(tuple((miller % shape).T), tuple(shape))
    found = np.zeros((len(values), len(miller)), dtype=np.complex128)
    for channel, grid in zip(found, values, strict=True):
        transformed = np.fft.fftn(np.asarray(grid, dtype=np.float64)).reshape(-1)
        channel[held] = transformed[places[held]] / transformed.size
    return found


def grid_values(
    found: Complex[ndarray, "channels waves"], miller: Int[ndarray, "waves 3"], shape: tuple[int, int, int]
) -> Float[ndarray, "channels nx ny nz"]:
    """[channels, nx, ny, nz] a real field from its coefficients; of each pair G, −G one or both may be listed.

    Raises:
        InputError: for a grid too coarse for the indices.
    """
    if (2 * np.abs(miller).max(axis=0, initial=0) >= np.array(shape)).any():
        raise InputError(f"a grid of {'×'.join(map(str, shape))} voxels is too coarse for these plane waves")
    size = int(np.prod(shape))
    places = np.ravel_multi_index(tuple((miller % shape).T), shape)
    mirrored = np.ravel_multi_index(tuple((-miller % shape).T), shape)
    result = np.empty((len(found), *shape))
    for values, channel in zip(result, found, strict=True):
        waves = np.zeros(size, dtype=np.complex128)
        waves[mirrored] = channel.conj()
        waves[places] = channel
        values[...] = np.fft.ifftn(waves.reshape(shape)).real * size
    return result


def order_by_length(squared: Float[ndarray, "waves"]) -> Int[ndarray, "waves"]:
    """The order in which pw.x lists waves of these squared lengths, in units of (2π/alat)².

    Lengths that differ by less than :data:`TOLERANCE` count as equal and keep their order. Where this is consistent,
    because lengths that are nearly equal form separate groups, any sort by group and place gives the result of the heap
    sort; else the heap sort itself is run (some seconds for a million waves).
    """
    sorted_places = np.argsort(squared, kind="stable")
    ascending = squared[sorted_places]
    starts = np.concatenate(([0], np.flatnonzero(np.diff(ascending) >= TOLERANCE) + 1))
    ends = np.concatenate((starts[1:], [len(ascending)])) - 1
    if (ascending[ends] - ascending[starts] >= TOLERANCE).any():
        return heap_order(squared)
    group = np.repeat(np.arange(len(starts)), ends - starts + 1)
    return sorted_places[np.lexsort((sorted_places, group))]


def heap_order(squared: Float[ndarray, "waves"]) -> Int[ndarray, "waves"]:
    """The order that a heap sort with the tolerant comparison gives.

    Source: the heap sort of the textbooks (Cormen, Leiserson, Rivest and Stein, "Introduction to Algorithms", chapter
    6), with the form of Press et al., "Numerical Recipes", section 8.3: the element that is sifted down is held aside
    while larger children move up.
    """
    keys = squared.tolist()
    places = list(range(len(keys)))
    for root in range(len(keys) // 2 - 1, -1, -1):
        _sift_down(keys, places, root, len(keys), keys[root], places[root])
    for last in range(len(keys) - 1, 0, -1):
        key, place = keys[last], places[last]
        keys[last], places[last] = keys[0], places[0]
        _sift_down(keys, places, 0, last, key, place)
    return np.array(places, dtype=np.int64)


def _sift_down(keys: list[float], places: list[int], root: int, size: int, key: float, place: int) -> None:
    """Put (key, place) into the heap of the first ``size`` elements, whose element ``root`` is free."""
    child = 2 * root + 1
    while child < size:
        largest = keys[child]
        if child + 1 < size:
            other = keys[child + 1]
            gap = other - largest
            if gap >= TOLERANCE or (gap > -TOLERANCE and places[child] < places[child + 1]):
                child, largest = child + 1, other
        gap = largest - key
        if not (gap >= TOLERANCE or (gap > -TOLERANCE and place < places[child])):
            break
        keys[root], places[root] = largest, places[child]
        root, child = child, 2 * child + 1
    keys[root], places[root] = key, place


def _inside(
    cell: Float[ndarray, "3 3"], cutoff: float, gamma_only: bool
) -> tuple[Int[ndarray, "waves 3"], Float[ndarray, "waves"]]:
    """Miller indices within the cutoff in the order of a loop over them, first index slowest, and squared lengths.

    Cell in units of alat, cutoff and lengths in those of (2π/alat)².
    """
    vectors = reciprocal_vectors(cell)
    highest = (np.sqrt(cutoff) * np.linalg.norm(cell, axis=1)).astype(int) + 1
    found, lengths = [], []
    j, k = (np.arange(-n, n + 1) for n in highest[1:])
    for i in range(0 if gamma_only else -int(highest[0]), int(highest[0]) + 1):
        waves = i * vectors[0] + j[:, None, None] * vectors[1] + k[:, None] * vectors[2]
        squared = waves[..., 0] ** 2 + waves[..., 1] ** 2 + waves[..., 2] ** 2
        wanted = squared <= cutoff
        if gamma_only and i == 0:
            wanted &= (j[:, None] > 0) | ((j[:, None] == 0) & (k >= 0))
        rows, columns = np.nonzero(wanted)
        found.append(np.stack([np.full(len(rows), i), j[rows], k[columns]], axis=1))
        lengths.append(squared[wanted])
    squared = np.concatenate(lengths)
    squared[squared < TOLERANCE] = 0.0
    return np.concatenate(found), squared
