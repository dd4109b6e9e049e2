"""FittedAtoms: the density as a superposition of atoms, one radial function per element. No network; a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from charge3net.atoms.superposition import SuperposedAtoms
from charge3net.graph.types import AtomGraph, AtomState, ProbeGraph
from charge3net.models.base import DensityModel
from charge3net.models.checks import check_atoms, check_hyperparameters


class FittedAtoms(DensityModel):
    """ρ(r) = Σ over atoms of f_Z(|r − R|), with f_Z fitted to the training set (:mod:`charge3net.atoms`).

    Args:
        elements: atomic numbers that have a function, ascending; of a training run those of its data.
        valences, potentials: of each element.
        cutoff: Å, where the functions end.

    Raises:
        InputError: for elements without valence or potential, or a cutoff that is no multiple of 0.1 Å.
    """

    architecture: ClassVar[str] = "fitted_atoms"
    fits_atoms: ClassVar[bool] = True

    def __init__(
        self,
        elements: Sequence[int] = (),
        valences: Sequence[float] = (),
        potentials: Sequence[str] = (),
        cutoff: float = 4.0,
    ) -> None:
        super().__init__()
        check_hyperparameters(self.architecture, {}, cutoff, channels=1)
        check_atoms(self.architecture, elements, valences, potentials)
        self.cutoff, self.channels = float(cutoff), 1
        self.atoms = SuperposedAtoms(elements, valences, potentials, self.cutoff)

    def hyperparameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**self.atoms.hyperparameters(), "cutoff": self.cutoff}

    def encode_atoms(self, atoms: AtomGraph) -> AtomState:
        """One layer, [atoms, 1]: nothing but which function an atom has is needed.

        Raises:
            InputError: for an element without a function.
        """
        return AtomState(atoms, (self.atoms.rows(atoms.numbers)[:, None],))

    def density_at(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes channels"]:
        """[probes, 1] e/Å³; exactly 0 where no atom is in reach."""
        rows = state.layers[0].squeeze(1).index_select(0, probes.senders)
        vectors = probes.edge_vectors(state.atoms.positions, self.dtype)
        return self.atoms.density(rows, vectors, probes.receivers, probes.n_probes)[:, None]

    @property
    def dtype(self) -> torch.dtype:
        """dtype of the functions; there are no weights."""
        return self.atoms.table.dtype

    @property
    def device(self) -> torch.device:
        """Where the functions are."""
        return self.atoms.table.device
