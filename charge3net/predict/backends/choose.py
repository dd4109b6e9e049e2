"""Which backend evaluates a density: the kernels of the device that the model is on, or torch."""

from __future__ import annotations

from charge3net.geometry import Geometry
from charge3net.graph.types import AtomState
from charge3net.models.base import DensityModel
from charge3net.predict.backends import cpu
from charge3net.predict.backends.base import Backend
from charge3net.predict.backends.plain_torch import TorchBackend
from charge3net.progress import Clock


def choose_backend(
    model: DensityModel, state: AtomState, geometry: Geometry, edge_budget: int, clock: Clock
) -> Backend:
    """The fastest backend that evaluates this model.

    Args:
        model: decides by its device, its class and its weights.
        state: its encoded atoms.
        geometry: the structure, atoms in the same order.
        edge_budget: pairs of probe and atom given to torch at once; kernels need none.
        clock: times the neighbour search where torch evaluates.
    """
    found: Backend | str
    if model.device.type == "cuda":
        from charge3net.predict.backends import gpu

        found = gpu.open_backend(model, state, geometry)
    else:
        found = cpu.open_backend(model, state, geometry)
    return TorchBackend(model, state, geometry, edge_budget, found, clock) if isinstance(found, str) else found
