"""Who reads a density in place of the torch path: the kernels of the device that the model is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charge3net.geometry import Geometry
from charge3net.graph.types import AtomState
from charge3net.models.base import DensityModel
from charge3net.predict.backends.cpu import CpuBackend, unsupported_reason

if TYPE_CHECKING:
    from charge3net.predict.backends.gpu_evaluate import GpuBackend


def choose_backend(
    model: DensityModel, state: AtomState, geometry: Geometry
) -> tuple[CpuBackend | GpuBackend | None, str]:
    """A structure's density, ready to be read by kernels; None where torch reads. And who reads, in words.

    Args:
        model: decides by its device, its class and its weights.
        state: its encoded atoms.
        geometry: the structure, atoms in the same order.
    """
    if model.device.type == "cuda":
        from charge3net.predict.backends.gpu import open_backend

        found = open_backend(model, state, geometry)
        return (None, f"torch: {found}") if isinstance(found, str) else (found, "triton")
    reason = unsupported_reason(model)
    return (None, f"torch: {reason}") if reason else (CpuBackend(model, state, geometry), "compiled")
