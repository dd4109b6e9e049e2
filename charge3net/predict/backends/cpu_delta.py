"""Fitted atoms, and what is learned on top of them, for src/density_delta.cpp and gradient_delta.cpp."""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import nn

from charge3net.atoms.functions import SMOOTHING
from charge3net.atoms.superposition import N_FEATURES, SuperposedAtoms
from charge3net.graph.types import AtomState
from charge3net.models.base import DensityModel
from charge3net.models.delta import FEATURE_BOUND, DeltaChargE3Net, DeltaHead, DeltaLocal
from charge3net.models.fitted_atoms import FittedAtoms
from charge3net.nn.edges import ON_ATOM
from charge3net.nn.irreps import SILU_NORM
from charge3net.predict.backends.cpu_charge3net import Channels, Head, Senders, pack_layers
from charge3net.predict.backends.cpu_packing import EdgeForm, Layout, Packed, aligned, blocks, linear

#: ``kLanes`` and ``kGradient`` of src/atom_sums.h.
_LANES, _GRADIENT = 32, 28


class _Atoms(ctypes.Structure):
    """``Atoms`` of src/atom_sums.h."""

    _fields_ = (("n_steps", ctypes.c_int32), ("table", ctypes.c_void_p), ("element", ctypes.c_void_p))


class _DeltaHead(ctypes.Structure):
    """``DeltaHead`` of src/delta_head.h."""

    _fields_ = (("width", ctypes.c_int32), *((name, ctypes.c_void_p) for name in ("factor", "shift", "weights")))


class _Delta(ctypes.Structure):
    """``Delta`` of src/density_delta.cpp."""

    _fields_ = (
        ("channels", ctypes.c_int32),
        ("reach", ctypes.c_double),
        ("atoms", _Atoms),
        ("sums", Channels),
        ("layers", Head),
        ("head", _DeltaHead),
    )


class _DeltaGradient(ctypes.Structure):
    """``DeltaGradient`` of src/gradient_delta.cpp."""

    _fields_ = (*_Delta._fields_, *((name, ctypes.c_void_p) for name in ("back", "back_head", "readout")))


def pack(model: DensityModel, layout: Layout, order: int = 0) -> Packed | None:
    """The packed atoms, layers and head; None when no table is accurate enough.

    Args:
        model: a model on fitted atoms.
        layout: of the library.
        order: 0 for the density, 1 for its gradient too.
    """
    assert isinstance(model, FittedAtoms | DeltaLocal | DeltaChargE3Net)
    network, steps, error = (_DeltaGradient if order else _Delta)(model.channels, model.cutoff), 1, 0.0
    arrays = [aligned(_table(model.atoms))]
    network.atoms = _Atoms(model.atoms.table.shape[1] - 3, arrays[0].ctypes.data)
    network.sums.edges = EdgeForm(0, steps, ON_ATOM)
    if isinstance(model, DeltaChargE3Net):
        layers = pack_layers(model, layout, derivatives=order > 0)
        if layers is None:
            return None
        network.sums, network.layers, steps, error = layers.sums, layers.head, layers.steps, layers.error
        arrays += layers.arrays
        if isinstance(network, _DeltaGradient):
            arrays.append(aligned(np.concatenate([blocks(mix.T, layout.columns) for mix in reversed(layers.mixes)])))
            network.back = arrays[-1].ctypes.data
    if not isinstance(model, FittedAtoms):
        factor = 1.0 / (FEATURE_BOUND * model.head.spread.double().numpy())
        own = [aligned(factor), aligned(-factor * model.head.mean.double().numpy())]
        linears = _linears(model.head)
        own.append(aligned(np.concatenate([linear(layer, layout.columns) for layer in linears])))
        network.head = _DeltaHead(model.width, *(array.ctypes.data for array in own))
        arrays += own
        if isinstance(network, _DeltaGradient):
            first, second, last = (layer.weight.double().numpy() for layer in linears)
            arrays.append(aligned(np.concatenate([blocks(matrix, layout.columns) for matrix in (second, first)])))
            arrays.append(aligned(last))
            network.back_head, network.readout = (array.ctypes.data for array in arrays[-2:])
    senders = _Senders(layout.width)
    nowhere: Float32[ndarray, "rows"] = np.zeros(model.channels * (4 if order else 1), dtype=np.float32)
    function = "c3n_gradient_delta" if order else "c3n_density_delta"
    return Packed(function, network, nowhere, arrays, senders, steps, error)


def _table(atoms: SuperposedAtoms) -> Float[ndarray, "elements rows lanes"]:
    """Lanes of src/atom_sums.h: what an atom adds to each number that is summed."""
    functions, properties = atoms.table.double().numpy(), atoms.properties.double().numpy()
    density, slope, laplacian = (functions[:, :, k] for k in range(3))
    smooth = [functions[:, :, 3 + k] for k in range(len(SMOOTHING))]
    shared = [density, *smooth[:2]]
    lanes = np.zeros((*density.shape, _LANES))
    columns = [density, laplacian, *smooth]
    columns += [one * properties[:, [i]] for one in shared for i in range(properties.shape[1])]
    lanes[:, :, : len(columns)] = np.stack(columns, axis=-1)
    lanes[:, :, _GRADIENT : _GRADIENT + 3] = slope[:, :, None]
    return lanes


def _linears(head: DeltaHead) -> list[nn.Linear]:
    """Three linear layers; what multiplies scalars of the network has the constant of their activation in it."""
    first, _, second, _, last = head.layers
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    assert isinstance(last, nn.Linear)
    scaled = nn.Linear(first.in_features, first.out_features)
    scaled.weight.copy_(first.weight)
    scaled.bias.copy_(first.bias)
    scaled.weight[:, N_FEATURES:] *= SILU_NORM
    return [scaled, second, last]


class _Senders:
    """Which table each atom has, and the messages of the atoms where there is a network."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, model: DensityModel, state: AtomState) -> dict[str, ndarray]:
        assert isinstance(model, FittedAtoms | DeltaLocal | DeltaChargE3Net)
        found = {"atoms.element": model.atoms.rows(state.atoms.numbers).to(torch.int32).numpy()}
        return {**found, **Senders(self.width)(model, state)} if isinstance(model, DeltaChargE3Net) else found
