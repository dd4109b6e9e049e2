"""A density of spherical atoms: of every element a sum of Gaussians, whose coefficients are learned."""

import torch

from charge3net.graph.types import AtomState
from charge3net.models.base import DensityModel
from charge3net.models.checks import check_hyperparameters
from charge3net.nn.segment import segment_sum


class OwnModel(DensityModel):
    """ρ(r) = Σ over atoms a within the cutoff of Σ_k c[Z_a, k] exp(−α_k d²) · (1 − (d/cutoff)²)², e/Å³."""

    architecture = "own_model"

    def __init__(self, gaussians: int = 8, cutoff: float = 4.0, channels: int = 1) -> None:
        super().__init__()
        check_hyperparameters(self.architecture, {"gaussians": gaussians}, cutoff, channels)
        self.gaussians, self.cutoff, self.channels = gaussians, cutoff, channels
        self.register_buffer("exponents", torch.logspace(-0.5, 1.5, gaussians))  # α_k, 1/Å²
        self.coefficients = torch.nn.Embedding(119, gaussians * channels)

    def hyperparameters(self):
        return {"gaussians": self.gaussians, "cutoff": self.cutoff, "channels": self.channels}

    def encode_atoms(self, atoms):
        return AtomState(atoms, (self.coefficients(atoms.numbers),))

    def density_at(self, state, probes):
        squared = probes.edge_vectors(state.atoms.positions, self.dtype).square().sum(dim=1, keepdim=True)
        radial = torch.exp(-self.exponents * squared) * (1 - squared / self.cutoff**2).clamp_min(0) ** 2
        weights = state.layers[0][probes.senders].reshape(-1, self.channels, self.gaussians)
        return segment_sum((weights * radial[:, None]).sum(dim=2), probes.receivers, probes.n_probes)
