"""Checks that every density model must pass, for adding a model.

:class:`DensityModelTests` has all of them as tests for pytest; subclass it and say how a model is made. Each
``assert_…`` takes a model, a structure and probe points (Å), and raises AssertionError with the largest deviation,
relative to the largest density, when a symmetry of the problem is broken. ``hard_structures`` are difficult cases.
"""

from charge3net.testing.checks import (
    assert_batch_invariant,
    assert_chunk_invariant,
    assert_equivariant,
    assert_gradients,
    assert_lattice_invariant,
    assert_permutation_invariant,
    density_at,
)
from charge3net.testing.structures import hard_structures, points_near
from charge3net.testing.suite import DensityModelTests

__all__ = [
    "DensityModelTests",
    "assert_batch_invariant",
    "assert_chunk_invariant",
    "assert_equivariant",
    "assert_gradients",
    "assert_lattice_invariant",
    "assert_permutation_invariant",
    "density_at",
    "hard_structures",
    "points_near",
]
