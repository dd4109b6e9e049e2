"""The probe side of PaiNN for src/density_painn.cpp."""

from __future__ import annotations

import ctypes
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from charge3net.graph.types import AtomState
from charge3net.models.base import DensityModel
from charge3net.models.painn import PaiNNDensity, PaiNNMessage, PaiNNUpdate
from charge3net.nn.radial_deepdft import cosine_cutoff, sine_waves
from charge3net.predict.backends.cpu_packing import (
    EdgeForm,
    Layout,
    Packed,
    aligned,
    density_without_neighbours,
    linear,
    perceptron,
    row_numbers,
    vectors,
)
from charge3net.predict.backends.spline import Functions, fit

#: An edge shorter than this (Å) has no direction.
_ON_ATOM = 1e-12


class _Network(ctypes.Structure):
    """``PaiNN`` of src/density_painn.cpp."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("channels", "features", "layers")),
        ("edges", EdgeForm),
        *((name, ctypes.c_void_p) for name in ("rows", "table", "senders", "weights")),
    )


def pack(model: DensityModel, layout: Layout) -> Packed | None:
    """The packed weights; None when no table is accurate enough."""
    assert isinstance(model, PaiNNDensity)
    tables = fit([_filters(message, model.num_basis, model.cutoff) for message in _messages(model)], model.cutoff)
    if tables is None:
        return None
    layers = []
    for coefficients in tables.coefficients:
        on_vector, on_edge, on_scalar = np.split(coefficients, 3, axis=1)
        layers.append(np.stack([vectors(part, layout.width) for part in (on_scalar, on_vector, on_edge)], axis=1))
    arrays = {
        "rows": row_numbers(model.features, layout.width, 4),
        "table": aligned(np.stack(layers)),
        "weights": aligned(np.concatenate(_dense(model, layout.columns))),
    }
    network = _Network(model.channels, model.features, model.num_interactions)
    network.edges = EdgeForm(1, tables.steps, _ON_ATOM)
    for name, array in arrays.items():
        setattr(network, name, array.ctypes.data)
    nowhere = density_without_neighbours(model, (torch.zeros(1, 4, model.features),) * model.num_interactions)
    arguments = ("c3n_density_painn", network, nowhere, tuple(arrays.values()))
    return Packed(*arguments, _Senders(layout.width), tables.steps, tables.error)


class _Senders:
    """The messages of the atoms, per layer and vector [atoms, 5, width]: scalars, vectors, factors of the direction."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, model: DensityModel, state: AtomState) -> dict[str, ndarray]:
        assert isinstance(model, PaiNNDensity)
        layers = []
        with torch.no_grad():
            for message, layer in zip(_messages(model), state.layers, strict=True):
                gate_vector, gate_edge, gate_scalar = message.sender_mlp(layer[:, 0]).chunk(3, dim=-1)
                along = gate_edge[:, None] * 3**-0.5  # harmonics of order 1 have length √3
                sent = torch.cat(
                    [(layer[:, 0] * gate_scalar)[:, None], layer[:, 1:] * gate_vector[:, None], along], dim=1
                )
                layers.append(vectors(sent.flatten(0, 1).numpy(), self.width))
        return {"senders": aligned(np.stack(layers))}


def _messages(model: PaiNNDensity) -> list[PaiNNMessage]:
    return [cast(PaiNNMessage, message) for message in model.probe_messages]


def _filters(message: PaiNNMessage, num_basis: int, cutoff: float) -> Functions:
    """Radial filters with the cutoff function, in float64: gates of vectors, edges, scalars."""

    def filters(lengths: Float[Tensor, "n"]) -> Float[Tensor, "n functions"]:
        weight, bias = message.filter.weight.detach().double(), message.filter.bias.detach().double()
        return (sine_waves(lengths, num_basis, cutoff) @ weight.T + bias) * cosine_cutoff(lengths, cutoff)[:, None]

    return filters


def _dense(model: PaiNNDensity, columns: int) -> list[ndarray]:
    """In the order of use; of the last update only what the scalars need."""
    parts = []
    for t, (gate, update) in enumerate(zip(model.probe_gates, model.probe_updates, strict=True)):
        used = 2 if t + 1 == model.num_interactions else 3
        update = cast(PaiNNUpdate, update)
        parts.append(perceptron(cast(nn.Sequential, gate), columns))
        parts += [linear(update.u, columns), linear(update.v, columns)]
        parts.append(perceptron(update.mlp, columns, slice(used * model.features)))
    return [*parts, perceptron(model.readout, columns)]
