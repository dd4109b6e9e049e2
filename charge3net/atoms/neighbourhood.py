"""The surroundings of an atom as numbers: local features, at its nucleus, of the superposed density of all others."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from charge3net.atoms.superposition import SuperposedAtoms, local_features
from charge3net.graph.types import AtomGraph


def neighbourhood_features(atoms: SuperposedAtoms, graph: AtomGraph) -> Float[Tensor, "atoms features"]:
    """[atoms, features] :func:`charge3net.atoms.superposition.local_features`, the atom itself left out.

    Invariant under rotations and permutations; the same for every training seed, as the fitted atoms are nearly so.

    Args:
        atoms: the atoms, on the CPU or where the graph is.
        graph: with a cutoff that is not below their reach.

    Raises:
        InputError: for an element without an atom.
    """
    with torch.no_grad():
        rows = atoms.rows(graph.numbers).index_select(0, graph.senders)
        vectors = graph.edge_vectors(atoms.table.dtype)
        return local_features(atoms(rows, vectors, graph.receivers, graph.n_atoms))
