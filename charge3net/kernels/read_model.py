"""The probe side of a ChargE3Net as the compiled read wants it: radial tables and packed weights, once per model."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from charge3net.models.charge3net import ChargE3Net
from charge3net.nn.convolution import Convolution
from charge3net.nn.gaussian_basis import GaussianBasis, RadialNet
from charge3net.nn.irreps import EVEN_SCALAR, SILU_NORM, IrrepsLinear, coupling

#: Bound on the error of any function in a table, relative to the largest value of that function.
TOLERANCE = 2e-6

#: Steps of a table over [0, cutoff] between two centres of the radial functions, to choose from.
STEPS_PER_CENTRE = (8, 10, 12, 14, 16, 18, 20, 24, 28, 40, 56, 80)

#: Nodes beyond both ends: what is assumed there fades as 0.27^24 = 2e-14.
_MARGIN = 24


@dataclass(frozen=True, eq=False)
class ReadWeights:
    """Probe side of a model, packed for vectors of ``width`` channels.

    Attributes:
        steps: of the radial tables over [0, cutoff].
        table_error: largest error of a tabulated function, relative to its largest value.
        vectors: [lmax + 1] vectors of channels per order; a channel is a copy of an order in one layer.
        table: [vectors, steps + 3, width] B-spline coefficients.
        bounds: [layers + 1] where each layer's messages begin, all messages counted through.
        rows: [vectors · width] message of each channel; for padding the number of messages.
        angle, mix, readout: the dense part, see src/read_head.h.
        channels: densities read.
    """

    steps: int
    table_error: float
    vectors: Int[ndarray, "orders"]
    table: Float[ndarray, "vectors rows width"]
    bounds: Int[ndarray, "layers1"]
    rows: Int[ndarray, "lanes"]
    angle: Float[ndarray, "messages"]
    mix: Float[ndarray, "numbers"]
    readout: Float[ndarray, "channels scalars"]

    @property
    def channels(self) -> int:
        return len(self.readout)


#: Model → (what it was packed from, packed).
_packed: WeakKeyDictionary[ChargE3Net, tuple[tuple[tuple[int, int], ...], ReadWeights | None]] = WeakKeyDictionary()


def read_weights(model: ChargE3Net, handle: ctypes.CDLL) -> ReadWeights | None:
    """The packed weights, kept until the model's change; None when no table is fine enough."""
    tensors = [*model.probe_layers.parameters(), *model.readout.parameters(), *model.basis.buffers()]
    shape = layout(handle)
    state = (shape, *((t.data_ptr(), t._version) for t in tensors))
    if model not in _packed or _packed[model][0] != state:
        with torch.no_grad():
            _packed[model] = (state, _pack(model, *shape))
    return _packed[model][1]


def layout(handle: ctypes.CDLL) -> tuple[int, int]:
    """Channels in a vector, and columns in a block of the dense part."""
    width, columns = ctypes.c_int32(), ctypes.c_int32()
    handle.c3n_read_layout(ctypes.byref(width), ctypes.byref(columns))
    return width.value, columns.value


def _pack(model: ChargE3Net, width: int, columns: int) -> ReadWeights | None:
    layers = _layers(model)
    copies = [[_copies(layer, l) for layer in layers] for l in range(model.lmax + 1)]
    found = radial_tables([layer.radial for layer in layers], model.basis)
    if found is None:
        return None
    steps, error, tables = found
    vectors = [-(-sum(of_order) // width) for of_order in copies]
    bounds = np.cumsum([0, *(sum(of_layer) for of_layer in zip(*copies, strict=True))])
    table = np.zeros((sum(vectors) * width, steps + 3), dtype=np.float32)
    rows = np.full(len(table), bounds[-1])
    columns_used = [0] * len(layers)
    start = 0
    for of_order, n in zip(copies, vectors, strict=True):
        lane = start * width
        for t, count in enumerate(of_order):
            first = columns_used[t]  # messages are in the order of l, as are the columns of the radial network
            table[lane : lane + count] = tables[t][:, first : first + count].T
            rows[lane : lane + count] = bounds[t] + first + np.arange(count)
            columns_used[t] += count
            lane += count
        start += n
    return ReadWeights(
        steps,
        error,
        np.array(vectors, dtype=np.int32),
        aligned(table.reshape(-1, width, steps + 3).transpose(0, 2, 1)),
        bounds.astype(np.int32),
        rows.astype(np.int32),
        np.concatenate([0.1 * _matrix(layer.angle_mix)[:, 0] for layer in layers]).astype(np.float32),
        np.concatenate([_blocks(_mix(layer, t), columns) for t, layer in enumerate(layers)]),
        (SILU_NORM * _matrix(model.readout)).T.astype(np.float32).copy(),
    )


def aligned(values: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """A contiguous float32 copy where vectors may be loaded from: torch allocates at multiples of 64 bytes."""
    copy = torch.empty(values.shape, dtype=torch.float32).numpy()
    copy[...] = values
    return copy


def _layers(model: ChargE3Net) -> list[Convolution]:
    return [layer for layer in model.probe_layers if isinstance(layer, Convolution)]


def _copies(layer: Convolution, l: int) -> int:
    return sum(mul for mul, ir in layer.irreps_sender if ir.l == l and layer.paths[ir])


def _matrix(linear: IrrepsLinear) -> Float[ndarray, "inputs outputs"]:
    weight = linear.weights[str(EVEN_SCALAR)].double()
    return (weight * weight.shape[0] ** -0.5).numpy()


def _mix(layer: Convolution, number: int) -> Float[ndarray, "inputs scalars"]:
    """Messages, then the scalars of the layer before (whose activation constant is put in here)."""
    if number == 0:
        return _matrix(layer.message_mix)
    return np.concatenate([_matrix(layer.message_mix), SILU_NORM * _matrix(layer.self_mix)])


def _blocks(matrix: Float[ndarray, "inputs outputs"], columns: int) -> Float[ndarray, "numbers"]:
    """Block after block of columns, each [inputs, columns]."""
    starts = range(0, matrix.shape[1], columns)
    return np.concatenate([matrix[:, c : c + columns].ravel() for c in starts]).astype(np.float32)


def pack_senders(
    model: ChargE3Net, features: tuple[Tensor, ...], vectors: Int[ndarray, "orders"], width: int
) -> Float[ndarray, "numbers"]:
    """What atoms send, per vector of channels [atoms, 2l+1, width]: mixed, and scaled for the sum to be the message."""
    n_atoms = len(features[0])
    layers = _layers(model)
    with torch.no_grad():
        mixed = [layer.sent(flat) for layer, flat in zip(layers, features, strict=True)]
    parts = []
    for l, n in enumerate(vectors):
        block = np.zeros((int(n) * width, n_atoms, 2 * l + 1), dtype=np.float32)
        start = 0
        for layer, sent in zip(layers, mixed, strict=True):
            for mul, ir in layer.irreps_sender:
                if ir.l == l and layer.paths[ir]:
                    scale = _to_scalar(l) * layer.num_neighbors**-0.5
                    block[start : start + mul] = (sent[ir] * scale).transpose(0, 1).numpy()
                    start += mul
        parts.append(block.reshape(int(n), width, n_atoms, 2 * l + 1).transpose(0, 2, 3, 1).ravel())
    return aligned(np.concatenate(parts))


def _to_scalar(l: int) -> float:
    """Factor of Σ_m h_m Y_m in the product of two order-l features into a scalar."""
    matrix = coupling(l, ((l, 0),), l, torch.float64, torch.device("cpu"))[l**2 :]
    return float(matrix[0, 0])


def radial_tables(
    networks: list[RadialNet], basis: GaussianBasis
) -> tuple[int, float, list[Float[ndarray, "rows functions"]]] | None:
    """Cubic B-splines through the radial networks, with the fewest steps whose error stays below :data:`TOLERANCE`.

    The error is measured where it is largest, between the nodes, against the networks in float64.

    Returns:
        Number of steps over [0, cutoff], the error, and per network [steps + 3, functions] coefficients, of which
        i … i + 3 belong to step i; None when no number of steps is enough.
    """
    at_least = STEPS_PER_CENTRE[2]
    for per_centre in STEPS_PER_CENTRE:
        if per_centre < at_least:
            continue
        steps = per_centre * (basis.n_basis - 1)
        tables, errors = zip(*(_table(network, basis, steps) for network in networks), strict=True)
        error = max(errors)
        if error <= TOLERANCE:
            return steps, error, [table.numpy() for table in tables]
        at_least = per_centre * (error / TOLERANCE) ** 0.25  # the error falls with the fourth power of the step
    return None


def _table(network: RadialNet, basis: GaussianBasis, steps: int) -> tuple[Float[Tensor, "rows functions"], float]:
    """B-spline coefficients of one network, and the error of the worst function relative to its largest value."""
    nodes = torch.arange(-1 - _MARGIN, steps + 2 + _MARGIN, dtype=torch.float64)
    coefficients = _spline(_evaluate(network, basis, nodes / steps))[_MARGIN : steps + 3 + _MARGIN]
    inside = torch.arange(steps, dtype=torch.float64)
    error = torch.zeros(coefficients.shape[1], dtype=torch.float64)
    largest = error + 1e-30
    for t in (0.25, 0.5, 0.75):
        exact = _evaluate(network, basis, (inside + t) / steps)
        weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (1 - t) ** 3 - 6 * (1 - t) ** 2 + 4, t**3)
        interpolated = torch.zeros_like(exact)
        for k, weight in enumerate(weights):
            interpolated += weight / 6 * coefficients[k : k + steps]
        error = torch.maximum(error, (interpolated - exact).abs().amax(0))
        largest = torch.maximum(largest, exact.abs().amax(0))
    return coefficients, float((error / largest).max())


def _evaluate(network: RadialNet, basis: GaussianBasis, fraction: Float[Tensor, "n"]) -> Float[Tensor, "n functions"]:
    """The network in float64 at these fractions of the cutoff."""
    lengths = fraction * basis.cutoff
    radial = (basis.gaussians(lengths) - basis.mean.double()) * basis.inv_std.double()
    first, last = network.first.double(), network.last.double()
    hidden = torch.nn.functional.silu(radial @ first * first.shape[0] ** -0.5)
    return hidden @ last * (SILU_NORM * last.shape[0] ** -0.5)


def _spline(values: Float[Tensor, "nodes functions"]) -> Float[Tensor, "nodes functions"]:
    """B-spline coefficients: (c[k−1] + 4 c[k] + c[k+1]) / 6 = value[k], nothing beyond the ends."""
    n = len(values)
    matrix = (4 * torch.eye(n, dtype=torch.float64) + torch.diag(torch.ones(n - 1, dtype=torch.float64), 1)) / 6
    matrix = matrix + torch.diag(torch.ones(n - 1, dtype=torch.float64), -1) / 6
    return torch.linalg.solve(matrix, values)
