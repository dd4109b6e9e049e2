"""Geometry: atomic numbers, positions, cell and periodicity of a structure as arrays."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from charge3net.errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Structure
else:  # annotations resolve without importing pymatgen
    Structure = Any

MAX_ATOMIC_NUMBER = 118


@dataclass(frozen=True, eq=False)
class Geometry:
    """Atoms in a cell.

    Attributes:
        numbers: [atoms] atomic numbers Z, 1 … 118 (0 = unknown species).
        positions: [atoms, 3] Cartesian positions in Å; they need not lie inside the cell.
        cell: [3, 3] lattice vectors as rows, in Å.
        pbc: [3] which lattice vectors are periodic.

    Raises:
        InputError: on wrong shapes, non-finite numbers, an unknown atomic number, no atom, or a cell without volume
            where it is periodic.
    """

    numbers: Int[ndarray, "atoms"]
    positions: Float[ndarray, "atoms 3"]
    cell: Float[ndarray, "3 3"]
    pbc: Bool[ndarray, "3"]

    def __post_init__(self) -> None:
        numbers = np.ascontiguousarray(self.numbers, dtype=np.int64)
        positions = np.ascontiguousarray(self.positions, dtype=np.float64)
        cell = np.ascontiguousarray(self.cell, dtype=np.float64)
        pbc = np.broadcast_to(np.asarray(self.pbc, dtype=bool), (3,)).copy()
        if numbers.ndim != 1 or len(numbers) == 0:
            raise InputError("a structure needs at least one atom")
        if positions.shape != (len(numbers), 3) or cell.shape != (3, 3):
            raise InputError(
                f"positions must be [{len(numbers)}, 3] and the cell [3, 3], found {positions.shape} and {cell.shape}"
            )
        if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
            raise InputError("positions and cell must be finite numbers")
        if numbers.min() < 0 or numbers.max() > MAX_ATOMIC_NUMBER:
            raise InputError(f"atomic numbers must be 0 … {MAX_ATOMIC_NUMBER}, found {numbers.min()} … {numbers.max()}")
        if pbc.all() and abs(np.linalg.det(cell)) < 1e-6:
            raise InputError("a periodic structure needs a cell with a volume, found lattice vectors in one plane")
        for name, value in (("numbers", numbers), ("positions", positions), ("cell", cell), ("pbc", pbc)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def volume(self) -> float:
        """Volume of the cell in Å³."""
        return float(abs(np.linalg.det(self.cell)))

    @cached_property
    def complete_cell(self) -> Float[ndarray, "3 3"]:
        """[3, 3] Å: the cell with unit vectors normal to the periodic ones in place of those that are not periodic.

        It spans space for any periodicity. Only lattice translations along periodic vectors occur, so the choice of the
        others does not matter; molecules often have none.
        """
        cell = self.cell.copy()
        if not self.pbc.all():
            _, _, basis = np.linalg.svd(cell[self.pbc].reshape(-1, 3))
            cell[~self.pbc] = basis[int(self.pbc.sum()) :]
        cell.setflags(write=False)
        return cell

    @property
    def formula(self) -> str:
        """Reduced formula, ``"LiCoO2"``; of a structure without periodicity that of the molecule, ``"C6H6"`` (Hill)."""
        from pymatgen.core import Composition, DummySpecies, Element

        species = [Element.from_Z(int(z)) if z > 0 else DummySpecies("X") for z in self.numbers]
        composition = Composition({kind: species.count(kind) for kind in set(species)})
        if self.pbc.any():
            with warnings.catch_warnings():  # noble gases have no electronegativity, by which pymatgen sorts
                warnings.filterwarnings("ignore", "No Pauling electronegativity", UserWarning)
                return composition.reduced_formula
        return str(composition.hill_formula).replace(" ", "")

    @classmethod
    def of(cls, structure: Any) -> Geometry:
        """From a pymatgen Structure or Molecule, ASE Atoms, or a Geometry (returned as it is).

        Raises:
            InputError: for other types, partial occupation (a single species with an occupancy within 0.001 of 1 is
                whole), and dummy or ghost atoms.
        """
        if isinstance(structure, cls):
            return structure
        if hasattr(structure, "get_atomic_numbers"):  # ase.Atoms
            numbers = structure.get_atomic_numbers()
            if (numbers == 0).any():
                raise InputError(_DUMMY.format(int(np.argmin(numbers)), "X"))
            return cls(numbers, structure.get_positions(), np.array(structure.cell), structure.pbc)
        if not hasattr(structure, "sites"):
            raise InputError(
                f"expected a pymatgen Structure or Molecule or ASE Atoms, found {type(structure).__name__}"
            )
        numbers = np.array([_atomic_number(i, site.species) for i, site in enumerate(structure.sites)], dtype=np.int64)
        lattice = getattr(structure, "lattice", None)
        cell = np.zeros((3, 3)) if lattice is None else lattice.matrix
        pbc = np.zeros(3, dtype=bool) if lattice is None else np.array(lattice.pbc)
        return cls(numbers, np.array(structure.cart_coords), cell, pbc)

    def to_structure(self) -> Structure:
        """The same as a pymatgen Structure (positions are not wrapped into the cell)."""
        from pymatgen.core import DummySpecies, Element, Lattice, Structure

        species = [Element.from_Z(int(z)) if z > 0 else DummySpecies("X") for z in self.numbers]
        a, b, c = (bool(periodic) for periodic in self.pbc)
        lattice = Lattice(self.cell, pbc=(a, b, c))
        return Structure(lattice, species, self.positions, coords_are_cartesian=True)

    def with_cell(self, cell: Float[ndarray, "3 3"]) -> Geometry:
        """The same atoms in another cell."""
        return Geometry(self.numbers, self.positions, cell, self.pbc)


_DUMMY = "site {} ({}) is a dummy or ghost atom without an element; remove it from the structure"


def _atomic_number(index: int, composition: Any) -> int:
    """Atomic number of the one species of a site."""
    if len(composition) != 1 or abs(composition.num_atoms - 1.0) > 1e-3:
        raise InputError("the structure has sites with partial occupation; order it first (one species per site)")
    (species,) = composition
    if type(species).__name__ == "DummySpecies":  # its Z is no atomic number
        raise InputError(_DUMMY.format(index, species))
    return int(species.Z)
