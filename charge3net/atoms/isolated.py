"""Isolated atoms of a code, from a file: where a fit starts, and what stays of it where an element is rare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.atoms.splines import table_nodes
from charge3net.errors import InputError
from charge3net.geometry import MAX_ATOMIC_NUMBER


@dataclass(frozen=True, eq=False)
class IsolatedAtoms:
    """Radial densities of neutral atoms.

    Attributes:
        radii: [points] Å, ascending from 0; the densities are 0 beyond the last.
        density: atomic number → [points] e/Å³.
        valence: atomic number → ∫ of its density, the electrons of its potential.
        potentials: atomic number → name of the potential.
    """

    radii: Float[ndarray, "points"]
    density: Mapping[int, Float[ndarray, "points"]]
    valence: Mapping[int, float]
    potentials: Mapping[int, str]

    def at_nodes(self, number: int, reach: float) -> Float[ndarray, "nodes"]:
        """[nodes] the density of an element at the nodes of a table."""
        return np.interp(table_nodes(reach), self.radii, self.density[number], right=0.0)


def read_isolated_atoms(path: str | Path) -> IsolatedAtoms:
    """Atoms from a .npz file with ``numbers`` [elements], ``radii`` [points] (Å), ``density`` [elements, points]
    (e/Å³), ``valence`` [elements] and ``setups`` [elements] (names), as ``data_prep/isolated_atoms/gpaw_pbe.npz``.

    Raises:
        InputError: if the file cannot be read, lacks one of these, or they do not belong together.
    """
    names = ("numbers", "radii", "density", "valence", "setups")
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in names if name in file}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not a readable .npz file ({error}); give a table of isolated atoms") from error
    if missing := [name for name in names if name not in found]:
        raise InputError(f"{path}: lacks {', '.join(missing)}; a table of isolated atoms has {', '.join(names)}")
    numbers, radii, density = found["numbers"], found["radii"].astype(float), found["density"].astype(float)
    fits = density.shape == (len(numbers), len(radii)) and len(found["valence"]) == len(found["setups"]) == len(numbers)
    if not fits or len(numbers) == 0 or numbers.min() < 1 or numbers.max() > MAX_ATOMIC_NUMBER:
        raise InputError(f"{path}: numbers, radii, density, valence and setups do not belong together; make it again")
    if not np.isfinite(density).all() or radii[0] != 0 or (np.diff(radii) <= 0).any():
        raise InputError(f"{path}: radii must ascend from 0 Å, and densities be finite numbers; make it again")
    z = [int(number) for number in numbers]
    return IsolatedAtoms(
        radii,
        dict(zip(z, density, strict=True)),
        dict(zip(z, found["valence"].astype(float).tolist(), strict=True)),
        dict(zip(z, map(str, found["setups"]), strict=True)),
    )
