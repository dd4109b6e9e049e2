"""Loss functions.

A loss is a quotient of two sums: several processes add numerators and denominators and obtain the loss of one process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from charge3net.errors import InputError
from charge3net.extensions import extensions
from charge3net.nn.segment import segment_sum


class Loss(ABC):
    """A sum over the probes of a batch, divided by a count."""

    @abstractmethod
    def sums(
        self,
        prediction: Float[Tensor, "probes channels"],
        target: Float[Tensor, "probes channels"],
        offsets: Int[Tensor, "structures1"],
        mean_density: Float[Tensor, "structures"] | None = None,
    ) -> tuple[Float[Tensor, ""], int]:
        """Numerator and denominator of the loss.

        Args:
            prediction, target: [probes, channels] e/Å³, of one dtype.
            offsets: [structures + 1] probes offsets[i]:offsets[i+1] belong to structure i.
            mean_density: [structures] mean of the total density over the whole cell, for losses relative to it.
        """

    def __call__(
        self,
        prediction: Float[Tensor, "probes channels"],
        target: Float[Tensor, "probes channels"],
        offsets: Int[Tensor, "structures1"],
        mean_density: Float[Tensor, "structures"] | None = None,
    ) -> Float[Tensor, ""]:
        """The loss; see :meth:`sums`."""
        total, count = self.sums(prediction, target, offsets, mean_density)
        return total / count


class L1(Loss):
    """Mean of |ρ̂ − ρ| over probes and channels, e/Å³ (ChargE3Net's loss)."""

    def sums(
        self,
        prediction: Float[Tensor, "probes channels"],
        target: Float[Tensor, "probes channels"],
        offsets: Int[Tensor, "structures1"],
        mean_density: Float[Tensor, "structures"] | None = None,
    ) -> tuple[Float[Tensor, ""], int]:
        """Σ|ρ̂ − ρ| and the number of values."""
        return (prediction - target).abs().sum(), target.numel()


class UnsignedL1(Loss):
    """L1 where the sign of a structure's whole magnetisation does not count.

    Without spin–orbit coupling (ρ, −m) has the same energy as (ρ, m); which one an SCF loop finds depends on its start.
    Of each structure's Σ|m̂ − m| and Σ|−m̂ − m| the smaller one is taken.
    """

    def sums(
        self,
        prediction: Float[Tensor, "probes channels"],
        target: Float[Tensor, "probes channels"],
        offsets: Int[Tensor, "structures1"],
        mean_density: Float[Tensor, "structures"] | None = None,
    ) -> tuple[Float[Tensor, ""], int]:
        """Σ|ρ̂ − ρ| + Σ over structures of min over ± of Σ|±m̂ − m|, and the number of values."""
        total = (prediction[:, 0] - target[:, 0]).abs().sum()
        owner, n_structures = _owners(offsets, target.shape[0])
        signed = [(sign * prediction[:, 1:] - target[:, 1:]).abs().sum(dim=1) for sign in (1.0, -1.0)]
        same, opposite = (segment_sum(error, owner, n_structures) for error in signed)
        return total + torch.minimum(same, opposite).sum(), target.numel()


class MSE(Loss):
    """Mean of (ρ̂ − ρ)² over probes and channels, e²/Å⁶ (DeepDFT's loss)."""

    def sums(
        self,
        prediction: Float[Tensor, "probes channels"],
        target: Float[Tensor, "probes channels"],
        offsets: Int[Tensor, "structures1"],
        mean_density: Float[Tensor, "structures"] | None = None,
    ) -> tuple[Float[Tensor, ""], int]:
        """Σ(ρ̂ − ρ)² and the number of values."""
        return (prediction - target).square().sum(), target.numel()


class NormalisedL1(Loss):
    """Σ|ρ̂ − ρ| / Σ|ρ| per structure, then the mean over structures: ε_mae as a fraction, on the probes.

    Every structure has the same weight. With a magnetisation its error is divided by Σ|ρ| of the total
    density too, since Σ|m| may be zero.
    """

    def sums(
        self,
        prediction: Float[Tensor, "probes channels"],
        target: Float[Tensor, "probes channels"],
        offsets: Int[Tensor, "structures1"],
        mean_density: Float[Tensor, "structures"] | None = None,
    ) -> tuple[Float[Tensor, ""], int]:
        """Sum over structures of their normalised errors, and the number of structures."""
        owner, n_structures = _owners(offsets, target.shape[0])
        error = segment_sum((prediction - target).abs().sum(dim=1), owner, n_structures)
        norm = segment_sum(target[:, 0].abs(), owner, n_structures)
        return (error / norm.clamp_min(torch.finfo(norm.dtype).tiny)).sum(), n_structures


class NMAE(Loss):
    """Mean of |ρ̂ − ρ| over a structure's probes / mean density of the structure, then the mean over structures.

    ε_mae as a fraction, estimated without bias from probes drawn uniformly: the divisor is that of the whole cell,
    where ``normalised_l1`` has that of the probes at hand, nearly nothing when few of them fall on a molecule.
    """

    def sums(
        self,
        prediction: Float[Tensor, "probes channels"],
        target: Float[Tensor, "probes channels"],
        offsets: Int[Tensor, "structures1"],
        mean_density: Float[Tensor, "structures"] | None = None,
    ) -> tuple[Float[Tensor, ""], int]:
        """Sum over structures of their relative errors, and the number of structures."""
        if mean_density is None:
            raise ValueError("the loss nmae needs the mean density of each structure")
        owner, n_structures = _owners(offsets, target.shape[0])
        error = segment_sum((prediction - target).abs().sum(dim=1), owner, n_structures)
        scale = offsets.diff().to(error.dtype) * mean_density.to(error.dtype)
        return (error / scale.clamp_min(torch.finfo(error.dtype).tiny)).sum(), n_structures


def _owners(offsets: Int[Tensor, "structures1"], n_probes: int) -> tuple[Int[Tensor, "probes"], int]:
    """[probes] the structure of each probe, and how many structures there are."""
    n_structures = offsets.shape[0] - 1
    structures = torch.arange(n_structures, device=offsets.device)
    return torch.repeat_interleave(structures, offsets.diff(), output_size=n_probes), n_structures


def structure_sums(
    prediction: Float[Tensor, "probes"], target: Float[Tensor, "probes"], offsets: Int[Tensor, "structures1"]
) -> tuple[Float[Tensor, "structures"], Float[Tensor, "structures"]]:
    """Numerator Σ|ρ̂ − ρ| and denominator Σ|ρ| of each structure of a batch, on the device of the batch.

    Args:
        prediction, target: [probes] one channel, e/Å³.
        offsets: [structures + 1] probes offsets[i]:offsets[i+1] belong to structure i.

    Returns:
        Two [structures] tensors, float64, detached from the graph.
    """
    target = target.detach().to(torch.float64)
    difference = (prediction.detach().to(torch.float64) - target).abs()
    owner, n_structures = _owners(offsets, target.shape[0])
    return segment_sum(difference, owner, n_structures), segment_sum(target.abs(), owner, n_structures)


#: Entry point group of losses in other packages: name → ``package.module:Class``, a subclass of :class:`Loss`.
GROUP = "charge3net.losses"

#: The losses of this package.
LOSSES: dict[str, type[Loss]] = {
    "l1": L1,
    "mse": MSE,
    "normalised_l1": NormalisedL1,
    "unsigned_l1": UnsignedL1,
    "nmae": NMAE,
}


def build_loss(name: str) -> Loss:
    """The loss of this name: in ``LOSSES``, or of another package.

    Raises:
        InputError: for a name that no package has registered, or one that is no loss.
    """
    if name in LOSSES:
        return LOSSES[name]()
    others = extensions(GROUP, own=LOSSES)
    if name not in others:
        raise InputError(f"loss.name is {name!r}; choose one of {', '.join((*LOSSES, *others))}")
    found = others[name].load()
    if not (isinstance(found, type) and issubclass(found, Loss)):
        raise InputError(f"{others[name].value} of {others[name].package} is not a subclass of {Loss.__module__}.Loss")
    return found()
