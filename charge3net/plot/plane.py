"""A plane through a structure, and a periodic field interpolated on it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.analysis.molecules import find_molecules
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.neighbors import find_neighbors

#: Atoms within this distance of a plane (Å) count as lying in it.
IN_PLANE = 0.25

#: Atoms of a molecule this near to the plane (Å) lie within its window, with this much room around them (Å).
NEAR_PLANE, AROUND = 1.0, 1.6


@dataclass(frozen=True, eq=False)
class Plane:
    """A square window on a plane.

    Attributes:
        centre: [3] its middle in Å.
        right, up: [3] orthogonal unit vectors that span it.
        size: side of the window in Å.
    """

    centre: Float[ndarray, "3"]
    right: Float[ndarray, "3"]
    up: Float[ndarray, "3"]
    size: float

    @classmethod
    def through_points(cls, points: Float[ndarray, "3 3"], size: float) -> Plane:
        """The plane of three points, centred on them, its horizontal axis along the first two.

        Raises:
            InputError: for three points on a line, or a size that is not positive.
        """
        if not size > 0:
            raise InputError(f"the size of a slice is a positive length in Å, found {size}")
        first, second = points[1] - points[0], points[2] - points[0]
        normal = np.cross(first, second)
        length = np.linalg.norm(first) * np.linalg.norm(second)
        if length == 0.0 or np.linalg.norm(normal) < 1e-3 * length:
            raise InputError("three atoms on a line span no plane; choose another atom")
        right = first / np.linalg.norm(first)
        up = np.cross(normal / np.linalg.norm(normal), right)
        return cls(points.mean(axis=0), right, up, size)

    @classmethod
    def through_atoms(cls, geometry: Geometry, atoms: Sequence[int], size: float | None = None) -> Plane:
        """The plane of three atoms (0-based indices).

        Three atoms of one molecule are taken as it lies together, and the window shows the whole molecule, also if the
        walls of the cell cut it; of other atoms the second and third are taken at their image nearest the first.

        Args:
            geometry: the structure.
            atoms: three indices from 0.
            size: side of the window in Å; None takes 7, or what the molecule needs.

        Raises:
            InputError: for indices that are not three atoms of the structure, or atoms on a line.
        """
        if len(atoms) != 3 or len(set(atoms)) != 3 or not all(0 <= a < len(geometry) for a in atoms):
            raise InputError(
                f"a plane needs three different atoms, indices 0 … {len(geometry) - 1}; found {list(atoms)}"
            )
        for molecule in find_molecules(geometry):
            if not molecule.endless and np.isin(atoms, molecule.atoms).all():
                own = {int(atom): place for atom, place in zip(molecule.atoms, molecule.positions, strict=True)}
                moved = geometry.positions[atoms[0]] - own[atoms[0]]
                return cls._around_molecule(np.array([own[a] for a in atoms]) + moved, molecule.positions + moved, size)
        points = [geometry.positions[atoms[0]]]
        for atom in atoms[1:]:
            images, owners = _surroundings(geometry, points[0], _reach(geometry))
            own = images[owners == atom]
            points.append(own[np.argmin(np.linalg.norm(own - points[0], axis=1))])
        return cls.through_points(np.array(points), 7.0 if size is None else size)

    @classmethod
    def _around_molecule(
        cls, points: Float[ndarray, "3 3"], positions: Float[ndarray, "n 3"], size: float | None
    ) -> Plane:
        """The plane of three points, its window centred on the molecule's atoms within it and large enough for them."""
        plane = cls.through_points(points, 7.0 if size is None else size)
        offset = positions - plane.centre
        near = offset[np.abs(offset @ plane.normal) < NEAR_PLANE]
        places = np.stack([near @ plane.right, near @ plane.up], axis=1)
        low, high = places.min(axis=0), places.max(axis=0)
        right, up = (low + high) / 2
        needed = float((high - low).max()) + 2.0 * AROUND
        return cls(
            plane.centre + right * plane.right + up * plane.up,
            plane.right,
            plane.up,
            max(7.0, needed) if size is None else size,
        )

    @classmethod
    def through_most_atoms(cls, geometry: Geometry, size: float = 7.0) -> Plane:
        """The plane through an atom and two of its neighbours with most atoms in its window.

        Of several such planes that of the shortest distances is taken, then the first; the order of neighbours that are
        equally far does not matter. If all atoms lie on one line, it is a plane that holds the line.

        Raises:
            InputError: for a size that is not positive.
        """
        best: tuple[int, float, Plane] | None = None
        for atom in range(min(len(geometry), 64)):
            centre = geometry.positions[atom]
            for first, second in itertools.combinations(_closest(geometry, centre, 6), 2):
                try:
                    plane = cls.through_points(np.stack([centre, first, second]), size)
                except InputError:
                    continue
                count = len(plane.atoms_in(geometry)[0])
                spread = round(float(np.linalg.norm(first - centre) + np.linalg.norm(second - centre)), 4)
                if best is None or (count, -spread) > (best[0], -best[1]):
                    best = (count, spread, plane)
        return cls._along_line(geometry, size) if best is None else best[2]

    @classmethod
    def _along_line(cls, geometry: Geometry, size: float) -> Plane:
        """One of the planes that hold the line on which all atoms lie, or the only atom, centred on them."""
        centre = geometry.positions.mean(axis=0)
        offsets = geometry.positions - centre
        along = offsets[np.argmax(np.linalg.norm(offsets, axis=1))]
        if np.linalg.norm(along) < 1e-6:
            along = np.array([1.0, 0.0, 0.0])
        other = np.eye(3)[np.argmin(np.abs(along))]
        plane = cls.through_points(np.stack([centre, centre + along, centre + other]), size)
        return cls(centre, plane.right, plane.up, size)

    @property
    def normal(self) -> Float[ndarray, "3"]:
        """[3] unit normal."""
        return np.cross(self.right, self.up)

    def points(self, n: int) -> Float[ndarray, "n n 3"]:
        """[n, n, 3] positions in Å; rows run along ``up``, columns along ``right``."""
        steps = (np.arange(n) / (n - 1) - 0.5) * self.size
        return self.centre + steps[:, None, None] * self.up + steps[None, :, None] * self.right

    def atoms_in(self, geometry: Geometry) -> tuple[Int[ndarray, "atoms"], Float[ndarray, "atoms 2"]]:
        """[atoms] atomic numbers of atoms and images in the window, and [atoms, 2] their places, Å from its centre."""
        images, owners = _surroundings(geometry, self.centre, self.size * 0.75)
        offset = images - self.centre
        place = np.stack([offset @ self.right, offset @ self.up], axis=1)
        keep = (np.abs(offset @ self.normal) < IN_PLANE) & (np.abs(place) < self.size / 2).all(axis=1)
        return geometry.numbers[owners[keep]], place[keep]


def _surroundings(
    geometry: Geometry, centre: Float[ndarray, "3"], radius: float
) -> tuple[Float[ndarray, "images 3"], Int[ndarray, "images"]]:
    """Positions of atoms and images within a radius of a point, and the indices of the atoms."""
    neighbors = find_neighbors(np.asarray(centre)[None], geometry, radius)
    owners = np.asarray(neighbors.senders)
    return geometry.positions[owners] + np.asarray(neighbors.shifts), owners


def _closest(geometry: Geometry, centre: Float[ndarray, "3"], count: int) -> list[Float[ndarray, "3"]]:
    """Positions of the ``count`` atoms and images closest to an atom at ``centre`` without itself, nearest first."""
    images = np.zeros((0, 3))
    for radius in (3.0, 6.0, 12.0, 40.0):
        images, _ = _surroundings(geometry, centre, radius)
        if len(images) > count:
            break
    offsets = np.round(images - centre, 4) + 0.0
    distances = np.round(np.linalg.norm(images - centre, axis=1), 4)
    order = np.lexsort((*offsets.T, distances))  # equal distances: by direction
    return [images[i] for i in order if distances[i] > 1e-3][:count]


def _reach(geometry: Geometry) -> float:
    """A radius that includes an image of every atom and, in a crystal, several of each."""
    periodic = np.linalg.norm(geometry.cell[geometry.pbc], axis=1).sum()
    extent = np.ptp(geometry.positions, axis=0)
    return float(min(max(periodic, np.linalg.norm(extent)) + 1.0, 40.0))
