"""What every density model must obey, one function for each symmetry of the problem.

Each ``assert_…`` takes a model, a structure and probe points (Å), and raises AssertionError with the largest deviation,
relative to the largest density.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.collate import collate
from charge3net.graph.types import AtomGraph, DensityBatch, ProbeGraph
from charge3net.models.base import DensityModel
from charge3net.testing.structures import Points


def density_at(model: DensityModel, geometry: Geometry, points: Points) -> Float[ndarray, "probes channels"]:
    """[probes, channels] the model's density in e/Å³, from one graph without chunks."""
    with torch.no_grad():
        return model(_batch(model, geometry, points)).cpu().double().numpy()


def assert_equivariant(model: DensityModel, geometry: Geometry, points: Points, tolerance: float) -> None:
    """Rotating, inverting or moving atoms and probes together changes nothing."""
    expected = density_at(model, geometry, points)
    for name, turn, shift in (
        ("rotation", _random_rotation(1), np.zeros(3)),
        ("inversion", -np.eye(3), np.zeros(3)),
        ("rotation with inversion", -_random_rotation(2), np.zeros(3)),
        ("translation", np.eye(3), np.array([1.37, -20.1, 0.44])),
    ):
        moved = Geometry(geometry.numbers, geometry.positions @ turn.T + shift, geometry.cell @ turn.T, geometry.pbc)
        _assert_close(density_at(model, moved, points @ turn.T + shift), expected, tolerance, name)


def assert_permutation_invariant(model: DensityModel, geometry: Geometry, points: Points, tolerance: float) -> None:
    """The order of the atoms does not matter; the densities are in the order of the probes."""
    expected = density_at(model, geometry, points)
    rng = np.random.default_rng(5)
    atoms, probes = rng.permutation(len(geometry)), rng.permutation(len(points))
    shuffled = Geometry(geometry.numbers[atoms], geometry.positions[atoms], geometry.cell, geometry.pbc)
    _assert_close(density_at(model, shuffled, points[probes]), expected[probes], tolerance, "permutation")


def assert_lattice_invariant(model: DensityModel, geometry: Geometry, points: Points, tolerance: float) -> None:
    """Lattice translations of single atoms or probes, supercells and other cells of the same lattice change nothing."""
    expected = density_at(model, geometry, points)
    rng = np.random.default_rng(6)
    periodic = geometry.pbc.astype(int)

    def translations(n: int) -> ndarray:
        return (rng.integers(-2, 3, (n, 3)) * periodic) @ geometry.cell

    moved = Geometry(geometry.numbers, geometry.positions + translations(len(geometry)), geometry.cell, geometry.pbc)
    _assert_close(density_at(model, moved, points), expected, tolerance, "translation of atoms by lattice vectors")
    shifted = points + translations(len(points))
    _assert_close(density_at(model, geometry, shifted), expected, tolerance, "translation of probes by lattice vectors")
    _assert_close(density_at(model, _supercell(geometry), points), expected, tolerance, "supercell")
    if periodic.all():
        sheared = np.array([[1, 0, 0], [1, 1, 0], [-1, 2, 1]]) @ geometry.cell
        _assert_close(density_at(model, geometry.with_cell(sheared), points), expected, tolerance, "equivalent cell")


def assert_batch_invariant(
    model: DensityModel, structures: Sequence[tuple[Geometry, Points]], tolerance: float
) -> None:
    """Structures in one batch have the same densities as alone."""
    alone = np.concatenate([density_at(model, geometry, points) for geometry, points in structures])
    with torch.no_grad():
        together = model(collate([_batch(model, geometry, points) for geometry, points in structures]))
    _assert_close(together.double().numpy(), alone, tolerance, "batch")


def assert_chunk_invariant(model: DensityModel, geometry: Geometry, points: Points, tolerance: float) -> None:
    """Probes in chunks, down to one at a time, have the same densities from one atom state."""
    expected = density_at(model, geometry, points)
    for size in (1, 3):
        with torch.no_grad():
            state = model.encode_atoms(build_atom_graph(geometry, model.cutoff))
            parts = [
                model.density_at(state, build_probe_graph(geometry, points[i : i + size], model.cutoff))
                for i in range(0, len(points), size)
            ]
        _assert_close(torch.cat(parts).double().numpy(), expected, tolerance, f"chunks of {size}")


def assert_gradients(model: DensityModel, geometry: Geometry, points: Points, tolerance: float) -> None:
    """Derivatives with respect to probes and atoms are those of central differences; for float64 models."""
    batch = _batch(model, geometry, points)
    weights = torch.linspace(0.5, 1.5, len(points) * model.channels, dtype=model.dtype).reshape(len(points), -1)

    def value(positions: torch.Tensor, probes: torch.Tensor) -> torch.Tensor:
        atoms = AtomGraph(
            batch.atoms.numbers, positions, batch.atoms.senders, batch.atoms.receivers, batch.atoms.shifts,
            batch.atoms.offsets,
        )  # fmt: skip
        graph = ProbeGraph(
            probes, batch.probes.senders, batch.probes.receivers, batch.probes.shifts, batch.probes.offsets
        )
        return (model.density_at(model.encode_atoms(atoms), graph) * weights).sum()

    positions = batch.atoms.positions.clone().requires_grad_()
    probes = batch.probes.points.clone().requires_grad_()
    gradients = torch.autograd.grad(value(positions, probes), (positions, probes), allow_unused=True)
    for which, (name, where) in enumerate((("atoms", positions), ("probes", probes))):
        found = gradients[which] if gradients[which] is not None else torch.zeros_like(where)

        def of(changed: torch.Tensor, which: int = which) -> torch.Tensor:
            return value(*((changed, probes) if which == 0 else (positions, changed)))

        numeric = _central_differences(of, where.detach())
        _assert_close(found.numpy(), numeric.numpy(), tolerance, f"gradient with respect to {name}")


def _central_differences(
    function: Callable[[torch.Tensor], torch.Tensor], where: torch.Tensor, step: float = 1e-5
) -> torch.Tensor:
    result = torch.zeros_like(where)
    with torch.no_grad():
        for index in np.ndindex(*where.shape):
            ends = []
            for sign in (1.0, -1.0):
                moved = where.clone()
                moved[index] += sign * step
                ends.append(function(moved))
            result[index] = (ends[0] - ends[1]) / (2 * step)
    return result


def _batch(model: DensityModel, geometry: Geometry, points: Points) -> DensityBatch:
    return DensityBatch(
        build_atom_graph(geometry, model.cutoff),
        build_probe_graph(geometry, points, model.cutoff),
        torch.zeros(len(points), model.channels),
        ("structure",),
    )


def _supercell(geometry: Geometry) -> Geometry:
    repeats = np.where(geometry.pbc, [2, 1, 3], 1)
    shifts = np.stack(np.meshgrid(*[np.arange(n) for n in repeats], indexing="ij"), -1).reshape(-1, 3) @ geometry.cell
    return Geometry(
        np.tile(geometry.numbers, len(shifts)),
        (shifts[:, None] + geometry.positions).reshape(-1, 3),
        geometry.cell * repeats[:, None],
        geometry.pbc,
    )


def _random_rotation(seed: int) -> Float[ndarray, "3 3"]:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def _assert_close(found: ndarray, expected: ndarray, tolerance: float, what: str) -> None:
    assert found.shape == expected.shape, f"{what}: shape {found.shape} instead of {expected.shape}"
    assert np.isfinite(found).all(), f"{what}: not finite"
    scale = np.abs(expected).max()
    deviation = np.abs(found - expected).max() / scale if scale > 0 else np.abs(found).max()
    assert deviation <= tolerance, f"{what}: relative deviation {deviation:.2e} exceeds {tolerance:.0e}"
