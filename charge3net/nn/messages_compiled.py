"""The sums of messages of a ChargE3Net layer as one compiled operation, forwards and backwards.

:func:`summed_messages` returns None, and torch forms the sum, where the kernels do not apply: other devices and dtypes,
gradients with respect to positions, orders above :data:`MAX_L`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.autograd.function import once_differentiable

from charge3net.kernels import enabled
from charge3net.kernels.library import compiled, library
from charge3net.nn.e3nn import o3
from charge3net.nn.edges import Edges
from charge3net.nn.edges_compiled import EdgeArrays, prepared
from charge3net.nn.irreps import Blocks
from charge3net.nn.radial_charge3net import RadialNet
from charge3net.nn.radial_table import TOLERANCE, TOLERANCE_WITHOUT_GRADIENT, fine_enough, table

#: Highest rotation order that is compiled.
MAX_L = 6

#: Below this many edge weights a second thread costs more than it brings.
_WORTH_A_THREAD = 100_000


_SORTED = ("bounds", "receivers", "rows", "harmonics", "spline")


@runtime_checkable
class Layer(Protocol):
    """The part of a :class:`charge3net.nn.convolution.Convolution` that the sum needs."""

    irreps_sender: o3.Irreps
    irreps_message: o3.Irreps
    paths: dict[o3.Irrep, tuple[tuple[int, o3.Irrep], ...]]
    lmax: int
    num_neighbors: float
    radial: RadialNet


class _BySender(ctypes.Structure):
    """``BySender`` of src/messages.cpp."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in _SORTED)


class _Job(ctypes.Structure):
    """``Job`` of src/messages.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n_receivers", "n_edges", "n_atoms", "n_rows", "n_weights")),
        *((name, ctypes.c_int32) for name in ("n_irreps", "n_paths", "n_threads")),
        *((name, ctypes.c_void_p) for name in ("irreps", "paths", "targets", "cg_bounds", "cg_index", "cg_value")),
        *((name, ctypes.c_void_p) for name in ("senders", "bounds", "harmonics", "spline", "rows", "table")),
        *(
            (name, ctypes.c_void_p)
            for name in ("features", "out", "grad_out", "by_sender", "grad_table", "grad_features")
        ),
    )


@dataclass(frozen=True, eq=False)
class Plan:
    """A layer's paths as arrays for the kernel.

    Attributes:
        senders: irreps that have a path, in the order of the feature blocks.
        targets: irreps of the messages.
        irreps, paths, target_table, cg_bounds, cg_index, cg_value: see ``Job`` in src/messages.cpp.
    """

    senders: tuple[o3.Irrep, ...]
    targets: tuple[o3.Irrep, ...]
    irreps: ndarray
    paths: ndarray
    target_table: ndarray
    cg_bounds: ndarray
    cg_index: ndarray
    cg_value: ndarray

    def fill(self, job: _Job) -> None:
        """Put the addresses into a job."""
        job.n_irreps, job.n_paths = len(self.senders), len(self.paths)
        job.irreps, job.paths, job.targets = (
            self.irreps.ctypes.data,
            self.paths.ctypes.data,
            self.target_table.ctypes.data,
        )
        job.cg_bounds, job.cg_index = self.cg_bounds.ctypes.data, self.cg_index.ctypes.data
        job.cg_value = self.cg_value.ctypes.data


def plan_of(layer: Layer) -> Plan:
    """The plan of a layer; layers of one shape share it."""
    paths = tuple((mul, ir, layer.paths[ir]) for mul, ir in layer.irreps_sender)
    return _plan(paths, layer.irreps_message, layer.num_neighbors)


@cache
def _plan(
    sender_paths: tuple[tuple[int, o3.Irrep, tuple[tuple[int, o3.Irrep], ...]], ...],
    irreps_message: o3.Irreps,
    num_neighbors: float,
) -> Plan:
    targets = tuple(ir for _, ir in irreps_message)
    filled = dict.fromkeys(targets, 0)
    senders: list[o3.Irrep] = []
    irreps: list[tuple[int, int]] = []
    paths: list[tuple[int, ...]] = []
    bounds: list[int] = []
    index: list[int] = []
    value: list[float] = []
    column = 0
    for mul, ir, found in sender_paths:
        if not found:
            continue
        for l2, target in found:
            paths.append((len(senders), l2, targets.index(target), column, filled[target], len(bounds)))
            filled[target] += mul
            column += mul
            coupling = o3.wigner_3j(ir.l, l2, target.l, dtype=torch.float64) * (target.dim / num_neighbors) ** 0.5
            matrix = coupling.reshape(-1, target.dim).numpy()
            for m3 in range(target.dim):
                entries = np.flatnonzero(np.abs(matrix[:, m3]) > 1e-12)
                bounds.append(len(index))
                index.extend(entries.tolist())
                value.extend(matrix[entries, m3].tolist())
            bounds.append(len(index))
        senders.append(ir)
        irreps.append((ir.l, mul))
    return Plan(
        tuple(senders),
        targets,
        irreps=_integers(irreps),
        paths=_integers(paths),
        target_table=_integers([(ir.l, filled[ir]) for ir in targets]),
        cg_bounds=_integers(bounds),
        cg_index=_integers(index),
        cg_value=np.array(value, dtype=np.float32),
    )


def _integers(rows: Sequence[Any]) -> ndarray:
    return np.array(rows, dtype=np.int32)


class _SummedMessages(torch.autograd.Function):
    """(table, sender blocks [atoms, 2l+1, copies]) → message blocks [receivers, 2l+1, copies]."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, edges: EdgeArrays, weights: Tensor, *features: Tensor) -> tuple[Tensor, ...]:
        features = tuple(block.contiguous() for block in features)
        n_receivers = len(edges.bounds) - 1
        out = tuple(
            weights.new_empty(n_receivers, int(2 * order + 1), int(copies)) for order, copies in plan.target_table
        )
        job = _job(plan, edges, weights)
        job.features, job.out = _addresses(features), _addresses(out)
        _call("c3n_messages_forward", job)
        ctx.plan, ctx.edges = plan, edges
        ctx.save_for_backward(weights, *features)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, *features = ctx.saved_tensors
        gradients = tuple(gradient.contiguous() for gradient in gradients)
        grad_weights = torch.empty_like(weights)
        grad_features = tuple(torch.empty_like(block) for block in features)
        job = _job(ctx.plan, ctx.edges, weights)
        job.features, job.grad_out = _addresses(features), _addresses(gradients)
        job.grad_table, job.grad_features = grad_weights.data_ptr(), _addresses(grad_features)
        by_sender = ctx.edges.by_sender
        pointers = _BySender(*(getattr(by_sender, name).data_ptr() for name in _SORTED))
        job.by_sender = ctypes.addressof(pointers)
        _call("c3n_messages_backward", job)
        return None, None, grad_weights, *grad_features


def _job(plan: Plan, edges: EdgeArrays, weights: Tensor) -> _Job:
    job = _Job()
    plan.fill(job)
    job.n_receivers, job.n_edges, job.n_atoms = len(edges.bounds) - 1, len(edges.senders), edges.n_senders
    job.n_rows, job.n_weights = weights.shape
    job.n_threads = torch.get_num_threads() if job.n_edges * job.n_weights > _WORTH_A_THREAD else 1
    job.senders, job.bounds, job.harmonics = (t.data_ptr() for t in (edges.senders, edges.bounds, edges.harmonics))
    job.spline, job.rows, job.table = (t.data_ptr() for t in (edges.spline, edges.rows, weights))
    return job


def _addresses(tensors: Sequence[Tensor]) -> Any:
    return ctypes.cast((ctypes.c_void_p * len(tensors))(*(t.data_ptr() for t in tensors)), ctypes.c_void_p)


def _call(name: str, job: _Job) -> None:
    if getattr(compiled(), name)(ctypes.byref(job)):
        raise MemoryError(f"{name}: no memory for the sums of {job.n_edges} edges")


def summed_messages(layer: Layer, senders: Blocks, edges: Edges) -> dict[o3.Irrep, Tensor] | None:
    """Message blocks {irrep: [receivers, copies, 2l+1]} of a layer, or None where torch must form them."""
    if library().handle is None or not enabled() or not _fits(layer, senders, edges):
        return None
    known = prepared(edges, len(next(iter(senders.values()))))
    tolerance = TOLERANCE if torch.is_grad_enabled() else TOLERANCE_WITHOUT_GRADIENT
    found = fine_enough(layer.radial, known.at_nodes, edges.basis.n_basis, tolerance)
    arrays = known.arrays(found[0]) if found else None
    if found is None or arrays is None:
        return None
    plan, weights = plan_of(layer), table(layer.radial, found[1], arrays.used)
    features = [senders[ir].transpose(1, 2) for ir in plan.senders]
    sums = _SummedMessages.apply(plan, arrays, weights, *features)
    return {ir: block.transpose(1, 2) for ir, block in zip(plan.targets, sums, strict=True)}


def _fits(layer: Layer, senders: Blocks, edges: Edges) -> bool:
    tensors = (*senders.values(), edges.vectors, layer.radial.first)
    return (
        layer.lmax <= MAX_L
        and all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)
        and not edges.vectors.requires_grad
        and unpack_dual(edges.vectors).tangent is None
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
    )
