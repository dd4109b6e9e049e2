"""The probe side of ChargE3Net in parts, for both backends: radial functions, matrices, messages of the atoms.

A channel is a copy of an order l in one layer. The messages of a layer are its channels in the order of l, as are the
columns of its radial network.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from charge3net.graph.types import AtomState
from charge3net.models.charge3net import ChargE3NetLayers
from charge3net.nn.convolution import Convolution
from charge3net.nn.irreps import EVEN_SCALAR, SILU_NORM, IrrepsLinear, coupling
from charge3net.nn.radial_charge3net import GaussianBasis, RadialNet
from charge3net.predict.backends.spline import Functions

#: Atoms whose features are scaled at once: some 20 kB each in between.
_ATOMS_AT_ONCE = 4096


def probe_layers(model: ChargE3NetLayers) -> list[Convolution]:
    """The convolutions from atoms to probes."""
    return [layer for layer in model.probe_layers if isinstance(layer, Convolution)]


def channel_counts(model: ChargE3NetLayers) -> list[list[int]]:
    """[order][layer] number of channels."""
    return [
        [sum(mul for mul, ir in layer.irreps_sender if ir.l == l and layer.paths[ir]) for layer in probe_layers(model)]
        for l in range(model.lmax + 1)
    ]


def message_bounds(counts: list[list[int]]) -> Int[ndarray, "layers1"]:
    """Messages bounds[t]:bounds[t + 1] of all are those of layer t.

    Args:
        counts: of :func:`channel_counts`.
    """
    return np.cumsum([0, *(sum(of_layer) for of_layer in zip(*counts, strict=True))])


def radial_functions(network: RadialNet, basis: GaussianBasis) -> Functions:
    """A layer's radial weights as functions of the distance (Å), in float64."""

    precise = copy.deepcopy(network).double().requires_grad_(False)

    def weights(lengths: Float[Tensor, "n"]) -> Float[Tensor, "n functions"]:
        return precise(basis(lengths))

    return weights


def scalar_matrix(linear: IrrepsLinear) -> Float[ndarray, "inputs outputs"]:
    """The matrix of a linear layer for even scalars, in float64."""
    weight = linear.weights[str(EVEN_SCALAR)].detach().double()
    return (weight * weight.shape[0] ** -0.5).numpy()


def mixing(layer: Convolution, number: int) -> Float[ndarray, "inputs scalars"]:
    """Messages, then the scalars of the layer before (with their activation constant)."""
    if number == 0:
        return scalar_matrix(layer.message_mix)
    return np.concatenate([scalar_matrix(layer.message_mix), SILU_NORM * scalar_matrix(layer.self_mix)])


def angles(layer: Convolution) -> Float[ndarray, "messages 1"]:
    """Weights of the messages in the angle between a layer's messages and the scalars before."""
    return 0.1 * scalar_matrix(layer.angle_mix)


def scaled_senders(
    model: ChargE3NetLayers, state: AtomState
) -> Iterator[tuple[slice, list[Float[Tensor, "atoms channels m"]]]]:
    """The messages of the atoms, some atoms at a time: which, and per order the channels of all layers in turn.

    Mixed, and scaled such that the sum over atoms is the message.
    """
    n_atoms = state.atoms.n_atoms
    for start in range(0, n_atoms, _ATOMS_AT_ONCE):
        some = slice(start, min(start + _ATOMS_AT_ONCE, n_atoms))
        yield some, _scaled(model, [flat[some] for flat in state.layers])


def _scaled(model: ChargE3NetLayers, features: list[Tensor]) -> list[Float[Tensor, "atoms channels m"]]:
    found = [[features[0].new_zeros(len(features[0]), 0, 2 * l + 1)] for l in range(model.lmax + 1)]
    with torch.no_grad():
        for layer, flat in zip(probe_layers(model), features, strict=True):
            sent = layer.sent(flat)
            for _, ir in layer.irreps_sender:
                if layer.paths[ir]:
                    found[ir.l].append(sent[ir] * (_to_scalar(ir.l) * layer.num_neighbors**-0.5))
    return [torch.cat(of_order, dim=1) for of_order in found]


def _to_scalar(l: int) -> float:
    """Factor of Σ_m h_m Y_m in the product of two order-l features into a scalar."""
    matrix = coupling(l, ((l, 0),), l, torch.float64, torch.device("cpu"))[l**2 :]
    return float(matrix[0, 0])
