"""ChargE3Net with the spin head of the published code, for imported weights. For your own models you do not need it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from charge3net.graph.types import AtomState, ProbeGraph
from charge3net.models.charge3net import N_SPECIES, ChargE3Net
from charge3net.nn.e3nn import o3
from charge3net.nn.irreps import EVEN_SCALAR, ODD_SCALAR, IrrepsLinear, hidden_irreps, reachable, split


class PseudoscalarSpinChargE3Net(ChargE3Net):
    """The published spin variant: channel 0 is up + down, channel 1 is *up*, not the magnetisation.

    Its second head is a pseudoscalar (0o) that changes its sign under an inversion and so vanishes on every inversion
    centre, which a collinear magnetisation does not. It serves to reproduce published results; for training use
    ChargE3Net with ``channels=2``.
    """

    architecture: ClassVar[str] = "charge3net-published-spin"

    def __init__(
        self,
        lmax: int = 4,
        mul: int = 500,
        num_interactions: int = 3,
        cutoff: float = 4.0,
        num_basis: int = 20,
        hidden: int = 100,
        num_neighbors: float = 20.0,
    ) -> None:
        super().__init__(lmax, mul, num_interactions, cutoff, num_basis, hidden, num_neighbors, channels=2)
        self.readout = IrrepsLinear(self.probe_irreps[-1], o3.Irreps("1x0e+1x0o"))

    @property
    def channel_parity(self) -> tuple[int, ...]:
        """Channel 0 mixes a scalar with a pseudoscalar."""
        return (-1, 1)

    def hyperparameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: value for name, value in super().hyperparameters().items() if name != "channels"}

    def _atom_irreps(self, species: o3.Irreps) -> list[o3.Irreps]:
        return published_irreps(o3.Irreps(f"{N_SPECIES}x0e"), self.lmax, self.mul, self.num_interactions)

    def _probe_irreps(self) -> list[o3.Irreps]:
        full = published_irreps(o3.Irreps("1x0e"), self.lmax, self.mul, self.num_interactions)
        return [o3.Irreps([(mul, ir) for mul, ir in irreps if ir.l == 0]) for irreps in full]

    def density_at(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes channels"]:
        """[probes, 2] e/Å³: up + down, up."""
        blocks = self.readout(split(self.probe_features(state, probes), self.probe_irreps[-1]))
        even = blocks[EVEN_SCALAR].squeeze(-1)
        odd = blocks[ODD_SCALAR].squeeze(-1) if ODD_SCALAR in blocks else torch.zeros_like(even)
        return torch.cat([even + odd, even], dim=1)


def published_irreps(start: o3.Irreps, lmax: int, mul: int, layers: int) -> list[o3.Irreps]:
    """Features after each layer of the published networks, for receivers that start as ``start``."""
    hidden, found, current = hidden_irreps(lmax, mul), [], start
    for _ in range(layers):
        current = reachable(current, lmax, hidden)
        found.append(current)
    return found
