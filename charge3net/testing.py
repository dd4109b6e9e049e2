"""Checks that every density model must pass, for adding a model.

:class:`DensityModelTests` has all of them as tests for pytest; subclass it and say how a model is made. Each
``assert_…`` takes a model, a structure and probe points (Å), and raises AssertionError with the largest deviation,
relative to the largest density, when a symmetry of the problem is broken. ``hard_structures`` are difficult cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.graph.collate import collate
from charge3net.graph.types import AtomGraph, DensityBatch, ProbeGraph
from charge3net.models.base import DensityModel
from charge3net.models.registry import build_model

Points = Float[ndarray, "probes 3"]


def hard_structures() -> dict[str, Geometry]:
    """Structures that are easy to get wrong, by what is difficult about them."""
    every, none = np.ones(3, bool), np.zeros(3, bool)
    rhombohedral = np.array([[2.1, 1.2, 4.6], [-2.1, 1.2, 4.6], [0.0, -2.4, 4.6]])
    skewed = np.array([[3.2, 0.0, 0.0], [2.9, 1.9, 0.0], [-2.4, 1.1, 3.0]])
    hydroxyl = np.array([[0.0, 0.0, 0.0], [0.9, 0.3, 0.1], [-1.1, 0.8, -0.3]])
    return {
        "rhombohedral": Geometry(
            np.array([3, 27, 8]), np.array([[0.1, 0, 0], [0, 0, 7.0], [0.2, 0, 3.4]]), rhombohedral, every
        ),
        "skewed": Geometry(np.array([11, 17]), np.array([[0.1, 0.2, 0.0], [1.9, 1.3, 1.4]]), skewed, every),
        "smaller than the cutoff": Geometry(np.array([29]), np.array([[0.3, 0.1, 0.2]]), np.eye(3) * 2.3, every),
        "left-handed": Geometry(
            np.array([14, 6]), np.array([[0.0, 0, 0], [1.0, 1.2, 0.8]]), np.eye(3)[[1, 0, 2]] * 3.1, every
        ),
        "atoms outside the cell": Geometry(np.array([8, 1, 1]), hydroxyl + 23.0, np.eye(3) * 6.0, every),
        "slab": Geometry(
            np.array([13, 8]), np.array([[0.2, 0.1, 9.0], [1.4, 1.6, 10.7]]), np.diag([2.9, 3.1, 20.0]),
            np.array([True, True, False]),
        ),
        "wire": Geometry(
            np.array([6, 9]), np.array([[0.0, 0.0, 0.3], [0.4, 1.2, 1.1]]), np.diag([0.0, 0.0, 2.6]),
            np.array([False, False, True]),
        ),
        "molecule without a cell": Geometry(np.array([8, 1, 1]), hydroxyl, np.zeros((3, 3)), none),
        "one atom": Geometry(np.array([92]), np.array([[0.5, 0.5, 0.5]]), np.zeros((3, 3)), none),
        "unknown species": Geometry(np.array([0, 8]), np.array([[0.0, 0, 0], [1.3, 0, 0]]), np.eye(3) * 5.0, every),
    }  # fmt: skip


def points_near(geometry: Geometry, n: int, seed: int = 0) -> Points:
    """[n, 3] random points in Å, most within 3 Å of an atom, the first on an atom."""
    rng = np.random.default_rng(seed)
    atoms = geometry.positions[rng.integers(len(geometry), size=n)]
    points = atoms + rng.normal(scale=1.3, size=(n, 3))
    points[0] = geometry.positions[0]
    return points


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


class DensityModelTests:
    """All checks of this module as tests, in float64 and float32. In a test file of your package::

        class TestMyModel(DensityModelTests):
            def make_model(self) -> DensityModel:
                return MyModel(features=8)

    Weights of a fresh model are often small, which hides mistakes: multiply them in ``make_model``.
    """

    #: Largest deviation, relative to the largest density.
    tolerance = {torch.float64: 1e-9, torch.float32: 3e-5}  # noqa: RUF012 - a constant, overridden by subclasses
    #: The same for gradients in float64, against central differences.
    gradient_tolerance = 2e-5

    def make_model(self) -> DensityModel:
        """A small model with random weights, registered under its name."""
        raise NotImplementedError(f"{type(self).__name__} must have a method make_model() that returns a model")

    def structures(self) -> dict[str, Geometry]:
        """Structures that the model takes: all of :func:`hard_structures`; only those of known elements if it fits."""
        known_only = self.make_model().fits_atoms
        return {name: one for name, one in hard_structures().items() if not known_only or one.numbers.all()}

    def _models(self) -> Iterator[tuple[DensityModel, float]]:
        for dtype, tolerance in self.tolerance.items():
            torch.manual_seed(7)
            yield self.make_model().to(dtype), tolerance

    def test_symmetries(self) -> None:
        """Rotations, inversion, translations, order of atoms, lattice vectors, supercells."""
        for model, tolerance in self._models():
            for name, geometry in self.structures().items():
                points = points_near(geometry, 7)
                with _named(name, model):
                    assert_equivariant(model, geometry, points, tolerance)
                    assert_permutation_invariant(model, geometry, points, tolerance)
                    assert_lattice_invariant(model, geometry, points, tolerance)

    def test_batches_and_chunks(self) -> None:
        """A density depends neither on other structures of a batch nor on other probes."""
        for model, tolerance in self._models():
            structures = self.structures()
            assert_batch_invariant(model, [(one, points_near(one, 4)) for one in structures.values()], tolerance)
            for name, geometry in structures.items():
                with _named(name, model):
                    assert_chunk_invariant(model, geometry, points_near(geometry, 7), tolerance)

    def test_gradients_are_those_of_finite_differences(self) -> None:
        """With respect to atoms and probes; not at an atom, where the density may have a cusp."""
        model, _ = next(self._models())
        geometry = hard_structures()["rhombohedral"]
        assert_gradients(model, geometry, points_near(geometry, 4, seed=2)[1:], self.gradient_tolerance)

    def test_a_probe_out_of_reach_gets_a_constant(self) -> None:
        """The density far from all atoms is finite, and the same wherever that is."""
        structures = hard_structures()
        far = np.array([[200.0, 0.0, 0.0], [0.0, 300.0, 0.0]])
        for model, _ in self._models():
            alone = [density_at(model, structures[name], far) for name in ("molecule without a cell", "one atom")]
            found = np.concatenate(alone)
            assert np.isfinite(found).all()
            assert (found == found[0]).all(), f"out of reach of all atoms the density is {found.tolist()}"

    def test_one_probe_and_none(self) -> None:
        """Shapes of the smallest inputs."""
        geometry = hard_structures()["one atom"]
        for model, _ in self._models():
            assert density_at(model, geometry, geometry.positions + 0.7).shape == (1, model.channels)
            empty = build_probe_graph(geometry, np.zeros((0, 3)), model.cutoff)
            state = model.encode_atoms(build_atom_graph(geometry, model.cutoff))
            assert model.density_at(state, empty).shape == (0, model.channels)

    def test_one_atom_has_a_spherical_density(self) -> None:
        """At one distance from a lone atom the density is the same in all directions."""
        geometry = hard_structures()["one atom"]
        directions = np.random.default_rng(0).normal(size=(6, 3))
        points = geometry.positions + 1.1 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        for model, _ in self._models():
            found = density_at(model, geometry, points)
            np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), rtol=1e-4, atol=1e-6)

    def test_the_registry_rebuilds_the_model(self) -> None:
        """Name, hyper-parameters and weights are the whole model: a checkpoint holds nothing else."""
        geometry = hard_structures()["skewed"]
        points = points_near(geometry, 5)
        for model, _ in self._models():
            again = build_model(model.architecture, model.hyperparameters()).to(model.dtype)
            again.load_state_dict(model.state_dict())
            np.testing.assert_array_equal(density_at(again, geometry, points), density_at(model, geometry, points))


@contextmanager
def _named(structure: str, model: DensityModel) -> Iterator[None]:
    """Say for which structure a check failed."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{structure}, {str(model.dtype)[6:]}: {error}") from None
