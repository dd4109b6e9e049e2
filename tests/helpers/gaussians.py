"""Densities of Gaussian atoms, and a model that predicts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.graph.types import AtomGraph, AtomState, ProbeGraph
from charge3net.grid import Grid
from charge3net.models.base import DensityModel

#: Exponent in 1/Å²; beyond the cutoff of 4 Å a Gaussian is below 1e-13.
ALPHA = 2.0
#: The standard deviation of the same Gaussian, Å.
WIDTH = (2 * ALPHA) ** -0.5


class GaussianAtoms(DensityModel):
    """Z electrons in a Gaussian on every atom; the magnetisation, if asked for, is a tenth of the density.

    It notes how many edges and probes it was given at a time.
    """

    architecture: ClassVar[str] = "gaussians"

    def __init__(self, channels: int = 1, ignore_pbc: bool = False, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.cutoff, self.channels, self.ignore_pbc = 4.0, channels, ignore_pbc
        self.scale = nn.Parameter(torch.ones((), dtype=dtype))
        self.edges_seen: list[int] = []
        self.probes_seen: list[int] = []
        self.encoded = 0

    def hyperparameters(self) -> dict[str, Any]:
        return {"channels": self.channels}

    def encode_atoms(self, atoms: AtomGraph) -> AtomState:
        self.encoded += 1
        return AtomState(atoms, (atoms.numbers.to(self.dtype)[:, None],))

    def density_at(self, state: AtomState, probes: ProbeGraph) -> Tensor:
        self.edges_seen.append(len(probes.senders))
        self.probes_seen.append(probes.n_probes)
        square = probes.edge_vectors(state.atoms.positions, self.dtype).square().sum(dim=1)
        weights = self.scale * state.layers[0][:, 0] * (ALPHA / np.pi) ** 1.5
        density = torch.zeros(probes.n_probes, dtype=self.dtype)
        density.index_add_(0, probes.receivers, weights[probes.senders] * torch.exp(-ALPHA * square))
        return torch.stack([density, 0.1 * density], dim=1)[:, : self.channels]


def superposition(
    geometry: Geometry,
    points: np.ndarray,
    widths: float | dict[int, float] = WIDTH,
    *,
    charges: Sequence[float] | None = None,
    images: int = 4,
) -> np.ndarray:
    """[n] e/Å³ of a normalised Gaussian on every atom, summed over images −n … n along the periodic vectors.

    ``widths`` are standard deviations in Å, one for all atoms or by atomic number; an atom holds Z electrons or those
    of ``charges``.
    """
    reach = [range(-images, images + 1) if periodic else (0,) for periodic in geometry.pbc]
    shifts = np.stack(np.meshgrid(*reach, indexing="ij"), axis=-1).reshape(-1, 3) @ geometry.cell
    held = geometry.numbers if charges is None else charges
    density = np.zeros(len(points))
    for number, charge, position in zip(geometry.numbers, held, geometry.positions, strict=True):
        width = widths[int(number)] if isinstance(widths, dict) else widths
        height = charge / (2 * np.pi * width**2) ** 1.5
        for shift in shifts:
            square = ((points - position - shift) ** 2).sum(axis=1)
            density += height * np.exp(-square / (2 * width**2))
    return density


def gaussian_density(
    geometry: Geometry,
    grid: Grid,
    widths: float | dict[int, float] = WIDTH,
    *,
    charges: Sequence[float] | None = None,
    images: int = 2,
) -> Density:
    """One channel of :func:`superposition` on a grid."""
    values = superposition(geometry, grid.points(), widths, charges=charges, images=images)
    return Density(geometry, grid, values.reshape(1, *grid.shape))
