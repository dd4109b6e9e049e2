"""One suite over all models: the symmetries of the problem, in float32 and float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charge3net import testing
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.models.base import DensityModel
from charge3net.models.charge3net import ChargE3Net, ChargE3NetLayers
from charge3net.models.delta import DeltaChargE3Net, DeltaLocal
from charge3net.models.fitted_atoms import FittedAtoms
from charge3net.models.painn import PaiNNDensity
from charge3net.models.schnet import SchNetDensity
from tests.helpers.networks import with_atoms

TOLERANCE = {torch.float64: 1e-9, torch.float32: 3e-5}
STRUCTURES = testing.hard_structures()
ELEMENTS = sorted({int(z) for geometry in STRUCTURES.values() for z in geometry.numbers} - {0})


def charge3net(lmax: int, channels: int = 1) -> DensityModel:
    model = ChargE3Net(lmax=lmax, mul=24, num_interactions=3, hidden=16, num_basis=8, channels=channels)
    with torch.no_grad():  # the default angles are tiny, which would hide mistakes in how they mix
        for layer in [*model.atom_layers, *model.probe_layers]:
            for weight in layer.angle_mix.parameters():
                weight *= 10
    return model


def schnet() -> DensityModel:
    return amplified(SchNetDensity(features=16, num_interactions=3), 1.8)


def painn() -> DensityModel:
    return amplified(PaiNNDensity(features=16, num_interactions=3), 1.2)


def delta(lmax: int, channels: int = 1) -> DensityModel:
    model = with_atoms(DeltaChargE3Net, ELEMENTS, lmax=lmax, mul=24, hidden=16, num_basis=8, channels=channels)
    with torch.no_grad():
        for layer in [*model.atom_layers, *model.probe_layers]:
            for weight in layer.angle_mix.parameters():
                weight *= 10
    return model


def amplified(model: DensityModel, factor: float) -> DensityModel:
    with torch.no_grad():
        for weight in model.parameters():
            weight *= factor
    return model


MODELS = {
    **{f"charge3net L={lmax}": lambda lmax=lmax: charge3net(lmax) for lmax in range(5)},
    "charge3net L=2 spin": lambda: charge3net(2, channels=2),
    "schnet": schnet,
    "painn": painn,
    "fitted atoms": lambda: with_atoms(FittedAtoms, ELEMENTS),
    "local delta": lambda: with_atoms(DeltaLocal, ELEMENTS, channels=2),
    "delta L=0": lambda: delta(0),
    "delta L=4": lambda: delta(4),
    "delta L=2 spin": lambda: delta(2, channels=2),
}


def structures(model: DensityModel) -> dict[str, Geometry]:
    """The hard structures that a model takes: those with atoms of their own know no unknown species."""
    return {name: one for name, one in STRUCTURES.items() if not model.fits_atoms or one.numbers.all()}


@pytest.fixture(params=list(MODELS))
def make(request):
    torch.manual_seed(7)
    return MODELS[request.param]


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def model(make, request) -> DensityModel:
    return make().to(request.param)


class TestEveryModel(testing.DensityModelTests):
    """The checks that other packages use for theirs."""

    @pytest.fixture(autouse=True)
    def _of(self, make):
        self.make_model = make


def test_models_with_atoms_of_their_own_refuse_unknown_species(model):
    if model.fits_atoms:
        geometry = STRUCTURES["unknown species"]
        with pytest.raises(InputError, match="no atom of X"):
            testing.density_at(model, geometry, testing.points_near(geometry, 7))


def test_out_of_reach_the_density_is_zero_where_there_are_messages_alone(model):
    if isinstance(model, ChargE3NetLayers) or model.fits_atoms:
        geometry = STRUCTURES["one atom"]
        assert not testing.density_at(model, geometry, np.array([[200.0, 0.0, 0.0]])).any()


def test_a_class_without_a_model_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="must have a method make_model"):
        testing.DensityModelTests().test_symmetries()


def test_the_checks_can_fail():
    """A model that looks at the x axis is caught."""

    class Crooked(ChargE3Net):
        def density_at(self, state, probes):
            tilt = probes.edge_vectors(state.atoms.positions, self.dtype)[:, 0].cos().sum()
            return super().density_at(state, probes) + tilt

    class Tests(testing.DensityModelTests):
        def make_model(self) -> DensityModel:
            return Crooked(lmax=0, mul=4)

    with pytest.raises(AssertionError, match=r"^rhombohedral, float64: rotation"):
        Tests().test_symmetries()


def test_geometry_is_not_changed_by_reading(model):
    geometry = STRUCTURES["skewed"]
    before = Geometry(geometry.numbers.copy(), geometry.positions.copy(), geometry.cell.copy(), geometry.pbc.copy())
    testing.density_at(model, geometry, testing.points_near(geometry, 3))
    np.testing.assert_array_equal(geometry.positions, before.positions)
    np.testing.assert_array_equal(geometry.cell, before.cell)


SMOOTH = [name for name in MODELS if "delta" in name or name == "fitted atoms"]


@pytest.mark.parametrize("name", SMOOTH)
def test_two_derivatives_are_continuous_where_an_atom_comes_into_reach(name):
    """Finite differences on both sides of the cutoff of one atom, while another one stays in reach."""
    torch.manual_seed(7)
    model = MODELS[name]().double()
    direction = np.array([0.3, -0.5, 0.81])
    direction /= np.linalg.norm(direction)
    geometry = Geometry(np.array([27, 8]), np.array([[0.0, 0, 0], [1.0, -1.0, 1.5]]), np.eye(3), np.zeros(3, bool))

    def derivatives(distance: float) -> np.ndarray:
        """Density, slope and curvature along a line to the first atom, by central differences."""
        h = 2e-4
        points = [(distance + k * h) * direction for k in (-1, 0, 1)]
        low, middle, high = testing.density_at(model, geometry, np.array(points))
        return np.array([middle, (high - low) / (2 * h), (high - 2 * middle + low) / h**2])

    inside, outside = derivatives(model.cutoff - 5e-4), derivatives(model.cutoff + 5e-4)
    reference = np.abs(derivatives(model.cutoff - 0.5)).max(axis=1, keepdims=True)
    assert (np.abs(outside) > 1e-9).any()  # the other atom is heard on both sides
    assert (np.abs(inside - outside) / reference).max() < 2e-2


def test_the_published_network_steps_there():
    """What the test above would find without an envelope."""
    torch.manual_seed(7)
    model = charge3net(2).double()
    geometry = Geometry(np.array([27]), np.zeros((1, 3)), np.eye(3), np.zeros(3, bool))
    values = testing.density_at(model, geometry, np.array([[model.cutoff - 1e-6, 0, 0], [model.cutoff + 1e-6, 0, 0]]))
    assert abs(values[0, 0]) > 1e-5
    assert values[1, 0] == 0


@pytest.mark.parametrize("name", SMOOTH)
def test_an_element_without_an_atom_is_refused(name):
    model = MODELS[name]()
    geometry = Geometry(np.array([8, 118]), np.array([[0.0, 0, 0], [1.5, 0, 0]]), np.eye(3) * 6, np.ones(3, bool))
    with pytest.raises(InputError, match=r"no atom of Og; take one that has. It knows H .*Co"):
        testing.density_at(model, geometry, np.ones((1, 3)))


def test_training_starts_at_the_superposition_of_atoms():
    torch.manual_seed(7)
    superposed = with_atoms(FittedAtoms, ELEMENTS)
    for kind, sizes in ((DeltaLocal, {}), (DeltaChargE3Net, {"mul": 24, "lmax": 2})):
        model = with_atoms(kind, ELEMENTS, **sizes)
        torch.nn.init.zeros_(model.head.layers[-1].weight)
        for geometry in structures(model).values():
            points = testing.points_near(geometry, 5)
            expected = testing.density_at(superposed, geometry, points)
            np.testing.assert_allclose(testing.density_at(model, geometry, points), expected, rtol=1e-5, atol=1e-6)


def test_superposed_atoms_are_the_sum_of_their_functions():
    """Against scipy's splines, summed over images by hand."""
    from scipy.interpolate import BSpline

    model, geometry = with_atoms(FittedAtoms, ELEMENTS).double(), STRUCTURES["smaller than the cutoff"]
    point = np.array([0.9, 1.1, 0.4])
    images = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), -1).reshape(-1, 3) @ geometry.cell
    lengths = np.linalg.norm(point - geometry.positions[0] - images, axis=1)
    coefficients = model.atoms.table[ELEMENTS.index(29), :, 0].numpy()
    knots = np.arange(-3, len(coefficients) + 1) * 0.1
    expected = BSpline(knots, coefficients, 3)(lengths[lengths < 4.0]).sum()
    assert testing.density_at(model, geometry, point[None])[0, 0] == pytest.approx(expected, rel=1e-12)
