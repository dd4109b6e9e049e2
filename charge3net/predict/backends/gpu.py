"""Whether the GPU kernels evaluate a ChargE3Net: they are compared with torch before their first use."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_probe_graph
from charge3net.graph.types import AtomState
from charge3net.grid import Grid
from charge3net.kernels import enabled, torch_only
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import ChargE3Net
from charge3net.predict.backends.gpu_evaluate import GpuBackend, kernels, true_float32
from charge3net.predict.backends.gpu_weights import Weights, pack

logger = logging.getLogger(__name__)

#: Largest difference from torch on the same device, relative to the largest density; each is within 5e-6 of the truth.
BOUND = 1e-5

#: Points of the comparison, and voxels along each side of a cube.
_POINTS, _VOXELS = 160, 6

#: Highest rotation order that was compiled.
_MAX_L = 6


@dataclass
class _Prepared:
    """A model's packed weights, and what was found about them; valid for the versions of its tensors in ``key``."""

    key: tuple[object, ...]
    weights: Weights | None
    reason: str
    compared: bool = False


_prepared: WeakKeyDictionary[DensityModel, _Prepared] = WeakKeyDictionary()

#: Devices on which the kernels failed, and how.
_failed: dict[torch.device, str] = {}


def status() -> dict[str, str]:
    """The backend of ChargE3Net on a GPU.

    ``backend`` ("triton" or "torch"), ``version`` of Triton, ``reason`` (empty with triton).
    """
    version, reason = _triton()
    reason = reason or _switched_off() or "; ".join(_failed.values())
    return {"backend": "torch" if reason else "triton", "version": version, "reason": reason}


def open_backend(model: DensityModel, state: AtomState, geometry: Geometry) -> GpuBackend | str:
    """A structure's density on the GPU kernels, or why they cannot evaluate this model.

    At the first use of a model's weights a few hundred points are evaluated by the kernels and by torch. If the kernels
    do not run, or differ from torch by more than :data:`BOUND`, they are not used, and one sentence is logged.

    Args:
        model: any model.
        state: its encoded atoms.
        geometry: the structure, atoms in the same order.
    """
    prepared = prepared_or_reason(model)
    if isinstance(prepared, str):
        return prepared
    assert isinstance(model, ChargE3Net)
    assert prepared.weights is not None
    backend = GpuBackend(model, state, geometry, prepared.weights)
    if prepared.compared:
        return backend
    try:
        prepared.reason = _difference(backend, model, state, geometry)
        prepared.compared = True
    except Exception as problem:  # any error of Triton's compiler or of the driver
        message = " ".join(str(problem).split())[:200]
        prepared.reason = f"the GPU kernels do not run on {model.device} ({type(problem).__name__}: {message})"
        _failed[model.device] = prepared.reason
    if prepared.reason:
        logger.warning("%s; torch is used in their place", prepared.reason)
    return prepared.reason or backend


def prepared_or_reason(model: DensityModel) -> _Prepared | str:
    """The weights packed for the kernels, or why they do not evaluate this model."""
    if reason := _triton()[1] or _switched_off():
        return reason
    if type(model) is not ChargE3Net:
        return f"no GPU kernels are written for {type(model).__name__}"
    if not _runs_on(model.device) or model.dtype != torch.float32:
        return f"the GPU kernels are for float32 on a GPU, not {str(model.dtype)[6:]} on {model.device.type}"
    if model.lmax > _MAX_L:
        return f"the GPU kernels go up to rotation order {_MAX_L}"
    if model.device in _failed:
        return _failed[model.device]
    prepared = _prepare(model)
    return prepared.reason or prepared


@cache
def _triton() -> tuple[str, str]:
    """Its version, and why it cannot be used."""
    if find_spec("triton") is None:
        return "", "triton is not installed"
    try:
        version = str(import_module("triton").__version__)
        import_module("triton.language")
    except Exception as problem:  # a package that does not fit this Python or torch fails in its own way
        return "", f"triton does not load ({type(problem).__name__}: {problem})"
    return version, ""


def _switched_off() -> str:
    return "" if enabled() else "kernels are switched off"


def _runs_on(device: torch.device) -> bool:
    """On GPUs; on the CPU when Triton interprets its kernels (TRITON_INTERPRET=1), which is for tests."""
    interpreted = type(kernels().find_edges).__name__ == "InterpretedFunction"
    return device.type == ("cpu" if interpreted else "cuda")


def _prepare(model: ChargE3Net) -> _Prepared:
    """The packed weights, cached until the weights change."""
    key = tuple((tensor.data_ptr(), tensor._version) for tensor in (*model.parameters(), *model.buffers()))
    if model not in _prepared or _prepared[model].key != key:
        with torch.no_grad():
            weights = pack(model, model.device)
        reason = "" if weights else "no table of the radial functions is accurate enough"
        _prepared[model] = _Prepared(key, weights, reason)
    return _prepared[model]


def _difference(backend: GpuBackend, model: ChargE3Net, state: AtomState, geometry: Geometry) -> str:
    """How the kernels' densities around some atoms differ from torch's; empty if they agree."""
    random, reach = np.random.default_rng(0), model.cutoff
    chosen = geometry.positions[random.integers(len(geometry), size=_POINTS)]
    points = chosen + random.uniform(-reach, reach, chosen.shape) / 2
    cube = Grid(reach * np.eye(3), (_VOXELS,) * 3, chosen[0] - reach / 3)
    found = [np.empty((model.channels, n), dtype=np.float32) for n in (len(points), len(cube))]
    try:
        backend.points(points, found[0])
        backend.grid(cube, found[1])
    except InputError as problem:
        return f"the GPU kernels fail: {problem}"
    plain = _torch_density(model, state, geometry, np.concatenate([points, cube.points()]))
    largest = float(np.abs(plain).max())
    error = float(np.abs(np.concatenate(found, axis=1) - plain).max()) / max(largest, 1e-30)
    if error <= BOUND:
        return ""
    return f"the GPU kernels differ from torch by {error:.1e} of the largest density on {model.device}"


def _torch_density(
    model: ChargE3Net, state: AtomState, geometry: Geometry, points: Float[ndarray, "points 3"]
) -> Float[ndarray, "channels points"]:
    probes = build_probe_graph(geometry, points, model.cutoff).to(model.device)
    with torch.no_grad(), torch_only(), true_float32():
        return model.density_at(state, probes).T.cpu().numpy()
