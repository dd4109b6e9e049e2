"""ChargE3Net: densities from higher-order equivariant features (Koker et al., npj Comput. Mater. 10, 161 (2024)).

Atoms exchange messages that carry tensors up to rotation order L; a probe collects, layer by layer, the even scalars of
the atoms around it. Only the parts that affect the density are computed: probes never multiply their own features, so
of the published probe network only the even scalars can reach the density, and of the last atom layer only natural
parity (docs/models.md).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from charge3net.graph.chunks import atom_chunks, concatenate
from charge3net.graph.types import AtomGraph, AtomState, ProbeGraph
from charge3net.models.base import DensityModel
from charge3net.models.checks import check_hyperparameters
from charge3net.nn.convolution import Convolution
from charge3net.nn.e3nn import o3
from charge3net.nn.edges import Edges
from charge3net.nn.irreps import EVEN_SCALAR, Blocks, Gate, IrrepsLinear, hidden_irreps, natural, reachable, split
from charge3net.nn.radial_charge3net import GaussianBasis, SmoothGaussianBasis

#: Rows of the species table: 0 = unknown, 1 … 118.
N_SPECIES = 119


class _Chunk(NamedTuple):
    """Some atoms as receivers, their neighbours (None: all atoms), and edges whose senders index the neighbours."""

    receivers: slice
    neighbours: Int[Tensor, "neighbours"] | None
    edges: Edges

    def of_neighbours(self, sent: Blocks) -> Blocks:
        """The rows of the neighbours from the messages of all atoms."""
        if self.neighbours is None:
            return sent
        rows = self.neighbours
        return {ir: block.transpose(1, 2).index_select(0, rows).transpose(1, 2) for ir, block in sent.items()}


class ChargE3NetLayers(DensityModel):
    """The layers of ChargE3Net: atom features up to rotation order ``lmax``, and the even scalars of probes.

    Args:
        lmax: rotation order L ≥ 0; 0 is an invariant network.
        mul: representation size: numbers per parity, shared over l = 0 … L; equal ``mul`` compares orders fairly.
        num_interactions: message passing layers, for atoms and for probes.
        cutoff: Å.
        num_basis: radial functions.
        hidden: width of the radial networks.
        num_neighbors: messages are divided by its square root; a constant, not a statistic of the batch.
        channels: 1, or 2 for total density and collinear magnetisation (two even scalars).
        species: even scalars that stand for the species of an atom.
        smooth: messages end with an envelope at the cutoff.

    Raises:
        InputError: for sizes that make no network.
    """

    def __init__(
        self,
        lmax: int,
        mul: int,
        num_interactions: int,
        cutoff: float,
        num_basis: int,
        hidden: int,
        num_neighbors: float,
        channels: int,
        species: int,
        smooth: bool,
    ) -> None:
        super().__init__()
        counts = {"lmax": lmax, "mul": mul, "num_interactions": num_interactions}
        counts |= {"num_basis": num_basis, "hidden": hidden}
        check_hyperparameters(
            self.architecture,
            counts,
            cutoff,
            channels,
            positive={"num_neighbors": num_neighbors},
            least={"lmax": 0, "num_basis": 2},
        )
        self.lmax, self.mul, self.num_interactions, self.cutoff = lmax, mul, num_interactions, float(cutoff)
        self.num_basis, self.hidden, self.num_neighbors, self.channels = (
            num_basis,
            hidden,
            float(num_neighbors),
            channels,
        )
        self.smooth = smooth
        self.basis = (SmoothGaussianBasis if smooth else GaussianBasis)(num_basis, cutoff)
        receiving = o3.Irreps(f"{species}x0e")
        self.atom_irreps = self._atom_irreps(receiving)
        self.atom_gates = nn.ModuleList([Gate(irreps) for irreps in self.atom_irreps])
        self.atom_layers = nn.ModuleList()
        for gate, irreps in zip(self.atom_gates, self.atom_irreps, strict=True):
            self.atom_layers.append(self._convolution(receiving, receiving, gate.irreps_in))
            receiving = irreps
        self.probe_irreps = self._probe_irreps()
        self.probe_gates = nn.ModuleList([Gate(irreps) for irreps in self.probe_irreps])
        self.probe_layers = nn.ModuleList()
        receiving = o3.Irreps()
        for irreps, own in zip(self.atom_irreps, self.probe_irreps, strict=True):
            self.probe_layers.append(self._convolution(irreps, receiving, own))
            receiving = own

    @abstractmethod
    def species_features(self, numbers: Int[Tensor, "atoms"]) -> Float[Tensor, "atoms species"]:
        """[atoms, species] even scalars that atoms start with."""

    def _atom_irreps(self, species: o3.Irreps) -> list[o3.Irreps]:
        """Features after each atom layer; after the last one only those that probes can use."""
        hidden, layers = hidden_irreps(self.lmax, self.mul), []
        current = species
        for _ in range(self.num_interactions):
            current = reachable(current, self.lmax, hidden)
            layers.append(current)
        layers[-1] = natural(layers[-1])
        return layers

    def _probe_irreps(self) -> list[o3.Irreps]:
        """Features of a probe after each layer: the even scalars."""
        scalars = o3.Irreps([(self.atom_irreps[0].count(EVEN_SCALAR), EVEN_SCALAR)])
        return [scalars] * self.num_interactions

    def _convolution(self, sender: o3.Irreps, receiver: o3.Irreps, out: o3.Irreps) -> Convolution:
        sizes = (self.lmax, self.num_basis, self.hidden, self.num_neighbors)
        return Convolution(sender, receiver, out, *sizes, smooth=self.smooth)

    def hyperparameters(self) -> dict[str, Any]:
        """The sizes."""
        names = ("lmax", "mul", "num_interactions", "cutoff", "num_basis", "hidden", "num_neighbors", "channels")
        return {name: getattr(self, name) for name in names}

    def encode_atoms(self, atoms: AtomGraph) -> AtomState:
        """Layers: [atoms, dim] flat features of ``atom_irreps[i]`` after layer i."""
        chunks = self._atom_chunks(atoms)
        features = self.species_features(atoms.numbers)
        layers: list[Tensor] = []
        convolutions = cast("list[Convolution]", self.atom_layers)
        for layer, gate in zip(convolutions, self.atom_gates, strict=True):
            sent = layer.sent(features)
            features = concatenate(
                [gate(layer(chunk.of_neighbours(sent), features[chunk.receivers], chunk.edges)) for chunk in chunks]
            )
            layers.append(features)
        return AtomState(atoms, tuple(layers))

    def probe_features(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes scalars"]:
        """[probes, scalars] features of the probes after the last layer, before the readout."""
        vectors = probes.edge_vectors(state.atoms.positions, self.dtype)
        edges = self._edges(vectors, probes.senders, probes.receivers, probes.n_probes)
        features = vectors.new_zeros(probes.n_probes, 0)
        convolutions = cast("list[Convolution]", self.probe_layers)
        for layer, gate, atoms in zip(convolutions, self.probe_gates, state.layers, strict=True):
            features = gate(layer(layer.sent(atoms), features, edges))
        return features

    def _atom_chunks(self, atoms: AtomGraph) -> list[_Chunk]:
        """The atoms as receivers, chunk by chunk."""
        vectors, chunks = atoms.edge_vectors(self.dtype), []
        slices = atom_chunks(atoms)
        for own, part in slices:
            senders, neighbours = atoms.senders[part], None
            if len(slices) > 1:
                neighbours, senders = torch.unique(senders, return_inverse=True)
            receivers = atoms.receivers[part] - own.start
            edges = self._edges(vectors[part], senders, receivers, own.stop - own.start)
            chunks.append(_Chunk(own, neighbours, edges))
        return chunks

    def _edges(
        self,
        vectors: Float[Tensor, "edges 3"],
        senders: Int[Tensor, "edges"],
        receivers: Int[Tensor, "edges"],
        n_receivers: int,
    ) -> Edges:
        return Edges(senders, receivers, n_receivers, vectors, self.lmax, self.basis)


class ChargE3Net(ChargE3NetLayers):
    """The published network: the density is a linear function of a probe's even scalars.

    Args:
        lmax, mul, num_interactions, cutoff, num_basis, hidden, num_neighbors, channels: of the layers.

    Raises:
        InputError: for sizes that make no network.
    """

    architecture: ClassVar[str] = "charge3net"

    def __init__(
        self,
        lmax: int = 4,
        mul: int = 500,
        num_interactions: int = 3,
        cutoff: float = 4.0,
        num_basis: int = 20,
        hidden: int = 100,
        num_neighbors: float = 20.0,
        channels: int = 1,
    ) -> None:
        sizes = (lmax, mul, num_interactions, cutoff, num_basis, hidden, num_neighbors, channels)
        super().__init__(*sizes, species=N_SPECIES, smooth=False)
        self.readout = IrrepsLinear(self.probe_irreps[-1], o3.Irreps(f"{channels}x0e"))

    def species_features(self, numbers: Int[Tensor, "atoms"]) -> Float[Tensor, "atoms species"]:
        """[atoms, 119] one-hot."""
        return torch.nn.functional.one_hot(numbers, N_SPECIES).to(self.dtype)

    def density_at(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes channels"]:
        """[probes, channels] e/Å³; exactly 0 where no atom is within the cutoff."""
        features = self.probe_features(state, probes)
        return self.readout(split(features, self.probe_irreps[-1]))[EVEN_SCALAR].squeeze(-1)
