"""Δ-learning on fitted atoms: ``ρ = ρ_atoms + scale · head(features of the point)``.

The superposition of fitted atoms is a density for any structure, without a DFT code; a small network learns the
difference (Δ-learning: R. Ramakrishnan, P. O. Dral, M. Rupp, O. A. von Lilienfeld, J. Chem. Theory Comput. 11, 2087
(2015)).
Two models: :class:`DeltaLocal` uses local features of the superposed density, :class:`DeltaChargE3Net` also the probe
scalars of a ChargE3Net with a smooth cutoff. Everything has two continuous derivatives in the positions of atoms and
probes, but at nuclei, where the radial functions of the network have a cusp. Equations: docs/models.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from charge3net.atoms.properties import element_properties
from charge3net.atoms.superposition import N_FEATURES, SuperposedAtoms, Surroundings, local_features, positive
from charge3net.graph.types import AtomGraph, AtomState, ProbeGraph
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import N_SPECIES, ChargE3NetLayers
from charge3net.models.checks import check_atoms, check_hyperparameters

#: e/Å³: below this density corrections are no longer in proportion to its square root.
_THIN = 0.02

#: Standardised features are bounded, smoothly, by this many standard deviations.
FEATURE_BOUND = 5.0

#: Hidden units of the network that turns properties of an element into its embedding.
_EMBEDDING_HIDDEN = 32

#: Scale of an element's embedding, and within it of what is its own beside what follows from its properties.
_EMBEDDING_SCALE, _OWN_SCALE = 0.3, 0.3


class DeltaHead(nn.Module):
    """From standardised local features and other scalars of a point to its density.

    ``ρ_atoms + p·√(ρ_atoms⁺ + 0.02 e/Å³)·MLP``, with p the presence of atoms; of a magnetisation the second term alone.
    The last layer starts at zero, so that training starts at the superposition of atoms.

    Args:
        scalars: number of scalars beside the features.
        width: hidden units of both hidden layers.
        channels: 1, or 2 for total density and magnetisation.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, scalars: int, width: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.register_buffer("spread", torch.ones(N_FEATURES))
        self.layers = nn.Sequential(
            nn.Linear(N_FEATURES + scalars, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, channels),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def standardise(self, features: Float[Tensor, "points features"]) -> None:
        """Take mean and standard deviation of these features as those of the training set."""
        self.mean.copy_(features.mean(0))
        self.spread.copy_(features.std(0).clamp_min(1e-3))

    def forward(
        self, around: Surroundings, scalars: Float[Tensor, "probes scalars"] | None = None
    ) -> Float[Tensor, "probes channels"]:
        """[probes, channels] e/Å³."""
        known = FEATURE_BOUND * torch.tanh((local_features(around) - self.mean) / (FEATURE_BOUND * self.spread))
        if scalars is not None:
            known = torch.cat([known, scalars], dim=1)
        scale = around.presence * torch.sqrt(positive(around.density) + _THIN)
        change = scale[:, None] * self.layers(known)
        return torch.cat([change[:, :1] + around.density[:, None], change[:, 1:]], dim=1)


class DeltaLocal(DensityModel):
    """Fitted atoms and a head on local features of their superposed density: no messages.

    Args:
        elements: atomic numbers that have a radial function, ascending; of a training run those of its data.
        valences, potentials: of each element.
        cutoff: Å, where the radial functions end.
        width: hidden units of the head.
        channels: 1, or 2 for total density and magnetisation.

    Raises:
        InputError: for numbers that make no model.
    """

    architecture: ClassVar[str] = "delta_local"
    fits_atoms: ClassVar[bool] = True

    def __init__(
        self,
        elements: Sequence[int] = (),
        valences: Sequence[float] = (),
        potentials: Sequence[str] = (),
        cutoff: float = 4.0,
        width: int = 64,
        channels: int = 1,
    ) -> None:
        super().__init__()
        check_hyperparameters(self.architecture, {"width": width}, cutoff, channels)
        check_atoms(self.architecture, elements, valences, potentials)
        self.cutoff, self.width, self.channels = float(cutoff), width, channels
        self.atoms = SuperposedAtoms(elements, valences, potentials, self.cutoff)
        self.head = DeltaHead(0, width, channels)

    def hyperparameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        sizes = {"cutoff": self.cutoff, "width": self.width, "channels": self.channels}
        return {**self.atoms.hyperparameters(), **sizes}

    def encode_atoms(self, atoms: AtomGraph) -> AtomState:
        """One layer, [atoms, 1]: which radial function an atom has.

        Raises:
            InputError: for an element without one.
        """
        return AtomState(atoms, (self.atoms.rows(atoms.numbers)[:, None],))

    def density_at(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes channels"]:
        """[probes, channels] e/Å³; exactly 0 where no atom is in reach."""
        return self.head(surroundings(self, self.atoms, state, probes))


class DeltaChargE3Net(ChargE3NetLayers):
    """Fitted atoms and a head on local features and on the probe scalars of a smooth ChargE3Net.

    The scalars are divided by √(1 + their mean square), so that the inputs of the head stay bounded.
    Elements enter the network by an embedding of their properties, so that new and rare ones lie between known ones.

    Args:
        elements: atomic numbers that have a radial function, ascending; of a training run those of its data.
        valences, potentials: of each element.
        lmax, mul, num_interactions, cutoff, num_basis, hidden, num_neighbors, channels: see
            :class:`charge3net.models.charge3net.ChargE3NetLayers`; the radial functions end at the same cutoff.
        embedding: scalars that stand for an element.
        width: hidden units of the head.

    Raises:
        InputError: for numbers that make no model.
    """

    architecture: ClassVar[str] = "charge3net_delta"
    fits_atoms: ClassVar[bool] = True
    properties: Tensor

    def __init__(
        self,
        elements: Sequence[int] = (),
        valences: Sequence[float] = (),
        potentials: Sequence[str] = (),
        lmax: int = 4,
        mul: int = 120,
        num_interactions: int = 3,
        cutoff: float = 4.0,
        num_basis: int = 20,
        hidden: int = 100,
        num_neighbors: float = 20.0,
        embedding: int = 16,
        width: int = 64,
        channels: int = 1,
    ) -> None:
        check_hyperparameters(self.architecture, {"embedding": embedding, "width": width}, cutoff, channels)
        check_atoms(self.architecture, elements, valences, potentials)
        sizes = (lmax, mul, num_interactions, cutoff, num_basis, hidden, num_neighbors, channels)
        super().__init__(*sizes, species=embedding, smooth=True)
        self.embedding, self.width = embedding, width
        self.atoms = SuperposedAtoms(elements, valences, potentials, self.cutoff)
        known = element_properties(dict(zip(self.atoms.elements, self.atoms.valences, strict=True)))
        self.register_buffer("properties", torch.from_numpy(known).to(torch.get_default_dtype()))
        self.embedding_net = nn.Sequential(
            nn.Linear(known.shape[1], _EMBEDDING_HIDDEN), nn.SiLU(), nn.Linear(_EMBEDDING_HIDDEN, embedding)
        )
        self.embedding_own = nn.Parameter(torch.zeros(N_SPECIES, embedding))
        self.head = DeltaHead(self.probe_irreps[-1].dim, width, channels)

    def hyperparameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **self.atoms.hyperparameters(),
            **super().hyperparameters(),
            "embedding": self.embedding,
            "width": self.width,
        }

    def species_features(self, numbers: Int[Tensor, "atoms"]) -> Float[Tensor, "atoms species"]:
        """[atoms, embedding] of the elements.

        Raises:
            InputError: for an element without a radial function.
        """
        self.atoms.rows(numbers)
        every = self.embedding_net(self.properties) + _OWN_SCALE * self.embedding_own
        return _EMBEDDING_SCALE * every.index_select(0, numbers)

    def density_at(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes channels"]:
        """[probes, channels] e/Å³; exactly 0 where no atom is in reach."""
        scalars = self.probe_features(state, probes)
        scalars = scalars / torch.sqrt(1.0 + scalars.square().mean(1, keepdim=True))
        return self.head(surroundings(self, self.atoms, state, probes), scalars)


def surroundings(model: DensityModel, atoms: SuperposedAtoms, state: AtomState, probes: ProbeGraph) -> Surroundings:
    """Sums over the superposed atoms around the probes."""
    rows = atoms.rows(state.atoms.numbers).index_select(0, probes.senders)
    vectors = probes.edge_vectors(state.atoms.positions, model.dtype)
    return atoms(rows, vectors, probes.receivers, probes.n_probes)
