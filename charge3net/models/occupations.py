"""Density matrices of PAW atoms from the atom features of a trained ChargE3Net.

One more layer of messages over the features of a trained density model, whose weights stay as they are, then a linear
map to the irreps of D (:mod:`charge3net.paw.matrices`). What is learned is the difference from the neutral atom:
``D = D_neutral + mean of the element (L = 0) + spread of the element · output``. Equivariant by construction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from charge3net.errors import InputError
from charge3net.graph.types import AtomGraph, AtomState
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import N_SPECIES, ChargE3NetLayers
from charge3net.nn.convolution import Convolution
from charge3net.nn.e3nn import o3
from charge3net.nn.edges import Edges
from charge3net.nn.irreps import Gate, IrrepsLinear, hidden_irreps, reachable, split
from charge3net.nn.radial_charge3net import SmoothGaussianBasis
from charge3net.paw.matrices import IRREPS, from_irreps, held, to_irreps
from charge3net.paw.setups import Setup

#: Atoms that a spread over all elements counts for, beside those of the element.
_PRIOR = 3.0

#: Copies of irreps in a flat tensor, and the scalars, which come first.
COPIES = sum(mul for mul, _ in IRREPS)
SCALARS = IRREPS.count(o3.Irrep("0e"))


class OccupationHead(nn.Module):
    """From atom features to the difference of density matrices from neutral atoms.

    Args:
        features: irreps of the atom features.
        setups: of each element that has one.
        lmax: highest order that is predicted; higher ones stay zero.
        mul: numbers per parity of the layer, shared over l = 0 … lmax.
        cutoff: Å, of the messages.
        num_basis, hidden: radial functions and width of the radial network.
        num_neighbors: messages are divided by its square root.

    Raises:
        InputError: for two setups of one element.
    """

    centre: Tensor
    spread: Tensor
    known: Tensor

    def __init__(
        self,
        features: str,
        setups: Iterable[Setup],
        lmax: int = 4,
        mul: int = 60,
        cutoff: float = 4.0,
        num_basis: int = 20,
        hidden: int = 64,
        num_neighbors: float = 20.0,
    ) -> None:
        super().__init__()
        self.features, self.setups = o3.Irreps(features), {setup.number: setup for setup in setups}
        self.lmax, self.mul, self.cutoff = lmax, mul, float(cutoff)
        self.num_basis, self.hidden, self.num_neighbors = num_basis, hidden, float(num_neighbors)
        self.basis = SmoothGaussianBasis(num_basis, self.cutoff)
        self.gate = Gate(reachable(self.features, lmax, hidden_irreps(lmax, mul)))
        sizes = (lmax, num_basis, hidden, self.num_neighbors)
        self.layer = Convolution(self.features, self.features, self.gate.irreps_in, *sizes, smooth=True)
        self.readout = IrrepsLinear(self.gate.irreps_out, IRREPS)
        self.register_buffer("centre", torch.zeros(N_SPECIES, SCALARS))
        self.register_buffer("spread", torch.zeros(N_SPECIES, COPIES))
        self.register_buffer("known", torch.zeros(N_SPECIES, dtype=torch.bool))

    def hyperparameters(self) -> dict[str, Any]:
        """The constructor's arguments, as plain JSON values, but for the setups."""
        names = ("lmax", "mul", "cutoff", "num_basis", "hidden", "num_neighbors")
        return {"features": str(self.features), **{name: getattr(self, name) for name in names}}

    def fit_elements(self, numbers: Int[Tensor, "atoms"], targets: Float[Tensor, "atoms dim"]) -> None:
        """Means of the scalars and spreads of all copies, by element, from training atoms.

        Args:
            numbers: atomic numbers.
            targets: differences from neutral atoms, tensors of :data:`charge3net.paw.matrices.IRREPS`.
        """
        centre, counts = torch.zeros(N_SPECIES, SCALARS), torch.zeros(N_SPECIES)
        for number in numbers.unique().tolist():
            own = targets[numbers == number]
            centre[number], counts[number] = own[:, :SCALARS].mean(0), len(own)
        rest = targets.clone()
        rest[:, :SCALARS] -= centre[numbers]
        squares = torch.stack([part.square().mean(-1) for part in _copies(rest)], dim=1)
        has = torch.stack([torch.from_numpy(held(self.setups[z])) for z in numbers.tolist()]).to(squares.dtype)
        overall = (squares * has).sum(0) / has.sum(0).clamp_min(1.0)
        own_sums = torch.zeros(N_SPECIES, COPIES).index_add(0, numbers, squares)
        spread = ((own_sums + _PRIOR * overall) / (counts[:, None] + _PRIOR)).sqrt()
        for number in range(N_SPECIES):
            spread[number] *= torch.from_numpy(held(self.setups[number])) if counts[number] else 0.0
        self.centre.copy_(centre)
        self.spread.copy_(spread)
        self.known.copy_(counts > 0)

    def forward(self, graph: AtomGraph, features: Float[Tensor, "atoms features"]) -> Float[Tensor, "atoms dim"]:
        """[atoms, IRREPS.dim] differences from neutral atoms.

        Raises:
            InputError: for an element without training atoms.
        """
        missing = sorted(set(graph.numbers[~self.known[graph.numbers]].tolist()))
        if missing:
            raise InputError(f"no density matrices of the element {missing[0]} were learned; leave the structure out")
        vectors = graph.edge_vectors(features.dtype)
        edges = Edges(graph.senders, graph.receivers, graph.n_atoms, vectors, self.lmax, self.basis)
        blocks = self.readout(
            split(self.gate(self.layer(self.layer.sent(features), features, edges)), self.gate.irreps_out)
        )
        spread, place, parts = self.spread[graph.numbers], 0, []
        for mul, irrep in IRREPS:
            scale = spread[:, place : place + mul, None]
            block = blocks[irrep] if irrep in blocks else features.new_zeros(graph.n_atoms, mul, irrep.dim)
            parts.append((scale * block).flatten(1))
            place += mul
        parts[0] = parts[0] + self.centre[graph.numbers]
        return torch.cat(parts, dim=1)

    def mean_tensors(self, graph: AtomGraph) -> Float[ndarray, "atoms dim"]:
        """[atoms, IRREPS.dim] the means of the elements alone."""
        tensors = torch.zeros(graph.n_atoms, IRREPS.dim, dtype=torch.float64)
        tensors[:, :SCALARS] = self.centre[graph.numbers].double()
        return tensors.numpy()

    def matrices(self, graph: AtomGraph, features: Float[Tensor, "atoms features"]) -> list[Float[ndarray, "_ _"]]:
        """[size, size] density matrix of each atom."""
        with torch.no_grad():
            tensors = self(graph, features).double().numpy()
        setups = [self.setups[number] for number in graph.numbers.tolist()]
        return [setup.neutral + from_irreps(one, setup) for setup, one in zip(setups, tensors, strict=True)]


def difference_tensors(matrices: Iterable[ndarray], setups: Iterable[Setup]) -> Float[ndarray, "atoms dim"]:
    """[atoms, IRREPS.dim] differences of density matrices from those of neutral atoms."""
    pairs = zip(matrices, setups, strict=True)
    return np.stack([to_irreps(matrix - setup.neutral, setup) for matrix, setup in pairs])


def atom_features(model: DensityModel, graph: AtomGraph) -> Float[Tensor, "atoms features"]:
    """[atoms, dim] features of a ChargE3Net's last layer, without gradients.

    Raises:
        InputError: for a model of another architecture.
    """
    if not isinstance(model, ChargE3NetLayers):
        raise InputError(f"density matrices need the atom features of a ChargE3Net, not of {model.architecture}")
    with torch.no_grad():
        state: AtomState = model.encode_atoms(graph)
    return state.layers[-1]


def feature_irreps(model: DensityModel) -> str:
    """Irreps of :func:`atom_features`.

    Raises:
        InputError: for a model of another architecture.
    """
    if not isinstance(model, ChargE3NetLayers):
        raise InputError(f"density matrices need the atom features of a ChargE3Net, not of {model.architecture}")
    return str(model.atom_irreps[-1])


def _copies(tensors: Float[Tensor, "atoms dim"]) -> list[Tensor]:
    """[atoms, 2L+1] every copy of every irrep."""
    parts = []
    for (mul, irrep), place in zip(IRREPS, IRREPS.slices(), strict=True):
        parts += list(tensors[:, place].unflatten(1, (mul, irrep.dim)).unbind(1))
    return parts


def distance(found: Float[Tensor, "atoms dim"], wanted: Float[Tensor, "atoms dim"]) -> Float[Tensor, "atoms"]:
    """[atoms] Σ over copies of ‖ΔD of the copy‖: invariant under rotations, robust, in electrons."""
    return torch.stack([torch.sqrt(part.square().sum(-1) + 1e-12) for part in _copies(found - wanted)], dim=1).sum(1)


def from_mapping(values: Mapping[str, Any], setups: Iterable[Setup]) -> OccupationHead:
    """A head with fresh weights from :meth:`OccupationHead.hyperparameters`.

    Raises:
        InputError: for values that are no hyperparameters.
    """
    try:
        return OccupationHead(setups=setups, **dict(values))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"these values make no head for density matrices ({error}); get the checkpoint again"
        ) from None
