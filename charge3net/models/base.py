"""The interface of every density model; trainer and predictor use nothing else of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from charge3net.graph.types import AtomGraph, AtomState, DensityBatch, ProbeGraph


class DensityModel(nn.Module, ABC):
    """A network from atoms to the electron density at any point.

    Attributes:
        architecture: name in the registry (``"charge3net"``, ``"schnet"``, ``"painn"``).
        cutoff: radius in Å within which atoms send messages, to atoms and to probes.
        channels: 1 (total density) or 2 (total, magnetisation = up − down), e/Å³.
        channel_parity: per channel +1 for a true scalar, −1 for one that changes under improper operations (only the
            published spin head of ChargE3Net): the predictor then uses proper symmetry operations only.
        ignore_pbc: the model was trained on structures cut out of their periodic images (DeepDFT's ``ignore_pbc``);
            graphs for it are built without periodic boundaries.
        fits_atoms: the model holds, as ``atoms``, those that training fits to its entries before the first step.
    """

    architecture: ClassVar[str]
    cutoff: float
    channels: int
    ignore_pbc: bool = False
    fits_atoms: ClassVar[bool] = False

    @property
    def channel_parity(self) -> tuple[int, ...]:
        """See the class."""
        return (1,) * self.channels

    @abstractmethod
    def hyperparameters(self) -> dict[str, Any]:
        """The constructor's arguments, as plain JSON values: ``type(m)(**m.hyperparameters())`` builds the same net."""

    @abstractmethod
    def encode_atoms(self, atoms: AtomGraph) -> AtomState:
        """Atom features after every interaction layer; once per structure."""

    @abstractmethod
    def density_at(self, state: AtomState, probes: ProbeGraph) -> Float[Tensor, "probes channels"]:
        """[probes, channels] density at the probes in e/Å³. Probes without neighbours have a density too."""

    def forward(self, batch: DensityBatch) -> Float[Tensor, "probes channels"]:
        """Density at the probes of a batch, e/Å³."""
        return self.density_at(self.encode_atoms(batch.atoms), batch.probes)

    @property
    def dtype(self) -> torch.dtype:
        """dtype of the weights, and so of the features and the output."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
