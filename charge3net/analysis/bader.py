"""Bader volumes: the density divided among the atoms by the surfaces that its gradient does not cross.

Charge flows uphill. The cell of a voxel is the Voronoi cell of the grid's lattice; a voxel i with density ρ_i hands its
content to the neighbours j that are higher, in proportion to the flux through the common facet,

    P_ij = (A_ij / ℓ_ij) (ρ_j − ρ_i) / Σ_k (A_ik / ℓ_ik) (ρ_k − ρ_i)        over k with ρ_k > ρ_i

with A the area of the facet and ℓ the distance of the two voxels. What starts at voxel i ends at the maximum m with
probability w_im = Σ_j P_ij w_jm. With the voxels in falling order of the density, I − P is a triangular matrix: the
integrals of any field over all volumes are one triangular solve, without the weights themselves.

Source: Yu and Trinkle, J. Chem. Phys. 134, 064111 (2011), "weight method". Every maximum belongs to its nearest atom.
The grid is taken as periodic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from pymatgen.core import Lattice
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import spsolve_triangular
from scipy.spatial import Voronoi

from charge3net.analysis.nearest import nearest_atoms
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid

#: A maximum farther than this from every atom (Å) is not that of a nucleus.
NUCLEUS = 0.5

#: Facets smaller than this fraction of the largest are rounding: voxels that touch in an edge or a corner.
_SMALLEST_FACET = 1e-6

#: Atoms per chunk of weights.
_ATOMS = 8


@dataclass(frozen=True, eq=False)
class BaderVolumes:
    """The volumes of the atoms.

    Attributes:
        geometry, grid: of the density.
        maxima: [maxima] flat index of the voxels where the density has a maximum; those of a flat region, each.
        atoms: [maxima] index of the nearest atom.
        distances: [maxima] how far it is, Å.
        order: [voxels] flat index of the voxels in falling order of the density.
        flow: [voxels, voxels] P in that order: below the diagonal.
    """

    geometry: Geometry
    grid: Grid
    maxima: Int[ndarray, "maxima"]
    atoms: Int[ndarray, "maxima"]
    distances: Float[ndarray, "maxima"]
    order: Int[ndarray, "voxels"]
    flow: csr_array

    def at_maxima(self, values: Float[ndarray, "nx ny nz"]) -> Float[ndarray, "maxima"]:
        """[maxima] integral of a field over the volume of each maximum; electrons for a field in e/Å³."""
        field = np.asarray(values, dtype=np.float64).reshape(-1)[self.order]
        arrived = spsolve_triangular(self._system.T.tocsr(), field, lower=False, unit_diagonal=True)
        return arrived[self._rank[self.maxima]] * self.grid.voxel_volume

    def integrate(self, values: Float[ndarray, "nx ny nz"]) -> Float[ndarray, "atoms"]:
        """[atoms] integral of a field on the same grid over the volume of each atom; electrons for a field in e/Å³."""
        return np.bincount(self.atoms, weights=self.at_maxima(values), minlength=len(self.geometry))

    def owners(self) -> Int[ndarray, "nx ny nz"]:
        """[nx, ny, nz] index of the atom to which most of each voxel belongs."""
        best = np.zeros(len(self.grid))
        owner = np.zeros(len(self.grid), dtype=np.int64)
        for start in range(0, len(self.geometry), _ATOMS):
            block = np.arange(start, min(start + _ATOMS, len(self.geometry)))
            ends = np.zeros((len(self.grid), len(block)))
            mine = np.isin(self.atoms, block)
            ends[self._rank[self.maxima[mine]], self.atoms[mine] - start] = 1.0
            weights = spsolve_triangular(self._system, ends, lower=True, unit_diagonal=True)
            largest = weights.max(axis=1)
            better = largest > best
            best[better], owner[better] = largest[better], block[weights[better].argmax(axis=1)]
        return owner[self._rank].reshape(self.grid.shape)

    def without_maximum(self) -> Int[ndarray, "some"]:
        """Indices of atoms with no maximum within :data:`NUCLEUS`: what is near them belongs to a neighbour."""
        found = np.unique(self.atoms[self.distances < NUCLEUS])
        return np.setdiff1d(np.arange(len(self.geometry)), found)

    def not_at_a_nucleus(self, values: Float[ndarray, "nx ny nz"]) -> float:
        """Integral of a field over the volumes of maxima that are farther than :data:`NUCLEUS` from every atom."""
        return float(self.at_maxima(values)[self.distances >= NUCLEUS].sum())

    @property
    def _system(self) -> csr_array:
        """I − P."""
        return csr_array(eye_array(len(self.grid), format="csr") - self.flow)

    @property
    def _rank(self) -> Int[ndarray, "voxels"]:
        """[voxels] place of each voxel in the order."""
        rank = np.empty(len(self.order), dtype=np.int64)
        rank[self.order] = np.arange(len(self.order))
        return rank


def bader_volumes(density: Density, core: Float[ndarray, "nx ny nz"] | None = None) -> BaderVolumes:
    """The Bader volumes of the total density.

    A smooth valence density need not have a maximum at every nucleus: see :meth:`BaderVolumes.without_maximum`.

    Args:
        density: periodic density with its atoms.
        core: [nx, ny, nz] e/Å³ of the electrons that it leaves out (:func:`charge3net.analysis.cores.core_density`),
            added to find the volumes.
    """
    values = np.asarray(density.total, dtype=np.float64)
    values = values if core is None else values + core
    order = np.argsort(-values.reshape(-1), kind="stable")
    flow = _flow(values, density.grid)
    maxima = np.flatnonzero(np.diff(flow.indptr) == 0)
    nearest = nearest_atoms(density.grid.points(maxima), density.geometry)
    return BaderVolumes(
        geometry=density.geometry,
        grid=density.grid,
        maxima=maxima,
        atoms=nearest.atoms,
        distances=nearest.distances,
        order=order,
        flow=flow[order][:, order],
    )


def bader_charges(density: Density, core: Float[ndarray, "nx ny nz"] | None = None) -> Float[ndarray, "atoms"]:
    """[atoms] electrons of the density in the Bader volume of each atom; their sum is the number of its electrons.

    Args as for :func:`bader_volumes`; the core is not counted.
    """
    return bader_volumes(density, core).integrate(density.total)


def _flow(values: Float[ndarray, "nx ny nz"], grid: Grid) -> csr_array:
    """[voxels, voxels] P, voxels in C order; rows of maxima are empty."""
    steps = grid.cell / np.array(grid.shape)[:, None]
    index = np.arange(values.size).reshape(values.shape)
    rows, columns, fluxes = [], [], []
    for shift, conductance in _facets(tuple(map(tuple, steps.tolist()))):
        back = tuple(-s for s in shift)
        rise = np.roll(values, back, axis=(0, 1, 2)) - values
        up = rise > 0.0
        rows.append(index[up])
        columns.append(np.roll(index, back, axis=(0, 1, 2))[up])
        fluxes.append(conductance * rise[up])
    shape = (values.size, values.size)
    flux = csr_array((np.concatenate(fluxes), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
    total = flux.sum(axis=1)
    flux.data /= np.repeat(total, np.diff(flux.indptr))
    return flux


@lru_cache(maxsize=16)
def _facets(steps: tuple[tuple[float, ...], ...]) -> list[tuple[tuple[int, int, int], float]]:
    """Neighbours of a voxel of the lattice with these step vectors: (shift in voxels, A / ℓ in Å)."""
    lattice = Lattice(np.array(steps))
    mapping = np.rint(lattice.get_lll_reduced_lattice().matrix @ np.linalg.inv(lattice.matrix)).astype(int)
    around = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = around @ (mapping @ lattice.matrix)
    centre = len(around) // 2
    cells = Voronoi(points)
    found = []
    for pair, corners in zip(cells.ridge_points, cells.ridge_vertices, strict=True):
        if centre in pair and -1 not in corners:
            other = int(pair.sum()) - centre
            area = _area(cells.vertices[corners], points[other])
            found.append((around[other] @ mapping, area, float(np.linalg.norm(points[other]))))
    largest = max(area for _, area, _ in found)
    large = [(shift, area / length) for shift, area, length in found if area > _SMALLEST_FACET * largest]
    return [((int(s[0]), int(s[1]), int(s[2])), conductance) for s, conductance in large]


def _area(corners: Float[ndarray, "corners 3"], normal: Float[ndarray, "3"]) -> float:
    """Area of a convex polygon with corners in any order."""
    centred = corners - corners.mean(axis=0)
    _, _, axes = np.linalg.svd(np.asarray(normal)[None])
    x, y = axes[1:] @ centred.T
    around = np.argsort(np.arctan2(y, x))
    x, y = x[around], y[around]
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
