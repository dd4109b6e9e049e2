"""The probe side of ChargE3Net for src/density_charge3net.cpp."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.graph.types import AtomState
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import ChargE3Net, ChargE3NetLayers
from charge3net.nn.edges import ON_ATOM
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
from charge3net.predict.backends.cpu_packing import EdgeForm, Layout, Packed, aligned, blocks
from charge3net.predict.backends.spline import fit


class Channels(ctypes.Structure):
    """``Channels`` of src/charge3net_sums.h."""

    _fields_ = (("edges", EdgeForm), *((name, ctypes.c_void_p) for name in ("vectors", "table", "senders")))


class Head(ctypes.Structure):
    """``Head`` of src/charge3net_head.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("n_layers", "n_scalars", "channels")),
        *((name, ctypes.c_void_p) for name in ("bounds", "rows", "angle", "mix", "readout")),
    )


class _Network(ctypes.Structure):
    """``ChargE3Net`` of src/density_charge3net.cpp."""

    _fields_ = (("channels", ctypes.c_int32), ("sums", Channels), ("head", Head))


class _GradientNetwork(ctypes.Structure):
    """``ChargE3NetGradient`` of src/gradient_charge3net.cpp."""

    _fields_ = (*_Network._fields_, ("back", ctypes.c_void_p))


def pack(model: DensityModel, layout: Layout, order: int = 0) -> Packed | None:
    """The packed weights; None when no table is accurate enough.

    The channels of an order are adjacent, layer after layer, in vectors.

    Args:
        model: a ChargE3Net.
        layout: of the library.
        order: 0 for the density, 1 for its gradient too.
    """
    assert isinstance(model, ChargE3Net)
    parts = pack_layers(model, layout, derivatives=order > 0)
    if parts is None:
        return None
    readout = aligned(SILU_NORM * scalar_matrix(model.readout).T)
    network = _GradientNetwork(model.channels) if order else _Network(model.channels)
    network.sums, network.head = parts.sums, parts.head
    network.head.channels, network.head.readout = model.channels, readout.ctypes.data
    arrays = [*parts.arrays, readout]
    if order:
        arrays.append(aligned(np.concatenate([blocks(mix.T, layout.columns) for mix in reversed(parts.mixes)])))
        network.back = arrays[-1].ctypes.data
    nowhere = np.zeros(model.channels * (4 if order else 1), dtype=np.float32)
    function = "c3n_gradient_charge3net" if order else "c3n_density_charge3net"
    arguments = (function, network, nowhere, tuple(arrays))
    return Packed(*arguments, Senders(layout.width), parts.steps, parts.error)


@dataclass(frozen=True, eq=False)
class PackedLayers:
    """The layers of a ChargE3Net, up to the scalars of a probe.

    Attributes:
        sums, head: their description, without a readout.
        arrays: the memory that these point to.
        mixes: the matrix of each layer.
        steps, error: of the radial tables.
    """

    sums: Channels
    head: Head
    arrays: list[ndarray]
    mixes: list[Float[ndarray, "_ _"]]
    steps: int
    error: float


def pack_layers(model: ChargE3NetLayers, layout: Layout, derivatives: bool = False) -> PackedLayers | None:
    """The packed layers; None when no table is accurate enough (``derivatives``: for its derivatives too)."""
    layers, width = probe_layers(model), layout.width
    functions = [radial_functions(layer.radial, model.basis) for layer in layers]
    tables = fit(functions, model.cutoff, derivatives=derivatives)
    if tables is None:
        return None
    copies = channel_counts(model)
    bounds = message_bounds(copies)
    table, rows = _side_by_side(copies, [table.T for table in tables.coefficients], bounds, width)
    mixes = [mixing(layer, t) for t, layer in enumerate(layers)]
    arrays = {
        "vectors": np.array([-(-sum(of_order) // width) for of_order in copies], dtype=np.int32),
        "table": aligned(table.reshape(-1, width, tables.steps + 3).transpose(0, 2, 1)),
        "bounds": bounds.astype(np.int32),
        "rows": rows.astype(np.int32),
        "angle": aligned(np.concatenate([angles(layer)[:, 0] for layer in layers])),
        "mix": aligned(np.concatenate([blocks(mix, layout.columns) for mix in mixes])),
    }
    sums, head = Channels(EdgeForm(model.lmax, tables.steps, ON_ATOM)), Head(len(layers), model.probe_irreps[-1].dim)
    for part in (sums, head):
        for name in (field[0] for field in part._fields_ if field[0] in arrays):
            setattr(part, name, arrays[name].ctypes.data)
    return PackedLayers(sums, head, list(arrays.values()), mixes, tables.steps, tables.error)


def _side_by_side(
    copies: list[list[int]],
    tables: list[Float[ndarray, "functions steps"]],
    bounds: Int[ndarray, "layers1"],
    width: int,
) -> tuple[Float[ndarray, "lanes steps"], Int[ndarray, "lanes"]]:
    """Table of every lane of the vectors, and its place among the messages; padding lanes come after the last."""
    counts = [-(-sum(of_order) // width) for of_order in copies]
    table = np.zeros((sum(counts) * width, tables[0].shape[1]))
    rows = np.full(len(table), bounds[-1])
    used, start = [0] * len(tables), 0
    for of_order, count in zip(copies, counts, strict=True):
        lane = start
        for t, n in enumerate(of_order):
            first = used[t]  # messages are in the order of l, as are the columns of the radial network
            table[lane : lane + n] = tables[t][first : first + n]
            rows[lane : lane + n] = bounds[t] + first + np.arange(n)
            used[t], lane = first + n, lane + n
        start += count * width
    return table, rows


class Senders:
    """The messages of the atoms, per vector of channels [atoms, 2l+1, width]: mixed and scaled for the sum."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, model: DensityModel, state: AtomState) -> dict[str, ndarray]:
        assert isinstance(model, ChargE3NetLayers)
        n_atoms, counts = state.atoms.n_atoms, [-(-sum(of_order) // self.width) for of_order in channel_counts(model)]
        sizes = [count * self.width * n_atoms * (2 * l + 1) for l, count in enumerate(counts)]
        packed = torch.zeros(sum(sizes))  # like what aligned makes
        for some, sent in scaled_senders(model, state):
            for l, (part, count) in enumerate(zip(packed.split(sizes), counts, strict=True)):
                channels = torch.zeros(some.stop - some.start, count * self.width, 2 * l + 1)
                channels[:, : sent[l].shape[1]] = sent[l]
                target = part.view(count, n_atoms, 2 * l + 1, self.width)
                target[:, some] = channels.unflatten(1, (count, self.width)).permute(1, 0, 3, 2)
        return {"sums.senders": packed.numpy()}
