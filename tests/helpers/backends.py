"""Networks and hard structures for the tests of the backends that evaluate densities, and the density by torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.grid import Grid
from charge3net.kernels import build, torch_only
from charge3net.kernels.library import library
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import ChargE3Net
from charge3net.models.delta import DeltaChargE3Net, DeltaLocal
from charge3net.models.fitted_atoms import FittedAtoms
from charge3net.models.painn import PaiNNDensity
from charge3net.models.schnet import SchNetDensity
from charge3net.predict.backends import cpu
from tests.helpers.networks import with_atoms

ALL = np.ones(3, dtype=bool)
SKEWED = np.array([[3.1, 0.0, 0.0], [1.9, 2.7, 0.0], [-1.2, 1.1, 3.4]])


def usable_variants() -> list[str]:
    """Built libraries that this processor can run."""
    handle = library().handle
    level = 0 if handle is None else handle.c3n_processor_level()
    names = {n: name for n, (name, _) in build.VARIANTS.get(build.machine(), {}).items()}
    return [name for n, name in names.items() if n <= level and build.library_path(name).exists()]


def sharp_model(lmax: int, mul: int, channels: int = 1, seed: int = 0, cutoff: float = 4.0) -> ChargE3Net:
    """Random weights, with angles large enough to matter."""
    torch.manual_seed(seed)
    model = ChargE3Net(lmax=lmax, mul=mul, num_interactions=2, channels=channels, cutoff=cutoff)
    with torch.no_grad():
        for layer in (*model.atom_layers, *model.probe_layers):
            for weight in layer.angle_mix.parameters():
                weight.mul_(10.0)
    return model


def deepdft_model(kind: type[DensityModel], features: int, layers: int, channels: int = 1) -> DensityModel:
    torch.manual_seed(0)
    model = kind(features=features, num_interactions=layers, channels=channels)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.3)
    return model


def delta_model(kind: type[DensityModel], **sizes: int) -> DensityModel:
    """Made-up atoms of the elements of :data:`HARD` and a few more; a network with angles and a head that matter."""
    torch.manual_seed(0)
    model = with_atoms(kind, [1, 3, 6, 8, 11, 13, 17, 22], **sizes)
    if isinstance(model, DeltaChargE3Net):
        with torch.no_grad():
            for layer in (*model.atom_layers, *model.probe_layers):
                for weight in layer.angle_mix.parameters():
                    weight.mul_(10.0)
    return model


def exact(model: DensityModel, geometry: Geometry, points: ndarray) -> ndarray:
    """[channels, points] by torch in float64."""
    atoms, probes = build_atom_graph(geometry, model.cutoff), build_probe_graph(geometry, points, model.cutoff)
    with torch.no_grad(), torch_only():
        model.double()
        density = model.density_at(model.encode_atoms(atoms), probes)
        model.float()
    return density.numpy().T


def state_of(model: DensityModel, geometry: Geometry):
    with torch.no_grad():
        return model.encode_atoms(build_atom_graph(geometry, model.cutoff))


def on_grid(model: DensityModel, geometry: Geometry, grid: Grid, index: ndarray | None = None, state=None) -> ndarray:
    """[channels, points] at voxels, by the compiled kernels."""
    out = np.empty((model.channels, len(grid) if index is None else len(index)), dtype=np.float32)
    backend(model, geometry, state).grid(grid, out, index)
    return out


def at_points(model: DensityModel, geometry: Geometry, points: ndarray, state=None) -> ndarray:
    """[channels, points] at any points, by the compiled kernels."""
    out = np.empty((model.channels, len(points)), dtype=np.float32)
    backend(model, geometry, state).points(points, out)
    return out


def backend(model: DensityModel, geometry: Geometry, state=None) -> cpu.CpuBackend:
    opened = cpu.open_backend(model, state or state_of(model, geometry), geometry)
    assert isinstance(opened, cpu.CpuBackend), opened
    return opened


def cpu_reason(model: DensityModel, order: int = 0) -> str:
    """Why the compiled kernels do not evaluate a model; empty if they do."""
    found = cpu.packed_or_reason(model, order)
    return found if isinstance(found, str) else ""


def gpu_reason(model: DensityModel) -> str:
    """Why the GPU kernels do not evaluate a model; empty if they do."""
    from charge3net.predict.backends import gpu

    found = gpu.prepared_or_reason(model)
    return found if isinstance(found, str) else ""


def error(ours: ndarray, reference: ndarray) -> float:
    assert ours.dtype == np.float32
    assert ours.shape == reference.shape
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


#: name → structure, grid: cells smaller than the cutoff, partial periodicity, no cell, origins, atoms outside the cell.
HARD = {
    "tiny cell": (
        Geometry(np.array([13]), np.zeros((1, 3)), np.diag([1.6, 1.7, 1.9]), ALL),
        Grid(np.diag([1.6, 1.7, 1.9]), (6, 5, 9)),
    ),
    "skewed": (
        Geometry(np.array([11, 17]), np.array([[0.0, 0.0, 0.0], [9.3, -7.1, 14.2]]), SKEWED, ALL),
        Grid(SKEWED, (9, 8, 7), np.array([0.37, -5.1, 2.2])),
    ),
    "slab": (
        Geometry(
            np.array([13, 13, 1]),
            np.array([[0.0, 0.0, 5.0], [1.4, 1.4, 7.0], [0.2, 1.3, 8.6]]),
            np.diag([2.9, 2.9, 20.0]),
            np.array([True, True, False]),
        ),
        Grid(np.diag([2.9, 2.9, 20.0]), (4, 5, 40)),
    ),
    "wire along b, skewed": (
        Geometry(
            np.array([6, 8]),
            np.array([[0.0, 0.5, 0.0], [0.9, 1.5, -0.4]]),
            SKEWED * 1.3,
            np.array([False, True, False]),
        ),
        Grid(np.diag([7.0, 5.0, 6.0]), (9, 10, 11), np.array([-3.0, -9.0, -3.0])),
    ),
    "molecule without a cell": (
        Geometry(
            np.array([8, 1, 1]),
            np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.47], [0.0, -0.76, -0.47]]),
            np.zeros((3, 3)),
            ~ALL,
        ),
        Grid(np.diag([14.0, 12.0, 16.0]), (10, 9, 31), np.array([-7.0, -6.0, -8.0])),
    ),
}


MODELS = {
    "charge3net": lambda: sharp_model(3, 50),
    "painn": lambda: deepdft_model(PaiNNDensity, 21, 2),
    "schnet": lambda: deepdft_model(SchNetDensity, 38, 3),
    "charge3net_delta": lambda: delta_model(DeltaChargE3Net, lmax=3, mul=50, num_interactions=2, width=21),
    "delta_local": lambda: delta_model(DeltaLocal, channels=2),
    "fitted_atoms": lambda: delta_model(FittedAtoms),
}
