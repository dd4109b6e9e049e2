"""A loss that is quadratic for small errors and linear for large ones."""

import torch

from charge3net.train.losses import Loss


class Huber(Loss):
    """Mean over probes of e²/2 for |e| < 1 e/Å³, |e| − 1/2 beyond, with e = ρ̂ − ρ (Huber, 1964)."""

    def sums(self, prediction, target, offsets, mean_density=None):
        return torch.nn.functional.huber_loss(prediction, target, reduction="sum"), target.numel()
