"""What a predictor knows of its training set, and what of a structure is unlike it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from charge3net.atoms.known import KnownSurroundings
from charge3net.atoms.neighbourhood import neighbourhood_features
from charge3net.atoms.superposition import SuperposedAtoms
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.models.base import DensityModel

#: Elements that fewer training structures hold than this are named.
RARE = 4


@dataclass(frozen=True)
class TrainingSet:
    """What is known of the structures that a model was trained on.

    Attributes:
        elements: atomic number → number of training structures that hold it.
        surroundings: those of its atoms; None where they are not known.
        far: atoms at a larger distance from the surroundings than this are named.
    """

    elements: Mapping[int, int]
    surroundings: KnownSurroundings | None = None
    far: float = float("inf")

    def compare(self, model: DensityModel, geometry: Geometry) -> dict[str, Any]:
        """How like the training set a structure is.

        Returns:
            ``rare_elements`` (symbol → number of training structures), ``distance`` (mean over atoms; None where it is
            not known or infinite) and ``farthest`` (of an atom), ``far_atoms`` (symbol → number of atoms), ``flags``
            (sentences).
        """
        from ase.data import chemical_symbols

        present = {int(z) for z in geometry.numbers}
        rare = {chemical_symbols[z]: self.elements.get(z, 0) for z in sorted(present) if self.elements.get(z, 0) < RARE}
        found: dict[str, Any] = {
            "rare_elements": rare,
            "distance": None,
            "farthest": None,
            "far_atoms": {},
            "flags": [],
        }
        if rare:
            each = ", ".join(f"{symbol} ({count})" for symbol, count in rare.items())
            found["flags"].append(f"fewer than {RARE} training structures hold {each}")
        atoms = getattr(model, "atoms", None)
        if self.surroundings is None or not isinstance(atoms, SuperposedAtoms):
            return found
        graph = build_atom_graph(geometry, model.cutoff).to(atoms.table.device)
        distances = self.surroundings.distances(geometry.numbers, neighbourhood_features(atoms, graph).cpu().numpy())
        if len(distances) and np.isfinite(distances).all():
            found |= {"distance": float(distances.mean()), "farthest": float(distances.max())}
        numbers, counts = np.unique(geometry.numbers[distances > self.far], return_counts=True)
        found["far_atoms"] = {chemical_symbols[z]: int(n) for z, n in zip(numbers, counts, strict=True)}
        if len(numbers):
            atoms_named = ", ".join(f"{n} {symbol}" for symbol, n in found["far_atoms"].items())
            found["flags"].append(
                f"the surroundings of {atoms_named} (of {len(geometry)} atoms) are unlike all that was trained on: "
                f"distance up to {distances.max():.2g}, mostly below {self.far:.2g} even in new compositions"
            )
        return found
