"""Density matrices of PAW atoms, and their parts that rotate like irreps of O(3).

``D_ij = Σ_n f_n ⟨ψ_n|p_i⟩⟨p_j|ψ_n⟩`` with i = (n, l, m): the block of two channels l, l' is a tensor product, which
Clebsch-Gordan coefficients take apart into L = |l − l'| … l + l' of parity (−1)^(l+l'). Here the matrix of an atom is
put into the common basis of :mod:`charge3net.paw.setups` and then becomes one flat tensor of :data:`IRREPS`, in e3nn's
conventions. The map keeps lengths: the sum of squares of the tensor is that of all D_ij.

*Harmonics.* GPAW's real spherical harmonics have the order m = −l … l with z as axis; e3nn's are the same functions of
(y, z, x). Hence coefficients change by the matrix of that rotation.
*Packing.* Files hold rows of the upper triangle as they are; GPAW's ``pack_density`` doubles what is off the diagonal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy import sparse

from charge3net.errors import InputError
from charge3net.nn.e3nn import o3
from charge3net.paw.setups import COMMON, SHELLS, STARTS, Setup

#: Takes (x, y, z) to (y, z, x).
_CYCLIC = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)


def _parts() -> dict[o3.Irrep, list[tuple[int, int]]]:
    """Irrep → the pairs of shells, first ≤ second, whose block holds it."""
    found: dict[o3.Irrep, list[tuple[int, int]]] = defaultdict(list)
    for first, (l1, _) in enumerate(SHELLS):
        for second, (l2, _) in list(enumerate(SHELLS))[first:]:
            for degree in range(abs(l1 - l2), l1 + l2 + 1):
                if first < second or degree % 2 == 0:  # a symmetric block has the even ones only
                    found[o3.Irrep(degree, (-1) ** (l1 + l2))].append((first, second))
    return {irrep: found[irrep] for irrep in sorted(found, key=lambda ir: (ir.l, ir.p))}


#: Irrep → pairs of shells, in the order of the copies in the flat tensor.
PARTS = _parts()

#: The flat tensor of an atom.
IRREPS = o3.Irreps([(len(pairs), irrep) for irrep, pairs in PARTS.items()])


@cache
def _coupling(l1: int, l2: int, degree: int) -> Float[ndarray, "m3 m1 m2"]:
    """[2L+1, 2l+1, 2l'+1] orthonormal matrices of a block, rows and columns in the order and axes of the setups."""
    turns = [o3.Irrep(l, 1).D_from_matrix(_CYCLIC).numpy() for l in (l1, l2)]
    wigner = o3.wigner_3j(l1, l2, degree, dtype=torch.float64).numpy()
    return np.einsum("am,bn,mnk->kab", *turns, wigner) * np.sqrt(2 * degree + 1)


@cache
def _basis() -> sparse.csr_matrix:
    """[IRREPS.dim, COMMON²] the symmetric matrix that belongs to each number of the flat tensor; rows orthonormal."""
    rows = []
    for irrep, pairs in PARTS.items():
        for first, second in pairs:
            block = _coupling(SHELLS[first][0], SHELLS[second][0], irrep.l)
            matrices = np.zeros((irrep.dim, COMMON, COMMON))
            here, there = (slice(STARTS[shell], STARTS[shell + 1]) for shell in (first, second))
            matrices[:, here, there] += block / 2
            matrices[:, there, here] += block.transpose(0, 2, 1) / 2
            rows.append(sparse.csr_matrix(matrices.reshape(irrep.dim, -1) * (1 if first == second else np.sqrt(2))))
    return sparse.vstack(rows, format="csr")


@cache
def held(setup: Setup) -> ndarray:
    """[copies in all] which copies of :data:`IRREPS`, irrep after irrep, the setup has."""
    shells = set(setup.shells)
    return np.array([first in shells and second in shells for pairs in PARTS.values() for first, second in pairs])


def to_irreps(matrix: Float[ndarray, "rows rows"], setup: Setup) -> Float[ndarray, "dim"]:
    """[IRREPS.dim] the flat tensor of a symmetric matrix."""
    common = np.zeros((COMMON, COMMON))
    common[np.ix_(setup.rows, setup.rows)] = matrix
    return _basis() @ common.ravel()


def from_irreps(tensor: Float[ndarray, "dim"], setup: Setup) -> Float[ndarray, "rows rows"]:
    """[size, size] the symmetric matrix of a flat tensor; parts that the setup lacks are ignored."""
    common = (_basis().T @ tensor).reshape(COMMON, COMMON)
    return common[np.ix_(setup.rows, setup.rows)]


def pack(matrices: Sequence[Float[ndarray, "_ _"]]) -> Float[ndarray, "numbers"]:
    """The rows of the upper triangles, atom after atom."""
    return np.concatenate([matrix[np.triu_indices(len(matrix))] for matrix in matrices])


def unpack(values: Float[ndarray, "numbers"], setups: Sequence[Setup]) -> list[Float[ndarray, "_ _"]]:
    """[size, size] of every atom from the rows of the upper triangles.

    Raises:
        InputError: if there are more or fewer numbers than the setups have.
    """
    expected = sum(setup.packed for setup in setups)
    if values.shape != (expected,):
        raise InputError(f"density matrices have {values.size} numbers where the setups of the atoms have {expected}")
    matrices, first = [], 0
    for setup in setups:
        matrix = np.zeros((setup.size, setup.size))
        matrix[np.triu_indices(setup.size)] = values[first : first + setup.packed]
        matrices.append(matrix + np.triu(matrix, 1).T)
        first += setup.packed
    return matrices
