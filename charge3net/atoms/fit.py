"""Atoms fitted to densities: one radial function per element, such that their superposition is near the data.

Least squares in cubic B-splines, reweighted towards absolute errors (iteratively reweighted least squares;
P. W. Holland and R. E. Welsch, Commun. Stat. A 6, 813 (1977)), for the differences from given atoms. The differences
hold no electrons, are smooth, and small where there is little to learn them from: far from the nucleus, and for
elements that stand in few compositions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.atoms.splines import fit_basis, fit_knots, table_nodes, table_of
from charge3net.geometry import Geometry
from charge3net.graph.neighbors import find_neighbors

#: Rounds of least squares.
_ROUNDS = 4

#: e/Å³: smaller residuals weigh as much as this one.
_SMALL = 0.002

#: Penalty of squared second differences of the coefficients.
_SMOOTHNESS = 1e-5

#: Penalty of squared coefficients, _TAIL·exp(2 r/Å)·(1 + _RARE / compositions with the element).
_TAIL, _GROWTH, _RARE = 1e-2, 2.0, 10.0

#: e/Å³: mean densities below it weigh as much as this one.
_THIN = 1e-3

#: Pairs of point and atom whose basis functions are formed at once.
_PAIRS = 50_000


@dataclass(frozen=True, eq=False)
class Sample:
    """Some points of a density.

    Attributes:
        geometry: the structure.
        points: [points, 3] Å.
        density: [points] e/Å³.
        mean: mean density of the structure, e/Å³.
        formula: structures of one formula count as one composition.
    """

    geometry: Geometry
    points: Float[ndarray, "points 3"]
    density: Float[ndarray, "points"]
    mean: float
    formula: str


def fit_atoms(
    samples: Sequence[Sample], start: Mapping[int, Float[ndarray, "nodes"]], valence: Mapping[int, float], reach: float
) -> dict[int, Float[ndarray, "rows"]]:
    """The radial function of each element, as coefficients of a table (:mod:`charge3net.atoms.splines`).

    Args:
        samples: what is fitted; an element that none of them holds keeps its start.
        start: atomic number → [nodes] density at the nodes of the table, e/Å³.
        valence: atomic number → electrons, for the elements of ``start``.
        reach: Å, where the functions end.
    """
    elements = sorted(start)
    knots = fit_knots(reach)
    electrons = _electrons_of_basis(knots)
    at_nodes = fit_basis(table_nodes(reach), knots)
    base = np.linalg.lstsq(at_nodes, np.stack([start[z] for z in elements], axis=1), rcond=None)[0].T
    designs = [_Design(sample, elements, knots) for sample in samples]
    penalties = _penalties(elements, samples, knots)
    missing = np.array([valence[z] for z in elements]) - base @ electrons
    change = np.zeros_like(base)
    residuals = [s.density - d.matrix @ base.ravel()[d.columns] for s, d in zip(samples, designs, strict=True)]
    for _ in range(_ROUNDS if samples else 1):
        change = _round(designs, residuals, change, penalties, electrons, missing)
    tables = table_of(at_nodes @ (base + change).T)
    return {z: tables[:, i] for i, z in enumerate(elements)}


class _Design:
    """One sample: sums of the basis functions over the atoms of each element at its points.

    Attributes:
        matrix: [points, columns] float32.
        columns: which unknowns of all those are.
        weight: of the squared residual of a point.
    """

    def __init__(self, sample: Sample, elements: Sequence[int], knots: Float[ndarray, "knots"]) -> None:
        here = np.unique(sample.geometry.numbers)
        found = find_neighbors(sample.points, sample.geometry, float(knots[-1]))
        vectors = sample.points[found.receivers] - (sample.geometry.positions[found.senders] + found.shifts)
        lengths = np.sqrt(np.einsum("ei,ei->e", vectors, vectors))
        rows = found.receivers * len(here) + np.searchsorted(here, sample.geometry.numbers)[found.senders]
        n_points, size = len(sample.points), len(knots) - 2
        sums = np.zeros((n_points * len(here), size), dtype=np.float32)
        order = np.argsort(rows, kind="stable")
        for some in np.array_split(order, len(order) // _PAIRS + 1):
            first = np.flatnonzero(np.diff(rows[some], prepend=-1))
            if len(some):
                sums[rows[some[first]]] += np.add.reduceat(fit_basis(lengths[some], knots), first, axis=0)
        self.matrix = sums.reshape(n_points, -1)
        places = np.searchsorted(elements, here)
        self.columns = (places[:, None] * size + np.arange(size)).ravel()
        self.weight = 1.0 / (n_points * max(sample.mean, _THIN))


def _round(
    designs: Sequence[_Design],
    residuals: Sequence[Float[ndarray, "points"]],
    change: Float[ndarray, "elements functions"],
    penalties: Float[ndarray, "elements functions functions"],
    electrons: Float[ndarray, "functions"],
    missing: Float[ndarray, "elements"],
) -> Float[ndarray, "elements functions"]:
    """The next change of the coefficients, with ``missing`` electrons in each element."""
    n, size = change.shape
    normal, right = np.zeros((n * size, n * size)), np.zeros(n * size)
    for i, penalty in enumerate(penalties):
        normal[i * size : (i + 1) * size, i * size : (i + 1) * size] = penalty
    for design, residual in zip(designs, residuals, strict=True):
        left = residual - design.matrix @ change.ravel()[design.columns]
        weights = (design.weight / np.maximum(np.abs(left), _SMALL)).astype(np.float32)
        weighted = design.matrix * weights[:, None]
        normal[np.ix_(design.columns, design.columns)] += weighted.T @ design.matrix
        right[design.columns] += weighted.T @ residual
    constraint = np.kron(np.eye(n), electrons)
    solved = np.linalg.solve(normal, np.column_stack([right, constraint.T]))
    free, response = solved[:, 0], solved[:, 1:]
    multipliers = np.linalg.solve(constraint @ response, missing - constraint @ free)
    return (free + response @ multipliers).reshape(n, size)


def _penalties(
    elements: Sequence[int], samples: Sequence[Sample], knots: Float[ndarray, "knots"]
) -> Float[ndarray, "elements functions functions"]:
    formulas: dict[int, set[str]] = defaultdict(set)
    for sample in samples:
        for z in np.unique(sample.geometry.numbers):
            formulas[int(z)].add(sample.formula)
    size = len(knots) - 2
    differences = np.diff(np.eye(size), n=2, axis=0)
    penalty = _SMOOTHNESS * differences.T @ differences + np.diag(_TAIL * np.exp(_GROWTH * knots[:size]))
    rarity = np.array([1.0 + _RARE / max(len(formulas[z]), 0.2) for z in elements])
    return rarity[:, None, None] * penalty


def _electrons_of_basis(knots: Float[ndarray, "knots"]) -> Float[ndarray, "functions"]:
    """∫ of every function of the basis over space, Å³."""
    x, w = np.polynomial.legendre.leggauss(6)
    half = np.diff(knots)[:, None] / 2
    r = (knots[:-1, None] + half * (1 + x)).ravel()
    return (half * w).ravel() * 4 * np.pi * r**2 @ fit_basis(r, knots)
