"""All checks as tests for pytest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph, build_probe_graph
from charge3net.models.base import DensityModel
from charge3net.models.registry import build_model
from charge3net.testing.checks import (
    assert_batch_invariant,
    assert_chunk_invariant,
    assert_equivariant,
    assert_gradients,
    assert_lattice_invariant,
    assert_permutation_invariant,
    density_at,
)
from charge3net.testing.structures import hard_structures, points_near


class DensityModelTests:
    """All checks of this package as tests, in float64 and float32. In a test file of your package::

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
