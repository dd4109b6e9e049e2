"""The probe side of ChargE3Net on a GPU: tables, messages of the atoms, and the matrices of the dense part."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int32
from torch import Tensor

from charge3net.graph.types import AtomState
from charge3net.models.charge3net import ChargE3Net
from charge3net.nn.irreps import SILU_NORM
from charge3net.predict.backends.charge3net_parts import (
    angles,
    channel_counts,
    message_bounds,
    mixing,
    probe_layers,
    radial_functions,
    scalar_matrix,
    scaled_senders,
)
from charge3net.predict.backends.spline import fit

#: Channels that a program may take; the widest that leaves few lanes without a channel is chosen.
_WIDTHS = (64, 32, 16)
_WASTE = 1.1


@dataclass(frozen=True, eq=False)
class Order:
    """The channels of one order l, of all layers side by side, in blocks of ``width``.

    Attributes:
        l: the order.
        width: channels in a block.
        channels: how many there are; the last block is padded.
        table: [blocks, rows, width] B-spline coefficients of the radial functions, zero in the padding.
        columns: [blocks, width] where a channel's sum belongs; −1 in the padding.
    """

    l: int
    width: int
    channels: int
    table: Float32[Tensor, "blocks rows width"]
    columns: Int32[Tensor, "blocks width"]


@dataclass(frozen=True, eq=False)
class Weights:
    """Everything that does not depend on a structure.

    Attributes:
        orders: l = 0 … lmax.
        steps, error: of the radial tables over [0, cutoff].
        bounds: columns bounds[t]:bounds[t + 1] of the sums are layer t's.
        mix: per layer [its columns, scalars + 1]: message_mix, and in the last column the angle.
        own: per layer but the first [scalars, scalars]: self_mix, with the constant of the activation.
        readout: [scalars, channels], with the constant of the activation.
    """

    orders: Sequence[Order]
    steps: int
    error: float
    bounds: Sequence[int]
    mix: Sequence[Float32[Tensor, "columns mixed"]]
    own: Sequence[Float32[Tensor, "scalars scalars"]]
    readout: Float32[Tensor, "scalars channels"]


def pack(model: ChargE3Net, device: torch.device) -> Weights | None:
    """The packed weights; None when no table of the radial functions is accurate enough."""
    model = copy.deepcopy(model).cpu()
    layers, copies = probe_layers(model), channel_counts(model)
    tables = fit([radial_functions(layer.radial, model.basis) for layer in layers], model.cutoff)
    if tables is None:
        return None
    bounds = message_bounds(copies)
    used, orders = [0] * len(layers), []
    for l, of_order in enumerate(copies):
        functions, columns = [], []
        for t, n in enumerate(of_order):
            first = used[t]  # messages are in the order of l, as are the columns of the radial network
            functions.append(tables.coefficients[t][:, first : first + n])
            columns.append(bounds[t] + first + np.arange(n))
            used[t] += n
        orders.append(_order(l, np.concatenate(functions, axis=1), np.concatenate(columns), device))

    def moved(matrix: np.ndarray) -> Tensor:
        return torch.from_numpy(matrix).to(device, torch.float32)

    mixes = [mixing(layer, t) for t, layer in enumerate(layers)]
    messages = [mix[:n] for mix, n in zip(mixes, np.diff(bounds), strict=True)]
    return Weights(
        orders=orders,
        steps=tables.steps,
        error=tables.error,
        bounds=[int(bound) for bound in bounds],
        mix=[moved(np.concatenate(pair, axis=1)) for pair in zip(messages, map(angles, layers), strict=True)],
        own=[moved(mix[n:]) for mix, n in zip(mixes[1:], np.diff(bounds)[1:], strict=True)],
        readout=moved(SILU_NORM * scalar_matrix(model.readout)),
    )


def _order(l: int, functions: Float[np.ndarray, "rows channels"], columns: np.ndarray, device: torch.device) -> Order:
    rows, channels = functions.shape
    padded = [-(-channels // width) * width for width in _WIDTHS]
    width, lanes = next(pair for pair in zip(_WIDTHS, padded, strict=True) if pair[1] <= _WASTE * min(padded))
    table, places = np.zeros((rows, lanes), dtype=np.float32), np.full(lanes, -1, dtype=np.int32)
    table[:, :channels], places[:channels] = functions, columns
    blocks = np.ascontiguousarray(table.reshape(rows, -1, width).transpose(1, 0, 2))
    return Order(
        l, width, channels, torch.from_numpy(blocks).to(device), torch.from_numpy(places.reshape(-1, width)).to(device)
    )


def pack_senders(
    model: ChargE3Net, state: AtomState, weights: Weights
) -> list[Float32[Tensor, "blocks atoms components width"]]:
    """The messages of the atoms, per order: mixed and scaled for the sum."""
    n_atoms, device = state.atoms.n_atoms, state.layers[0].device
    packed = [
        torch.zeros(len(order.table), n_atoms, 2 * order.l + 1, order.width, device=device) for order in weights.orders
    ]
    for some, sent in scaled_senders(model, state):
        for order, target, values in zip(weights.orders, packed, sent, strict=True):
            values = values * torch.tensor(_norms(order.l), dtype=values.dtype, device=device)
            values = torch.nn.functional.pad(values, (0, 0, 0, len(target) * order.width - order.channels))
            target[:, some] = values.unflatten(1, (len(target), order.width)).permute(1, 0, 3, 2)
    return packed


def _norms(l: int) -> list[float]:
    """[2l + 1] factors that turn the kernels' harmonics into component-normalised ones.

    √((2l+1)·(2−δ_m0)·(l−m)!/(l+m)!)·(2m−1)!! for components −m and m (DLMF 14.30, with the sign of e3nn).
    """
    found = [0.0] * (2 * l + 1)
    for m in range(l + 1):
        square = (2 * l + 1) * (2 if m else 1) * math.factorial(l - m) / math.factorial(l + m)
        found[l + m] = found[l - m] = math.sqrt(square) * math.prod(range(1, 2 * m, 2))
    return found


def head(sums: Float32[Tensor, "points columns"], weights: Weights) -> Float32[Tensor, "points channels"]:
    """The density from the sums of messages of all layers, e/Å³ (docs/models.md)."""
    features = sums.new_zeros(0)
    for t, mix in enumerate(weights.mix):
        received = sums[:, weights.bounds[t] : weights.bounds[t + 1]] @ mix
        angle = received[:, -1:]
        mixed = torch.sin(angle) * received[:, :-1]
        if t:
            mixed += torch.cos(angle) * (features @ weights.own[t - 1])
        features = torch.nn.functional.silu(mixed)
    return features @ weights.readout
