"""What one atom's removal does to the charges of the others and to the density.

With q_a the electrons in the Bader volume of atom a, before and after, Δq_a = q_a(after) − q_a(before) for every atom
that stays. A prediction is judged by

    ε_Δq = Σ_a |Δq̂_a − Δq_a| / Σ_a |Δq_a|

over all atoms that stay or over those near the vacancy, and by the same measure of the difference density
Δρ = ρ(before) − ρ(after),

    ε_Δρ = ∫|Δρ̂ − Δρ| / ∫|Δρ|

over the cell or within a radius of the vacancy. Predicting no change at all gives 100 % in either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from charge3net.analysis.nearest import nearest_atoms
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: Atoms of the two cells closer than this (Å) are the same atom.
SAME = 1e-2


@dataclass(frozen=True, eq=False)
class Removal:
    """Two cells, the second without one atom of the first.

    Attributes:
        removed: index of that atom in the first.
        kept: [atoms] index in the first of each atom of the second.
        numbers: [atoms] atomic numbers of the atoms that stay.
        vacancy: [3] where the removed atom was, Å.
        distances: [atoms] from there to the atoms that stay, nearest image, Å.
    """

    removed: int
    kept: Int[ndarray, "atoms"]
    numbers: Int[ndarray, "atoms"]
    vacancy: Float[ndarray, "3"]
    distances: Float[ndarray, "atoms"]

    def changes(self, before: Float[ndarray, "atoms1"], after: Float[ndarray, "atoms"]) -> Float[ndarray, "atoms"]:
        """[atoms] Δq of the atoms that stay, from the charges of all atoms of either cell."""
        return after - before[self.kept]


def find_removal(before: Geometry, after: Geometry) -> Removal:
    """Which atom was removed.

    Raises:
        InputError: if the second cell is not the first without one atom, all others in their places.
    """
    problem = "the second structure must be the first without one atom, everything else in its place"
    if len(after) != len(before) - 1 or not np.allclose(before.cell, after.cell, rtol=0.0, atol=1e-5):
        raise InputError(f"{problem}; found {len(before)} and {len(after)} atoms, or another cell")
    nearest = nearest_atoms(after.positions, before)
    removed = np.setdiff1d(np.arange(len(before)), nearest.atoms)
    moved = nearest.distances.max(initial=0.0) > SAME
    if len(removed) != 1 or moved or (before.numbers[nearest.atoms] != after.numbers).any():
        raise InputError(f"{problem}; an atom moved by more than {SAME} Å or became another element")
    index = int(removed[0])
    vacancy = before.positions[index]
    return Removal(index, nearest.atoms, after.numbers, vacancy, _distances(after.positions, vacancy, before))


def near_vacancy(removal: Removal, grid: Grid, geometry: Geometry, radius: float) -> Bool[ndarray, "nx ny nz"]:
    """[nx, ny, nz] which voxels lie within ``radius`` Å of the removed atom's place or an image of it."""
    return (_distances(grid.points(), removal.vacancy, geometry) <= radius).reshape(grid.shape)


def transfer_error(prediction: Float[ndarray, "atoms"], target: Float[ndarray, "atoms"]) -> float:
    """ε_Δq in % (see the module's text); NaN where nothing changes."""
    whole = float(np.abs(target).sum())
    return 100.0 * float(np.abs(prediction - target).sum()) / whole if whole > 0.0 else float("nan")


def difference_error(
    prediction: tuple[Density, Density],
    target: tuple[Density, Density],
    where: Bool[ndarray, "nx ny nz"] | None = None,
) -> float:
    """ε_Δρ in % (see the module's text).

    Args:
        prediction, target: densities before and after, all four on one grid.
        where: voxels that count; None takes all.

    Raises:
        InputError: if the grids differ.
    """
    predicted, true = (np.asarray(before.difference(after).total, np.float64) for before, after in (prediction, target))
    if not prediction[0].grid.same_as(target[0].grid):
        raise InputError(f"the grids differ: {prediction[0].grid.shape} and {target[0].grid.shape}")
    chosen = np.ones(true.shape, dtype=bool) if where is None else where
    whole = float(np.abs(true[chosen]).sum())
    return 100.0 * float(np.abs(predicted - true)[chosen].sum()) / whole if whole > 0.0 else float("nan")


def _distances(points: Float[ndarray, "points 3"], centre: Float[ndarray, "3"], cell: Geometry) -> ndarray:
    """[points] to the nearest image of a point."""
    single = Geometry(np.array([1]), np.asarray(centre)[None], cell.cell, cell.pbc)
    return nearest_atoms(points, single).distances
