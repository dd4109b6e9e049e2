"""Weights of a network in the order and layout in which the compiled kernels use them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from torch import Tensor, nn

from charge3net.graph.types import AtomGraph, AtomState, ProbeGraph
from charge3net.kernels import torch_only
from charge3net.models.base import DensityModel


class EdgeForm(ctypes.Structure):
    """``EdgeForm`` of src/tile.h."""

    _fields_ = (("lmax", ctypes.c_int32), ("n_steps", ctypes.c_int32), ("on_atom", ctypes.c_double))


@dataclass(frozen=True)
class Layout:
    """Channels in a vector, and columns in a block of a matrix: of the library that is loaded."""

    width: int
    columns: int

    @classmethod
    def of(cls, handle: ctypes.CDLL) -> Layout:
        width, columns = ctypes.c_int32(), ctypes.c_int32()
        handle.c3n_layout(ctypes.byref(width), ctypes.byref(columns))
        return cls(width.value, columns.value)


@dataclass(frozen=True, eq=False)
class Packed:
    """The probe side of a model.

    Attributes:
        function: name of the compiled function.
        network: its description of the network, without what depends on a structure.
        without_neighbours: [rows] density where no atom is within the cutoff, and its gradient where it is computed.
        arrays: the memory that ``network`` points to.
        senders: (model, encoded atoms) → {field of ``network``: array that it points to}, where it depends on atoms.
        steps, error: of the radial tables.
    """

    function: str
    network: ctypes.Structure
    without_neighbours: Float32[ndarray, "rows"]
    arrays: Sequence[ndarray]
    senders: Callable[[DensityModel, AtomState], dict[str, ndarray]]
    steps: int
    error: float


def aligned(values: Float[ndarray, "*shape"]) -> Float32[ndarray, "*shape"]:
    """A contiguous float32 copy where vectors may be loaded from: torch allocates at multiples of 64 bytes."""
    copy = torch.empty(values.shape, dtype=torch.float32).numpy()
    copy[...] = values
    return copy


def blocks(matrix: Float[ndarray, "inputs outputs"], columns: int) -> Float[ndarray, "numbers"]:
    """Block after block of columns, each [inputs, columns of the block]."""
    starts = range(0, matrix.shape[1], columns)
    return np.concatenate([matrix[:, c : c + columns].ravel() for c in starts])


def linear(
    layer: nn.Linear, columns: int, rows: slice = slice(None), outputs: slice = slice(None)
) -> Float[ndarray, "numbers"]:
    """Matrix in blocks, then the bias if there is one; of some inputs and outputs."""
    parts = [blocks(layer.weight.detach().double().numpy()[outputs, rows].T, columns)]
    if layer.bias is not None:
        parts.append(layer.bias.detach().double().numpy()[outputs])
    return np.concatenate(parts)


def perceptron(layers: nn.Sequential, columns: int, outputs: slice = slice(None)) -> Float[ndarray, "numbers"]:
    """Both linear layers, the second cut to some outputs."""
    first, _, last = layers
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    return np.concatenate([linear(first, columns), linear(last, columns, outputs=outputs)])


def vectors(values: Float[ndarray, "rows channels"], width: int) -> Float[ndarray, "vectors rows width"]:
    """Channels by the vector, the last one padded with zeros."""
    count = -(-values.shape[1] // width)
    padded = np.zeros((len(values), count * width), dtype=values.dtype)
    padded[:, : values.shape[1]] = values
    return padded.reshape(len(values), count, width).transpose(1, 0, 2)


def row_numbers(channels: int, width: int, components: int = 1) -> Int[ndarray, "lanes"]:
    """Row of each lane of ``components`` × vectors; padding lanes go to one row after the last."""
    count = -(-channels // width) * width
    rows = np.full((components, count), components * channels)
    rows[:, :channels] = np.arange(components * channels).reshape(components, channels)
    return rows.ravel().astype(np.int32)


def density_without_neighbours(model: DensityModel, layers: tuple[Tensor, ...]) -> Float32[ndarray, "channels"]:
    """[channels] density where no atom is within the cutoff; ``layers``: any features of one atom."""
    index, place = torch.zeros(0, dtype=torch.int64), torch.zeros(1, 3, dtype=torch.float64)
    ends = torch.tensor([0, 1])
    atoms = AtomGraph(torch.ones(1, dtype=torch.int64), place, index, index, place[:0], ends)
    with torch.no_grad(), torch_only():
        density = model.density_at(AtomState(atoms, layers), ProbeGraph(place, index, index, place[:0], ends))
    return density[0].numpy().astype(np.float32)
