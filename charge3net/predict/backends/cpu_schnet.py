"""The probe side of SchNet for src/density_schnet.cpp."""

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
from charge3net.models.schnet import SchNetDensity, SchNetMessage
from charge3net.nn.radial_deepdft import gaussians, sigmoid_cutoff
from charge3net.predict.backends.cpu_packing import (
    EdgeForm,
    Layout,
    Packed,
    aligned,
    blocks,
    density_without_neighbours,
    perceptron,
    row_numbers,
    vectors,
)
from charge3net.predict.backends.spline import Functions, fit


class _Network(ctypes.Structure):
    """``SchNet`` of src/density_schnet.cpp."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("channels", "features", "layers")),
        ("edges", EdgeForm),
        *((name, ctypes.c_void_p) for name in ("rows", "table", "first", "senders", "node_out", "weights")),
    )


def pack(model: DensityModel, layout: Layout) -> Packed | None:
    """The packed weights; None when no table is accurate enough."""
    assert isinstance(model, SchNetDensity)
    tables = fit([_filters(message, model) for message in _messages(model)], model.cutoff)
    if tables is None:
        return None
    matrices = [
        _lanes(np.concatenate([_numpy(message.node_out.weight).T, _numpy(message.node_out.bias)[None]]), layout.width)
        for message in _messages(model)[1:]
    ]
    arrays = {
        "rows": row_numbers(model.features, layout.width),
        "table": aligned(np.stack([vectors(one, layout.width) for one in tables.coefficients])),
        "node_out": aligned(np.concatenate([np.zeros(0), *(matrix.ravel() for matrix in matrices)])),
        "weights": aligned(np.concatenate(_dense(model, layout.columns))),
    }
    network = _Network(model.channels, model.features, model.num_interactions)
    network.edges = EdgeForm(0, tables.steps, 0.0)
    for name, array in arrays.items():
        setattr(network, name, array.ctypes.data)
    nowhere = density_without_neighbours(model, (torch.zeros(1, model.features),) * model.num_interactions)
    arguments = ("c3n_density_schnet", network, nowhere, tuple(arrays.values()))
    return Packed(*arguments, _Senders(layout.width), tables.steps, tables.error)


class _Senders:
    """The messages of the atoms: in the first layer their node part, later its first linear map, bias included."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, model: DensityModel, state: AtomState) -> dict[str, ndarray]:
        assert isinstance(model, SchNetDensity)
        mapped = []
        messages = _messages(model)
        with torch.no_grad():
            for message, layer in zip(messages, state.layers, strict=True):
                for_sender = message.node_in.weight[:, : model.features]
                mapped.append(nn.functional.linear(layer, for_sender, message.node_in.bias))
            first = messages[0].node_out(messages[0].activation(mapped[0]))
        later = [_lanes(one.numpy(), self.width) for one in mapped[1:]]
        empty = np.zeros((0, 0), dtype=np.float32)
        return {
            "first": aligned(vectors(first.numpy(), self.width)),
            "senders": aligned(np.stack(later) if later else empty),
        }


def _messages(model: SchNetDensity) -> list[SchNetMessage]:
    return [cast(SchNetMessage, message) for message in model.probe_messages]


def _numpy(tensor: Tensor) -> ndarray:
    return tensor.detach().double().numpy()


def _lanes(rows: Float[ndarray, "rows channels"], width: int) -> Float[ndarray, "rows lanes"]:
    """Rows padded with zeros to whole vectors."""
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % width)))


def _filters(message: SchNetMessage, model: SchNetDensity) -> Functions:
    """Radial filters with the soft cutoff, in float64."""
    first, activation, last = message.edge_mlp
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)

    def filters(lengths: Float[Tensor, "n"]) -> Float[Tensor, "n functions"]:
        with torch.no_grad():
            radial = gaussians(lengths, model.num_basis, model.radial_step)
            hidden = activation(radial @ first.weight.double().T + first.bias.double())
            mapped = hidden @ last.weight.double().T + last.bias.double()
        return mapped * sigmoid_cutoff(lengths, model.cutoff)[:, None]

    return filters


def _dense(model: SchNetDensity, columns: int) -> list[ndarray]:
    """In the order of use."""
    parts = []
    layers = zip(_messages(model), model.probe_gates, model.probe_updates, strict=True)
    for t, (message, gate, update) in enumerate(layers):
        gate, update = cast(nn.Sequential, gate), cast(nn.Sequential, update)
        if t:
            parts.append(blocks(_numpy(message.node_in.weight)[:, model.features :].T, columns))
        parts.append(perceptron(update, columns))
        with torch.no_grad():  # the input of the first gate is zero for every probe
            constant = torch.sigmoid(gate(torch.zeros(model.features)))
        parts.append(perceptron(gate, columns) if t else _numpy(constant))
    return [*parts, perceptron(model.readout, columns)]
